"""The balancing kernels: their twins agree, every kind of rule is kept, soft ones are broken no further, time is respected."""

from __future__ import annotations

from itertools import count, islice, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Ban, Fence, Gather, Lonely, ResourceCapacity, RunningCapacity, Split, Spread
from entropy.placement.balance import balance
from entropy.placement.balance.neighbourhoods import balance_neighbourhood
from entropy.placement.goals import Goals, value_of
from entropy.placement.jit import Kernel
from entropy.placement.spread import spread
from entropy.placement.viability import is_viable
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem, positions
from small_clusters import clusters


def goals_for(problem: Problem, exchange: tuple[int, int] | None = None) -> Goals:
    ones = np.ones(max(problem.n_nodes, len(problem.resources)), dtype=np.int64)
    return Goals(objective="balance", node_cost=ones[: problem.n_nodes], resource_weight=ones[: len(problem.resources)], exchange=exchange)


@st.composite
def rules(draw: st.DrawFn, cluster: Cluster) -> Policy:
    """One or two rules of any kind, half of them soft."""
    names, hosts = [v.name for v in cluster.vms], [n.name for n in cluster.nodes]
    few = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(tuple)
    where = st.lists(st.sampled_from(hosts), min_size=1, max_size=2, unique=True).map(tuple)
    made: list[AnyRule] = []
    for _ in range(draw(st.integers(1, 2))):
        soft = {"soft": True, "weight": 2.0} if draw(st.booleans()) else {}
        vms, across = draw(few), draw(st.sampled_from(["node", "rack"]))
        match draw(st.integers(0, 7)):
            case 0:
                made.append(Spread(vms=vms, across=across, **soft))
            case 1:
                made.append(Gather(vms=vms, across=across, **soft))
            case 2:
                made.append(Lonely(vms=vms, **soft))
            case 3:
                made.append(Split(groups=(tuple(names[:2]), tuple(names[2:4]) or ("*",)), **soft))
            case 4:
                made.append(Fence(vms=vms, nodes=draw(where), **soft))
            case 5:
                made.append(RunningCapacity(nodes=draw(where), max=draw(st.integers(1, 3)), **soft))
            case 6:
                made.append(ResourceCapacity(nodes=draw(where), resource="memory", max=4096.0, **soft))
            case _:
                made.append(Ban(vms=vms, nodes=draw(where), **soft))
    return Policy(constraints=tuple(made))


def some_viable(problem: Problem) -> Indices | None:
    """One of the first assignments that keeps every hard rule."""
    vms = positions(problem.runs_at_end())
    choices = [[int(problem.host[v])] if problem.held[v] else positions(problem.domains[problem.domain_of[v]]).tolist() for v in vms]
    host = np.full(problem.n_vms, -1, dtype=np.int32)
    for chosen in islice(product(*choices), 300):
        host[vms] = chosen
        if is_viable(problem, host):
            return host
    return None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_rule_is_kept_and_soft_ones_are_broken_no_further(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=True, nodes=4, vms=7))
    if not cluster.vms:
        return
    problem = compile_problem(cluster, data.draw(rules(cluster)))
    if (start := some_viable(problem)) is None:
        return
    goals = goals_for(problem)
    found = balance(Working(problem, start), goals, lambda: False, np.random.default_rng(1))
    before, after = value_of(problem, goals, start), value_of(problem, goals, found.host)
    assert is_viable(problem, found.host)
    assert after.soft <= before.soft
    assert after <= before


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_compiled_and_plain_kernels_agree(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=True, nodes=5, vms=12))
    problem = compile_problem(cluster, data.draw(rules(cluster)) if cluster.vms else Policy())
    if (start := some_viable(problem)) is None:
        return
    answers = []
    for twin in ("python", "compiled"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Kernel, "on", lambda self, _pairs, twin=twin: getattr(self, twin))
            found = balance(Working(problem, start), goals_for(problem), lambda: False, np.random.default_rng(2))
            answers.append(found.host.tolist())
    assert answers[0] == answers[1]


def crowded(nodes: int, vms: int) -> Problem:
    """All VMs on the first of equal nodes."""
    sizes = np.random.default_rng(5).choice([1.0, 2.0, 3.0, 5.0], vms)
    cluster = Cluster(
        nodes=tuple(Node(name=f"n{k}", capacity={"memory": float(sizes.sum())}) for k in range(nodes)),
        vms=tuple(VM(name=f"v{k}", node="n0", demand={"memory": float(size)}) for k, size in enumerate(sizes)),
    )
    return compile_problem(cluster, Policy())


def test_a_crowd_is_spread_to_the_last_unit() -> None:
    problem = crowded(6, 60)
    found = balance(Working(problem, problem.host), goals_for(problem), lambda: False, np.random.default_rng(0))
    total = int(problem.demand.sum())
    assert spread(problem, found.host)[0] <= -(-1_000_000 // total)  # no two nodes differ by more than one unit


def test_a_small_cluster_is_balanced_within_a_few_blocks_of_work() -> None:
    """A question whether time is up counts as a block of work: short calls of the kernels must not ask each time."""
    problem, asked = crowded(6, 60), count()
    found = balance(Working(problem, problem.host), goals_for(problem), lambda: next(asked) >= 8, np.random.default_rng(0))
    assert spread(problem, found.host)[0] <= 10_000


def test_what_was_done_when_time_is_up_counts() -> None:
    problem = crowded(6, 60)
    goals = goals_for(problem)
    values = []
    for most in (0, 8, 1000):
        asked = count()
        found = balance(Working(problem, problem.host), goals, lambda: next(asked) >= most, np.random.default_rng(0))  # noqa: B023
        values.append(value_of(problem, goals, found.host).primary)
    assert values[0] == 1_000_000
    assert values[0] > values[1] >= values[2]


def test_memory_that_is_dear_stays() -> None:
    problem = crowded(4, 20)
    moved = []
    for exchange in ((1, 1_000_000), (1, 10_000), (1, 1), None):
        goals = goals_for(problem, exchange)
        found = value_of(problem, goals, balance(Working(problem, problem.host), goals, lambda: False, np.random.default_rng(0)).host)
        moved.append(found.moved)
    assert moved[0] == 0
    assert moved == sorted(moved)


def test_neighbourhoods_hold_one_end_of_the_spread() -> None:
    problem = crowded(8, 60)
    open_nodes = np.ones(8, dtype=np.bool_)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = balance_neighbourhood(problem, goals_for(problem), problem.host, open_nodes, rng, 4).tolist()
        assert len(set(chosen)) == len(chosen) == 4
        assert 0 in chosen  # the full one: an end of its own, or the best partner of the empty ones
    found = balance(Working(problem, problem.host), goals_for(problem), lambda: False, np.random.default_rng(0))
    if not spread(problem, found.host)[0]:
        assert not len(balance_neighbourhood(problem, goals_for(problem), found.host, open_nodes, np.random.default_rng(0), 4))
    open_nodes[3:] = False
    assert set(balance_neighbourhood(problem, goals_for(problem), problem.host, open_nodes, np.random.default_rng(0), 6)) <= {0, 1, 2}
