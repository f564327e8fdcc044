"""Proofs against brute force: no bound above the optimum, whatever ended the search; what is called optimal or infeasible is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Spread
from entropy.placement.budget import Budget
from entropy.placement.goals import Goals, Value, value_of
from entropy.placement.portfolio import place
from entropy.placement.soft import soft_costs, without_soft
from entropy.placement.standing import no_worse
from entropy.placement.viability import is_viable
from entropy.planning.conflicts import conflicts
from entropy.planning.planner import PlanOptions, plan
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem, positions
from small_clusters import GROUPS, PLAIN, clusters, policies


def _hosts(problem: Problem) -> Iterator[Indices]:
    """Every viable placement."""
    vms = positions(problem.runs_at_end())
    choices = [
        np.flatnonzero(np.arange(problem.n_nodes) == problem.host[v] if problem.held[v] else problem.domains[problem.domain_of[v]])
        for v in vms
    ]
    host = np.full(problem.n_vms, -1, dtype=np.int32)
    for hosts in product(*choices):
        host[vms] = hosts
        if is_viable(problem, host):
            yield host.copy()


def _viable(problem: Problem, goals: Goals) -> list[Value]:
    """The value of every viable placement."""
    return [value_of(problem, goals, host) for host in _hosts(problem)]


@st.composite
def _goals(draw: st.DrawFn, problem: Problem) -> Goals:
    objective = draw(st.sampled_from(["repair", "consolidate", "balance"]))
    n = problem.n_nodes
    cost = draw(st.one_of(st.just([1] * n), st.lists(st.sampled_from([0, 90_500, 120_000]), min_size=n, max_size=n)))
    memory = 1024 * int(problem.scale[problem.resources.index("memory")])
    exchange = draw(st.sampled_from([None, None, (memory, 1), (1, 1), (memory, 50_000)])) if objective != "repair" else None
    return Goals(
        objective=objective,  # type: ignore[arg-type]
        node_cost=np.array(cost, dtype=np.int64),
        resource_weight=np.array([draw(st.sampled_from([1, 0, 5])) for _ in problem.resources], dtype=np.int64),
        exchange=exchange,
    )


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "parts"])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_every_bound_and_every_verdict(exact: bool, data: st.DataObject) -> None:
    cluster = data.draw(clusters(vms=5))
    policy = data.draw(policies(cluster, kinds=PLAIN + GROUPS, soft=True))
    held = frozenset(data.draw(st.sets(st.sampled_from([v.name for v in cluster.vms]), max_size=2)))
    problem = compile_problem(cluster, policy, held=held)
    goals = data.draw(_goals(problem))
    if conflicts(problem):  # refused before anything is placed
        return
    viable = _viable(problem, goals)
    work = data.draw(st.sampled_from([1e-6, 0.02, 0.1, 20.0 if exact else 0.3]))
    with patch("entropy.placement.portfolio.EXACT_PAIRS", 40_000 if exact else 0):
        found = place(problem, goals, Budget(remaining=lambda: float("inf"), work=work))
    if not viable:
        assert found.outcome in ("infeasible", "unknown")
        return
    assert found.outcome != "infeasible"
    if found.left_out:
        return
    best = min(viable, key=goals.key)
    assert is_viable(problem, found.host)
    assert value_of(problem, goals, found.host) == (found.soft.value, found.primary.value, found.moved.value)
    assert found.soft.bound <= best.soft
    assert found.primary.bound <= best.primary
    assert found.moved.bound <= best.moved
    if found.outcome == "optimal":
        assert goals.key(Value(found.soft.value, found.primary.value, found.moved.value)) == goals.key(best)


def _node(name: str) -> Node:
    return Node(name=name, capacity={"cpu": 4, "memory": 8192})


def _vm(name: str, node: str, gib: float) -> VM:
    return VM(name=name, node=node, demand={"cpu": 0.5, "memory": gib * 1024})


def test_moved_memory_is_not_bounded_by_nodes_while_soft_rules_may_be_broken_less() -> None:
    """One node in use breaks the soft rule and moves 2 GiB; the optimum uses two and moves 1 GiB."""
    vms = (_vm("a", "n1", 2), _vm("b", "n1", 1), _vm("c", "n2", 2))
    policy = Policy(constraints=(Spread(vms=("a", "b"), across="node", soft=True, weight=1.0),))
    problem = compile_problem(Cluster(nodes=(_node("n1"), _node("n2")), vms=vms), policy)
    ones = np.ones(2, dtype=np.int64)
    goals = Goals(objective="consolidate", node_cost=ones, resource_weight=ones)
    with patch("entropy.placement.first.hardened", without_soft):  # as where soft rules cannot be had at first
        found = place(problem, goals, Budget(remaining=lambda: float("inf"), work=1e-6))
    best = min(_viable(problem, goals))
    assert (best.soft, best.primary) == (0, 2)
    assert found.moved.bound <= best.moved < found.moved.value


def test_traded_off_parts_are_proven_together() -> None:
    """Two racks apart; in each, leaving a node is worth less than its moves: nothing moves, and that is the optimum."""
    nodes = tuple(_node(f"{rack}{k}") for rack in "ab" for k in range(2))
    vms = tuple(_vm(f"v{n.name}", n.name, 2) for n in nodes)
    fences = tuple(Fence(vms=f"v{rack}*", nodes=f"{rack}*") for rack in "ab")
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=fences))
    gib = int(problem.weight[0]) // 2
    goals = Goals(
        objective="consolidate", node_cost=np.ones(4, dtype=np.int64), resource_weight=np.ones(2, dtype=np.int64), exchange=(gib, 1)
    )
    found = place(problem, goals, Budget(remaining=lambda: 60.0))
    assert (found.outcome, found.moved.value, found.primary.value) == ("optimal", 0, 4)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_where_soft_rules_stand_none_is_broken_further(data: st.DataObject) -> None:
    cluster = data.draw(clusters(vms=4, viable=True))
    problem = compile_problem(cluster, data.draw(policies(cluster, kinds=(*GROUPS, "spread", "fence"), soft=True)))
    host = _any_viable(problem, data)
    if host is None:
        return
    standing = no_worse(problem, host)
    assert is_viable(standing, host)
    now = {id(rule): cost for rule, cost in soft_costs(problem, host)}
    for other in _hosts(standing):
        assert is_viable(problem, other)
        assert all(cost <= now.get(id(rule), 0) for rule, cost in soft_costs(problem, other))


def _any_viable(problem: Problem, data: st.DataObject) -> Indices | None:
    found = list(_hosts(problem))
    return data.draw(st.sampled_from(found)) if found else None


def test_members_held_in_one_zone_beyond_its_most_need_no_further_zones() -> None:
    """Best effort leaves two on n0 that a rule wants apart; the third and everybody else fit on one more node."""
    held = tuple(VM(name=name, node="n0", demand={"cpu": 1, "memory": 1024}, migratable=False) for name in "ab")
    cluster = Cluster(nodes=tuple(_node(f"n{k}") for k in range(3)), vms=(*held, _vm("c", "n1", 1), _vm("d", "n2", 1)))
    policy = Policy(constraints=(Spread(vms=("a", "b", "c"), across="node"),))
    summary = plan(cluster, policy, PlanOptions(best_effort=True, work_limit=5.0)).plan.summary
    assert summary is not None
    assert summary.nodes is not None
    assert (summary.nodes.after, summary.nodes.lower_bound) == (2, 2)
