"""Placements put together from exchanges of nodes: viable, and as good as the bound where classes are uniform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Spread
from entropy.placement.bounds.displacement import strong_moved_bound
from entropy.placement.exchanging import exchange_plan
from entropy.placement.goals import moved_memory
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem
from small_clusters import brute_force, clusters, policies

GIB = 1024


def _node(name: str, gib: float, **more: object) -> Node:
    return Node(name=name, capacity={"memory": gib * GIB}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str, gib: float) -> VM:
    return VM(name=name, node=node, demand={"memory": gib * GIB})


def _planned(problem: Problem, most_nodes: int | None = None) -> tuple[int, Indices | None]:
    found = strong_moved_bound(problem, lambda: math.inf, most_nodes=most_nodes)
    assert found.market is not None
    assert found.price is not None
    rng = np.random.default_rng(0)
    return found.value, exchange_plan(problem, found.market, found.price, rng, lambda: math.inf, lambda: False)[0]


@pytest.mark.parametrize("mates", [(), ("v00", "v11")])
def test_the_bound_is_met_where_vms_of_a_class_are_alike(mates: tuple[str, ...]) -> None:
    """8 GiB VMs displace 4 GiB ones, also where two of these must keep apart."""
    nodes = (_node("a", 16, maintenance=True), *(_node(f"n{k}", 12) for k in range(4)))
    vms = (_vm("x", "a", 8), _vm("y", "a", 8), *(_vm(f"v{k}{j}", f"n{k}", 4) for k in range(4) for j in range(2)))
    rules = (Spread(vms=mates, across="node"),) if mates else ()
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=rules))
    bound, host = _planned(problem)
    assert host is not None
    assert is_viable(problem, host)
    assert moved_memory(problem, host) == bound


def test_three_nodes_become_two() -> None:
    """3 + 3, 5 and 5 on two nodes of 8: both threes move, since two fives fit nowhere together."""
    nodes = tuple(_node(n, 8) for n in "abc")
    problem = compile_problem(Cluster(nodes=nodes, vms=(_vm("p", "a", 3), _vm("q", "a", 3), _vm("r", "b", 5), _vm("s", "c", 5))), Policy())
    bound, host = _planned(problem, most_nodes=2)
    assert host is not None
    assert sorted(host[:2].tolist()) == [1, 2]
    assert host[2:].tolist() == [1, 2]
    assert moved_memory(problem, host) == bound


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_put_together_keeps_every_rule(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    if (best := brute_force(cluster, policy)) is None:
        return
    problem = compile_problem(cluster, policy)
    found = strong_moved_bound(problem, lambda: math.inf, most_nodes=best.consolidate[0])
    if found.market is None or found.price is None:
        return
    rng = np.random.default_rng(0)
    host, _ = exchange_plan(problem, found.market, found.price, rng, lambda: math.inf, lambda: False)
    if host is not None:
        assert is_viable(problem, host)
        assert found.value <= moved_memory(problem, host) or len(np.unique(host[host >= 0])) > best.consolidate[0]
