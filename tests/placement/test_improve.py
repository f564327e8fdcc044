"""Large neighbourhood search: it keeps what is viable, never gets worse, and ends at the optimum of what brute force can check."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Spread
from entropy.placement.bounds import observed_hosts, usable_nodes
from entropy.placement.budget import Budget
from entropy.placement.executor import executor
from entropy.placement.goals import Goals
from entropy.placement.improve import improve
from entropy.placement.incumbent import Incumbent
from entropy.placement.portfolio import place
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem
from small_clusters import clusters, policies


def _goals(problem: Problem, objective: str = "consolidate", exchange: tuple[int, int] | None = None) -> Goals:
    ones = np.ones(len(problem.resources), dtype=np.int64)
    cost = np.ones(problem.n_nodes, dtype=np.int64)
    return Goals(objective=objective, node_cost=cost, resource_weight=ones, exchange=exchange)  # type: ignore[arg-type]


def _improved(problem: Problem, goals: Goals, host: Indices, work: float, workers: int = 1) -> Incumbent:
    best = Incumbent(problem, goals, host)
    with executor(workers) as (solvers, count):
        improve(best, usable_nodes(problem), Budget(remaining=lambda: 60.0, work=work, workers=count, executor=solvers))
    return best


def _shuffled(nodes: int, vms: int, seed: int) -> tuple[Problem, Indices]:
    """A viable cluster and the same VMs rotated by one node: everything has moved, for nothing."""
    rng = np.random.default_rng(seed)
    capacity = {"cpu": 8.0, "memory": 16384.0}
    machines = [
        VM(name=f"v{k}", node=f"n{k % nodes}", demand={"cpu": 0.5, "memory": float(rng.choice([1024, 2048, 3072]))}) for k in range(vms)
    ]
    pairs = tuple(Spread(vms=(f"v{k}", f"v{k + 1}")) for k in range(0, vms - 1, 2))
    cluster = Cluster(nodes=tuple(Node(name=f"n{k}", capacity=capacity) for k in range(nodes)), vms=tuple(machines))
    problem = compile_problem(cluster, Policy(objective="repair", constraints=pairs))
    return problem, ((observed_hosts(problem) + 1) % nodes).astype(np.int32)


@pytest.mark.parametrize("workers", [1, 2])
def test_moves_that_nobody_needs_are_taken_back(workers: int) -> None:
    problem, rotated = _shuffled(nodes=12, vms=48, seed=3)
    best = _improved(problem, _goals(problem, "repair"), rotated, work=10, workers=workers)
    assert best.optimal
    assert best.value.moved == 0


def test_the_same_seed_and_workers_give_the_same_placement() -> None:
    problem, rotated = _shuffled(nodes=16, vms=64, seed=5)
    one, two = (_improved(problem, _goals(problem, "consolidate"), rotated, work=0.4, workers=2) for _ in range(2))
    assert one.host.tolist() == two.host.tolist()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_never_worse_and_always_viable(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=True))
    policy = data.draw(policies(cluster))
    problem = compile_problem(cluster, policy)
    goals = _goals(problem, data.draw(st.sampled_from(["repair", "consolidate", "balance"])), data.draw(st.sampled_from([None, (3, 1)])))
    repaired = place(problem, _goals(problem, "repair"), Budget(remaining=lambda: 60.0))
    if repaired.left_out:
        return
    start = Incumbent(problem, goals, repaired.host)
    best = _improved(problem, goals, repaired.host, work=0.15)
    assert is_viable(problem, best.host)
    assert goals.key(best.value) <= goals.key(start.value)


@pytest.mark.parametrize(("worth", "nodes", "moved"), [(4096, 2, 0), (16384, 1, 6144)])
def test_a_node_is_emptied_only_for_what_it_is_worth(worth: int, nodes: int, moved: int) -> None:
    """6 GiB must move to save a node: not for 4 GiB, but for 16."""
    capacity = {"cpu": 8.0, "memory": 16384.0}
    hosts = tuple(Node(name=n, capacity=capacity) for n in ("a", "b"))
    vms = tuple(VM(name=f"v{k}", node="ab"[k], demand={"cpu": 1.0, "memory": m}) for k, m in enumerate((8192.0, 6144.0)))
    problem = compile_problem(Cluster(nodes=hosts, vms=vms), Policy())
    scale = float(problem.scale[problem.resources.index("memory")])
    goals = _goals(problem, exchange=(round(worth * scale * 1024), 1024))
    found = place(problem, goals, Budget(remaining=lambda: 60.0))
    assert (found.outcome, found.primary.value, found.moved.value / scale) == ("optimal", nodes, moved)
