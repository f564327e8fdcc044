"""Moves of kernels: hand-worked chains and returns, and hard rules that no kernel breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.metric import best_fit
from entropy.placement.repair import misplaced
from entropy.placement.returning import bring_home
from entropy.placement.squeeze import squeeze
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Disjoint, GroupLimit, Indices, Problem, SetLimit, UsageLimit, positions


def _problem(sizes: list[int], hosts: list[int], nodes: int, capacity: int = 10, **primitives: Any) -> Problem:
    """One resource, memory; ``hosts``: where each VM runs."""
    cluster = Cluster(
        nodes=tuple(Node(name=f"n{k}", capacity={"memory": capacity}) for k in range(nodes)),
        vms=tuple(VM(name=f"v{k}", node=f"n{h}", demand={"memory": s}) for k, (s, h) in enumerate(zip(sizes, hosts, strict=True))),
    )
    return replace(compile_problem(cluster, Policy()), **primitives)


def _empty(w: Working, nodes: list[int], *, chains: bool) -> int:
    used = w.used
    return w.empty(np.array(nodes, dtype=np.int32), ~w.problem.held, used, best_fit(w.problem, used), chains=chains)


def test_a_chain_empties_what_plain_moves_cannot() -> None:
    # 4 fits nowhere (free 3 and 2), but takes the place of 2 (free 3 + 2), which goes to the other node
    problem = _problem([4, 2, 5, 8], [0, 1, 1, 2], nodes=3)
    plain = Working(problem, problem.host)
    assert _empty(plain, [0], chains=False) == 0
    assert plain.host.tolist() == [0, 1, 1, 2]
    w = Working(problem, problem.host)
    assert _empty(w, [0], chains=True) == 1
    assert w.host.tolist() == [1, 2, 1, 2]
    assert w.free.ravel().tolist() == [10, 1, 0]


def test_a_chain_that_does_not_work_out_leaves_no_trace() -> None:
    # the first VM of node 0 leaves by a chain, the second finds nothing: all goes back
    problem = _problem([4, 3, 2, 5, 8], [0, 0, 1, 1, 2], nodes=3)
    w = Working(problem, problem.host)
    assert _empty(w, [0], chains=True) == 0
    assert w.host.tolist() == problem.host.tolist()
    assert w.free.ravel().tolist() == [3, 3, 2]


def test_a_held_vm_is_not_displaced() -> None:
    problem = _problem([4, 2, 5, 8], [0, 1, 1, 2], nodes=3)
    problem.held[1] = True
    assert _empty(Working(problem, problem.host), [0], chains=True) == 0


def test_a_heavy_vm_returns_in_place_of_a_light_one() -> None:
    # 6 was moved from node 0 to node 1, and 3 of node 0 may leave instead: 3 units move, not 6
    problem = _problem([6, 3, 4, 4], [0, 0, 0, 1], nodes=3, capacity=11)
    w = Working(problem, np.array([1, 0, 0, 1], dtype=np.int32))
    bring_home(w)
    assert w.host.tolist() == [0, 1, 0, 1]


def test_two_moved_vms_swap_back() -> None:
    problem = _problem([6, 5, 4, 5], [0, 1, 0, 1], nodes=2)
    w = Working(problem, np.array([1, 0, 0, 1], dtype=np.int32))
    bring_home(w)
    assert w.host.tolist() == [0, 1, 0, 1]


def test_nobody_returns_to_a_node_that_is_to_stay_empty() -> None:
    problem = _problem([6, 4], [0, 1], nodes=2)
    w = Working(problem, np.array([1, 1], dtype=np.int32))
    bring_home(w)
    assert w.host.tolist() == [1, 1]


def test_who_breaks_a_rule_is_the_lightest_that_may_leave() -> None:
    zone_of = np.array([0, 0, 1], dtype=np.int32)
    limit = GroupLimit(members=np.arange(4, dtype=np.int32), zone_of=zone_of, zones=2, most=2, continuous=True, source="")
    problem = _problem([3, 1, 2, 4], [0, 0, 1, 2], nodes=3, limits=(limit,))
    assert misplaced(problem, {}).tolist() == [1]
    problem.held[1] = True
    assert misplaced(problem, {}).tolist() == [2]
    soft = replace(problem, limits=(replace(limit, weight=1),))
    assert misplaced(soft, {}).tolist() == []


def test_who_leaves_for_classes_sets_and_nodes_in_use() -> None:
    classes = Disjoint(class_of=np.array([0, 1, 1, -1], dtype=np.int32), continuous=True, source="")
    assert misplaced(_problem([3, 1, 1, 1], [0, 0, 0, 0], nodes=2, disjoint=(classes,)), {}).tolist() == [1, 2]
    inside = np.array([0, 1], dtype=np.int32)
    ram = SetLimit(nodes=inside, amount=np.array([3, 1, 2, 9]), most=4, continuous=False, source="")
    assert misplaced(_problem([3, 1, 2, 9], [0, 0, 1, 2], nodes=3, set_limits=(ram,)), {}).tolist() == [2]
    usage = UsageLimit(nodes=inside, most=1, source="")
    assert misplaced(_problem([3, 1, 1, 9], [0, 1, 1, 2], nodes=3, usage_limits=(usage,)), {}).tolist() == [1, 2]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_kernels_break_no_hard_rule(data: st.DataObject) -> None:
    nodes, vms = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 14))
    pick = st.lists(st.integers(0, nodes - 1), min_size=nodes, max_size=nodes)
    some_nodes = st.sets(st.integers(0, nodes - 1), min_size=1).map(lambda s: np.array(sorted(s), dtype=np.int32))
    some_vms = st.sets(st.integers(0, vms - 1)).map(lambda s: np.array(sorted(s), dtype=np.int32))
    classes = st.lists(st.integers(-1, 2), min_size=vms, max_size=vms).map(lambda c: np.array(c, dtype=np.int32))
    rules: Mapping[str, Any] = {
        "limits": tuple(
            GroupLimit(
                members=data.draw(some_vms),
                zone_of=np.array(data.draw(pick), dtype=np.int32),
                zones=nodes,
                most=data.draw(st.integers(1, 3)),
                continuous=True,
                source="",
            )
            for _ in range(data.draw(st.integers(0, 3)))
        ),
        "disjoint": tuple(Disjoint(class_of=data.draw(classes), continuous=True, source="") for _ in range(data.draw(st.integers(0, 2)))),
        "set_limits": tuple(
            SetLimit(nodes=data.draw(some_nodes), amount=np.arange(vms) % 4, most=data.draw(st.integers(0, 9)), continuous=False, source="")
            for _ in range(data.draw(st.integers(0, 2)))
        ),
        "usage_limits": tuple(
            UsageLimit(nodes=data.draw(some_nodes), most=data.draw(st.integers(0, 2)), source="")
            for _ in range(data.draw(st.integers(0, 1)))
        ),
    }
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=vms, max_size=vms))
    hosts = data.draw(st.lists(st.integers(0, nodes - 1), min_size=vms, max_size=vms))
    problem = _problem(sizes, hosts, nodes, **rules)
    w = Working(problem, np.full(vms, -1, dtype=np.int32))
    everywhere = np.ones(nodes, dtype=np.bool_)
    w.fit(w.largest_first(positions(w.runs)), everywhere, best_fit(problem, everywhere))
    _assert_kept(problem, w.host)
    _empty(w, list(range(nodes)), chains=True)
    _assert_kept(problem, w.host)
    bring_home(w)
    _assert_kept(problem, w.host)
    out = positions(w.host == 0)
    w.take_out(out)
    squeeze(w, out, np.arange(nodes) > 0, np.random.default_rng(0), 200, lambda: False)
    _assert_kept(problem, w.host)
    load = np.zeros_like(problem.capacity)
    np.add.at(load, w.host[w.host >= 0], problem.demand[w.host >= 0])
    assert (problem.capacity - load == w.free).all()


def _assert_kept(problem: Problem, host: Indices) -> None:
    there = positions(host >= 0)
    for limit in problem.limits:
        members = np.intersect1d(limit.members, there)
        assert np.bincount(limit.zone_of[host[members]], minlength=1).max() <= limit.most
    for rule in problem.disjoint:
        for n in range(problem.n_nodes):
            on = rule.class_of[there[host[there] == n]]
            assert len(set(on[on >= 0].tolist())) <= 1
    for capacity in problem.set_limits:
        assert capacity.amount[np.isin(host, capacity.nodes)].sum() <= capacity.most
    for usage in problem.usage_limits:
        assert np.isin(usage.nodes, host).sum() <= usage.most
