"""Bounds on moved memory against brute force, and on clusters whose optimum is known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence
from entropy.placement import bounds
from entropy.placement.bounds.displacement import strong_moved_bound
from entropy.placement.bounds.exchange import exchange_of
from entropy.placement.bounds.prices import Nodes, Prices
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem
from small_clusters import brute_force, clusters, policies

GIB = 1024


def _node(name: str, cpu: float = 8, gib: float = 8, **more: object) -> Node:
    return Node(name=name, capacity={"cpu": cpu, "memory": gib * GIB}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str, gib: float, cpu: float = 0.1) -> VM:
    return VM(name=name, node=node, demand={"cpu": cpu, "memory": gib * GIB})


def _scale(problem: Problem) -> float:
    return float(problem.scale[problem.resources.index("memory")]) if "memory" in problem.resources else 1.0


def _gib(problem: Problem, amount: int) -> float:
    return amount / _scale(problem) / GIB


def _strong(cluster: Cluster, policy: Policy | None = None, most_nodes: int | None = None) -> tuple[float, float]:
    """(GiB by the simple argument, GiB by exchanges)."""
    problem = compile_problem(cluster, policy or Policy())
    leaving, _ = bounds.must_leave(problem)
    found = strong_moved_bound(problem, lambda: math.inf, most_nodes=most_nodes)
    return _gib(problem, bounds.moved_bound(problem, leaving, most_nodes)), _gib(problem, found.value)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_exchange_bound_never_exceeds_the_optimum(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    if (best := brute_force(cluster, policy)) is None:
        return
    problem = compile_problem(cluster, policy)
    fewest, least = best.consolidate
    leaving, _ = bounds.must_leave(problem)
    for most_nodes, optimum in ((None, best.repair), (fewest, least)):
        simple = bounds.moved_bound(problem, leaving, most_nodes)
        found = strong_moved_bound(problem, lambda: math.inf, most_nodes=most_nodes)
        assert simple <= found.value <= optimum * _scale(problem)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_prices_on_any_grid_prove_no_more_than_the_optimum(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    if (best := brute_force(cluster, policy)) is None:
        return
    problem = compile_problem(cluster, policy)
    exchange = exchange_of(problem, classes=data.draw(st.integers(1, 6)), cells=data.draw(st.sampled_from([4, 20, 4000])))
    cost = np.ones(problem.n_nodes, dtype=np.int64)
    most_nodes = data.draw(st.sampled_from([None, best.consolidate[0]]))
    nodes = Nodes(exchange, cost, most_nodes, search=data.draw(st.sampled_from([0, 3, 1000])))
    typical = nodes.scale * int(problem.weight.max(initial=1))
    price = st.integers(0, 2 * typical).map(lambda x: min(x, nodes.most_price))
    value = np.array(data.draw(st.lists(price, min_size=len(exchange.size), max_size=len(exchange.size))), dtype=np.int64)
    prices = Prices(value=value, rent=data.draw(price) if most_nodes else 0, scale=nodes.scale)
    optimum = best.repair if most_nodes is None else best.consolidate[1]
    assert nodes.ask(prices).value <= optimum * _scale(problem)


def test_an_arrival_displaces_what_fills_its_node() -> None:
    """8 GiB VMs of a drained node arrive where 4 GiB are free, so each pushes out 4 GiB, which fit into another node's gap."""
    nodes = (_node("a", gib=16, maintenance=True), *(_node(f"n{k}", gib=12) for k in range(4)))
    vms = (_vm("x", "a", 8), _vm("y", "a", 8), *(_vm(f"v{k}{j}", f"n{k}", 4) for k in range(4) for j in range(2)))
    assert _strong(Cluster(nodes=nodes, vms=vms)) == (16, 24)


def test_the_cheapest_to_displace_is_what_just_suffices() -> None:
    """With 3 GiB free everywhere, 5 GiB must leave for an arrival of 8: 5 as one VM of 5, not 3 + 3; and gaps of 5 are found nowhere
    but where 2 leave in turn."""
    nodes = (_node("a", maintenance=True), *(_node(f"n{k}", gib=14) for k in range(3)))
    vms = (_vm("x", "a", 8), *(_vm(f"v{k}{g}", f"n{k}", g) for k in range(3) for g in (5, 4, 2)))
    assert _strong(Cluster(nodes=nodes, vms=vms)) == (8, 15)


def test_nothing_is_displaced_where_there_is_room() -> None:
    nodes = (_node("a", maintenance=True), _node("b"))
    assert _strong(Cluster(nodes=nodes, vms=(_vm("x", "a", 8),))) == (8, 8)


def test_a_swap_through_what_one_node_alone_may_hold() -> None:
    """The fenced VM must enter a full node; what leaves that has room elsewhere."""
    nodes = (_node("a"), _node("b"), _node("c"))
    vms = (_vm("x", "a", 4), _vm("y", "b", 4), _vm("z", "b", 4))
    policy = Policy(constraints=(Fence(vms=("x",), nodes=("b",)),))
    assert _strong(Cluster(nodes=nodes, vms=vms), policy) == (4, 8)


def test_on_few_nodes_what_is_kept_must_leave_room_for_the_rest() -> None:
    """3 + 3, 5 and 5 on two nodes of 8: the first and a five would keep most, but then the other five fits nowhere."""
    nodes = tuple(_node(n) for n in "abc")
    vms = (_vm("p", "a", 3), _vm("q", "a", 3), _vm("r", "b", 5), _vm("s", "c", 5))
    assert _strong(Cluster(nodes=nodes, vms=vms), most_nodes=2) == (5, 6)


def test_nothing_runs() -> None:
    problem = compile_problem(Cluster(nodes=(_node("a"),), vms=()), Policy())
    assert strong_moved_bound(problem, lambda: math.inf).value == 0


@pytest.mark.parametrize("size", [1, 10**9])
def test_amounts_of_any_size(size: int) -> None:
    """The frag case with units of 10^9: prices stay within 64 bits."""
    nodes = (_node("a", gib=16 * size, maintenance=True), *(_node(f"n{k}", gib=12 * size) for k in range(4)))
    vms = (_vm("x", "a", 8 * size), *(_vm(f"v{k}{j}", f"n{k}", 4 * size) for k in range(4) for j in range(2)))
    simple, strong = _strong(Cluster(nodes=nodes, vms=vms))
    assert (simple, strong) == pytest.approx((8 * size, 12 * size))


@pytest.mark.parametrize("demand", [{}, {"cpu": 0.0}, {"memory": 0.0, "cpu": 1.0}])
def test_vms_that_weigh_nothing_move_for_nothing(demand: dict[str, float]) -> None:
    nodes = (_node("a", cpu=2, maintenance=True), _node("b", cpu=2), _node("c", cpu=2))
    vms = tuple(VM(name=f"v{k}", node="abb"[k], demand=demand) for k in range(3))
    assert _strong(Cluster(nodes=nodes, vms=vms)) == (0, 0)
    assert _strong(Cluster(nodes=nodes, vms=vms), most_nodes=2) == (0, 0)


def test_nodes_of_many_vms_that_are_alike() -> None:
    """Two hundred small VMs on each full node: their subsets are beyond enumeration, but all alike."""
    nodes = (_node("a", gib=8, maintenance=True), *(_node(f"n{k}", gib=104, cpu=99) for k in range(3)))
    vms = (_vm("x", "a", 8), *(_vm(f"v{k}-{j}", f"n{k}", 0.5) for k in range(3) for j in range(200)))
    assert _strong(Cluster(nodes=nodes, vms=vms)) == (8, 12)
