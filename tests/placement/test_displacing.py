"""VMs that find no room displace others: what that costs at least is known by hand, and nothing is left behind."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Spread
from entropy.placement.bounds import must_leave, observed_hosts, usable_nodes
from entropy.placement.displacing import displace
from entropy.placement.goals import moved_memory
from entropy.placement.repair import misplaced
from entropy.placement.viability import is_viable
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem
from small_clusters import brute_force, clusters, policies


def _displaced(problem: Problem) -> tuple[Working, bool]:
    working = Working(problem, observed_hosts(problem))
    vms = misplaced(problem, must_leave(problem)[1])
    working.take_out(vms)
    return working, displace(working, vms, usable_nodes(problem), lambda: False)


def _node(name: str, gib: float, **more: object) -> Node:
    return Node(name=name, capacity={"memory": gib * 1024}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str, gib: float) -> VM:
    return VM(name=name, node=node, demand={"memory": gib * 1024})


def test_each_arrival_displaces_what_just_suffices() -> None:
    """Two 8 GiB VMs enter nodes with 4 GiB free; who leaves these fills the gaps of two others."""
    nodes = (_node("a", 16, maintenance=True), *(_node(f"n{k}", 12) for k in range(4)))
    vms = (_vm("x", "a", 8), _vm("y", "a", 8), *(_vm(f"v{k}{j}", f"n{k}", 4) for k in range(4) for j in range(2)))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    working, settled = _displaced(problem)
    assert settled
    assert is_viable(problem, working.host)
    assert moved_memory(problem, working.host) / problem.scale[0] == 24 * 1024


def test_a_chain_of_three() -> None:
    """The large one enters where the middle one was, that one where the small one was, and the small one finds the only gap."""
    nodes = (_node("a", 8, maintenance=True), _node("b", 8), _node("c", 5), _node("d", 2))
    problem = compile_problem(Cluster(nodes=nodes, vms=(_vm("x", "a", 8), _vm("y", "b", 5), _vm("z", "c", 2))), Policy())
    working, settled = _displaced(problem)
    assert (settled, working.host.tolist()) == (True, [1, 2, 3])


def test_a_mate_is_no_neighbour() -> None:
    """The cheapest room is beside a VM of the same group; the other room costs more."""
    nodes = (_node("a", 4, maintenance=True), _node("b", 6), _node("c", 6), _node("d", 3))
    vms = (_vm("x", "a", 4), _vm("mate", "b", 2), _vm("u", "b", 1), _vm("w", "c", 3))
    rules = (Spread(vms=("x", "mate"), across="node"),)
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=rules))
    working, settled = _displaced(problem)
    assert settled
    assert is_viable(problem, working.host)


def test_what_cannot_be_settled_is_left_as_it_was() -> None:
    nodes = (_node("a", 8, maintenance=True), _node("b", 8))
    problem = compile_problem(Cluster(nodes=nodes, vms=(_vm("x", "a", 8), _vm("y", "b", 5))), Policy())
    working, settled = _displaced(problem)
    assert not settled
    assert working.host.tolist() == [-1, 1]
    assert working.free.tolist() == Working(problem, np.array([-1, 1], dtype=np.int32)).free.tolist()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_settled_keeps_every_rule(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    problem = compile_problem(cluster, policy)
    before = observed_hosts(problem)
    working, settled = _displaced(problem)
    if settled:  # what is held may break a rule whatever moves
        assert is_viable(problem, working.host) or brute_force(cluster, policy) is None
    else:
        kept = working.host >= 0
        assert (working.host[kept] == before[kept]).all()
