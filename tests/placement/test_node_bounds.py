"""Bounds on the cost of nodes in use: never above the optimum, and above volume where volume is blind."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Fence, Running, Spread
from entropy.placement.bounds import node_bound
from entropy.placement.bounds.cover import cover
from entropy.placement.bounds.dual import FAMILIES
from entropy.placement.bounds.nodes import volume_bound
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Disjoint, Integers, Problem
from small_clusters import clusters, policies


def cluster_of(rooms: list[dict[str, float]], demands: list[dict[str, float]], held: dict[int, int] | None = None) -> Cluster:
    """Nodes n0.. and VMs v0.., ready, but those in ``held`` (VM -> node), which run and cannot be migrated."""
    held = held or {}
    nodes = tuple(Node(name=f"n{k}", capacity=room) for k, room in enumerate(rooms))
    vms = tuple(
        VM(name=f"v{k}", state="running", node=f"n{held[k]}", demand=d, migratable=False)
        if k in held
        else VM(name=f"v{k}", state="ready", demand=d)
        for k, d in enumerate(demands)
    )
    return Cluster(nodes=nodes, vms=vms)


def running(cluster: Cluster, *rules: AnyRule) -> Problem:
    """Everything is to run."""
    return compile_problem(cluster, Policy(constraints=(Running(vms="*"), *rules)))


def ones(problem: Problem) -> Integers:
    return np.ones(problem.n_nodes, dtype=np.int64)


def least_cost(problem: Problem, cost: Integers) -> int | None:
    """By brute force over the capacities, the sets of nodes, the held VMs and the hard group limits."""
    runs = np.flatnonzero(problem.runs_at_end())
    choices = [[int(problem.host[v])] if problem.held[v] else np.flatnonzero(problem.domains[problem.domain_of[v]]).tolist() for v in runs]
    best = None
    for hosts in product(*choices):
        used = sorted(set(hosts))
        spent = int(cost[used].sum())
        if best is not None and spent >= best:
            continue
        load = np.zeros_like(problem.capacity)
        np.add.at(load, list(hosts), problem.demand[runs])
        if (load > problem.capacity).any():
            continue
        where = dict(zip(runs.tolist(), hosts, strict=True))
        if any(
            max(np.bincount([limit.zone_of[where[v]] for v in limit.members.tolist() if v in where]), default=0) > limit.most
            for limit in problem.limits
        ):
            continue
        best = spent
    return best


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_never_above_the_optimum(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=data.draw(st.booleans())))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    cost = np.array(data.draw(st.lists(st.sampled_from([0, 3, 4, 7]), min_size=len(cluster.nodes), max_size=len(cluster.nodes))))
    for price in (cost, ones(problem)):
        optimum = least_cost(problem, price)
        if optimum is not None:
            assert volume_bound(problem, price) <= node_bound(problem, price) <= optimum


@pytest.mark.parametrize("name", FAMILIES)
def test_weighings_are_superadditive(name: str) -> None:
    function, everywhere = FAMILIES[name]
    for capacity in range(1, 19):
        top = 2 * capacity + 3 if everywhere else capacity
        x = np.arange(top + 1)
        parameters = np.arange(1, capacity + 2 if everywhere else max(capacity // 2, 1) + 1)[:, None]
        if name in ("halves", "large"):
            parameters = parameters[2 * parameters[:, 0] <= capacity]
        for f in function(x, parameters, capacity):
            assert (np.diff(f) >= 0).all()
            assert all((f[: top + 1 - a] + f[a] <= f[a:]).all() for a in range(top + 1))


def test_large_vms_never_share_a_node() -> None:
    problem = running(cluster_of([{"memory": 10.0}] * 6, [{"memory": 6.0}, {"memory": 7.0}] * 2))
    assert volume_bound(problem, ones(problem)) == 3
    assert node_bound(problem, ones(problem)) == 4


def test_vms_that_are_large_in_different_resources_together() -> None:
    """Each takes 0.4 + 0.7 or 0.7 + 0.4 of a node: no two fit, though neither resource tells so by itself."""
    demands = [{"cpu": 4.0, "memory": 7.0}, {"cpu": 7.0, "memory": 4.0}] * 2
    problem = running(cluster_of([{"cpu": 10.0, "memory": 10.0}] * 5, demands))
    assert volume_bound(problem, ones(problem)) == 3
    assert node_bound(problem, ones(problem)) == 4


def test_large_vms_need_large_nodes() -> None:
    """Two 6s need a large node each, though by volume one large and one small would do."""
    problem = running(cluster_of([{"memory": 10.0}] * 2 + [{"memory": 5.0}] * 4, [{"memory": 6.0}] * 2 + [{"memory": 1.0}]))
    cost = np.array([20, 20, 2, 2, 2, 2])
    assert volume_bound(problem, cost) < 40
    assert node_bound(problem, cost) == 40


def test_fences_are_bounded_one_by_one() -> None:
    """Two small VMs could share a node, if they were not fenced to different ones."""
    cluster = cluster_of([{"memory": 20.0}] * 4, [{"memory": 1.0}] * 2)
    fences = (Fence(vms=("v0",), nodes=("n0", "n1")), Fence(vms=("v1",), nodes=("n2", "n3")))
    assert node_bound(running(cluster), ones(running(cluster))) == 1
    problem = running(cluster, *fences)
    assert node_bound(problem, ones(problem)) == 2


def test_nodes_of_held_vms_are_in_use_and_offer_what_is_left() -> None:
    """n0 and n1 are paid for and have 8 left each; 18 more need one of the others."""
    problem = running(cluster_of([{"memory": 10.0}] * 4, [{"memory": 2.0}] * 2 + [{"memory": 6.0}] * 3, {0: 0, 1: 1}))
    assert node_bound(problem, np.array([5, 7, 1, 1])) == 13


def test_spread_needs_so_many_nodes() -> None:
    cluster = cluster_of([{"memory": 10.0}] * 4, [{"memory": 1.0}] * 3)
    problem = running(cluster, Spread(vms="*", across="node"))
    assert node_bound(problem, ones(problem)) == 3


def test_lonely_vms_keep_their_nodes() -> None:
    cluster = cluster_of([{"memory": 10.0}] * 4, [{"memory": 1.0}] * 4)
    rule = Disjoint(class_of=np.array([0, 0, 1, 1], dtype=np.int32), continuous=False, source="v0 and v1 are lonely")
    problem = replace(running(cluster), disjoint=(rule,))
    assert node_bound(problem, ones(problem)) == 2


def test_nothing_runs_and_nothing_is_needed() -> None:
    problem = compile_problem(cluster_of([{"memory": 10.0}], [{"memory": 1.0}]), Policy())
    assert node_bound(problem, ones(problem)) == 0


def test_something_runs_though_it_needs_nothing() -> None:
    problem = running(cluster_of([{"memory": 10.0}] * 2, [{"memory": 0.0}]))
    assert node_bound(problem, np.array([4, 3])) == 3


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6), st.integers(1, 2)), min_size=1, max_size=4),
    st.integers(0, 30),
)
def test_cover_is_a_bound_and_exact_for_equal_costs(rows: list[tuple[int, int, int]], total: int) -> None:
    supply, cost, available = zip(*rows, strict=True)
    best = min(
        (
            sum(c * n for c, n in zip(cost, used, strict=True))
            for used in product(*(range(n + 1) for n in available))
            if sum(g * n for g, n in zip(supply, used, strict=True)) >= total
        ),
        default=None,
    )
    bound = cover(total, supply, cost, available)
    if best is None:
        assert bound <= sum(c * n for c, n in zip(cost, available, strict=True))
    elif len(set(cost) - {0}) <= 1:
        assert bound == best
    else:
        assert bound <= best
