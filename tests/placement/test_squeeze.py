"""Packings that fitting alone misses."""

from __future__ import annotations

import numpy as np
import pytest

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Spread
from entropy.placement.squeeze import squeeze
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import positions


def _problem(seed: int, nodes: int, fill: float, rules: tuple[object, ...] = ()) -> Working:
    """``nodes`` nodes cut exactly into VMs up to ``fill``, shuffled, all of them nowhere: a packing exists."""
    rng = np.random.default_rng(seed)
    vms = []
    for _ in range(nodes):
        cuts = np.sort(rng.uniform(0, fill, size=(11, 2)), axis=0)
        for cpu, memory in np.diff(np.vstack((np.zeros(2), cuts, np.full(2, fill))), axis=0):
            vms.append((round(16 * float(cpu), 3), round(65536 * float(memory), 3)))
    rng.shuffle(vms)
    machines = tuple(VM(name=f"v{k}", node=f"n{k % nodes}", demand={"cpu": c, "memory": m}) for k, (c, m) in enumerate(vms))
    hosts = tuple(Node(name=f"n{k}", capacity={"cpu": 16, "memory": 65536}, labels={"rack": f"r{k % 3}"}) for k in range(nodes))
    problem = compile_problem(Cluster(nodes=hosts, vms=machines), Policy(constraints=rules))  # type: ignore[arg-type]
    return Working(problem, np.full(problem.n_vms, -1, dtype=np.int32))


@pytest.mark.parametrize("seed", range(5))
def test_nodes_99_percent_full_are_packed(seed: int) -> None:
    w = _problem(seed, nodes=8, fill=0.99)
    everywhere = np.ones(8, dtype=np.bool_)
    assert squeeze(w, positions(w.runs), everywhere, np.random.default_rng(0), 20_000, lambda: False)
    assert (w.free >= 0).all()
    assert (w.host[w.runs] >= 0).all()


def test_rules_hold_all_along() -> None:
    fence = Fence(vms=tuple(f"v{k}" for k in range(6)), nodes=("n0", "n1"))
    spread = Spread(vms=tuple(f"v{k}" for k in range(10, 16)), across="rack", max=2)
    w = _problem(3, nodes=9, fill=0.95, rules=(fence, spread))
    assert squeeze(w, positions(w.runs), np.ones(9, dtype=np.bool_), np.random.default_rng(0), 20_000, lambda: False)
    assert set(w.host[:6].tolist()) <= {0, 1}
    assert np.bincount(w.host[10:16] % 3, minlength=3).max() <= 2


def test_what_does_not_fit_is_given_up() -> None:
    w = _problem(1, nodes=4, fill=0.9)
    few = np.array([True, True, True, False])
    assert not squeeze(w, positions(w.runs), few, np.random.default_rng(0), 300, lambda: False)


def test_same_seed_same_packing() -> None:
    hosts = []
    for _ in range(2):
        w = _problem(2, nodes=8, fill=0.97)
        squeeze(w, positions(w.runs), np.ones(8, dtype=np.bool_), np.random.default_rng(7), 5_000, lambda: False)
        hosts.append(w.host.tolist())
    assert hosts[0] == hosts[1]
