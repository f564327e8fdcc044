"""Memory that rules drive off its nodes: never above what trying every assignment finds, and what it should be by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Fence, Gather, Lonely, ResourceCapacity, RunningCapacity, SplitAmong, Spread
from entropy.placement.bounds.rules import rules_bound
from entropy.problem.compile import compile_problem
from small_clusters import GROUPS, PLAIN, brute_force, clusters, policies


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_never_above_the_optimum(data: st.DataObject) -> None:
    cluster = data.draw(clusters(vms=5))
    policy = data.draw(policies(cluster, kinds=PLAIN + GROUPS))
    if (best := brute_force(cluster, policy)) is None:
        return
    problem = compile_problem(cluster, policy)
    scale = float(problem.scale[problem.resources.index("memory")])
    assert rules_bound(problem) / scale <= best.repair


def _vm(name: str, node: str, gib: int, **more: object) -> VM:
    return VM(name=name, node=node, demand={"cpu": 1, "memory": gib * 1024}, **more)  # type: ignore[arg-type]


VMS = (_vm("a", "n0", 1), _vm("b", "n0", 2), _vm("c", "n1", 4), _vm("d", "n2", 8), _vm("e", "n3", 16))


@pytest.mark.parametrize(
    ("rules", "gib"),
    [
        ((Gather(vms="*", across="node"),), 15),
        ((Gather(vms=("a", "c"), across="node"), Gather(vms=("b", "d"), across="node")), 3),
        ((Gather(vms=("a", "c"), across="node"), Gather(vms=("a", "d"), across="node")), 1),  # a is charged once
        ((SplitAmong(vm_groups=(("a", "c"), ("b", "e")), groups=("rack=r0", "rack=r1")),), 2),
        ((Lonely(vms=("a",)),), 1),
        ((Spread(vms=("a", "b", "c", "d"), across="rack", max=1),), 3),
        ((RunningCapacity(nodes=("n0", "n1"), max=1),), 3),
        ((ResourceCapacity(nodes=("n0", "n1"), resource="memory", max=3 * 1024),), 4),
        ((Fence(vms=("a",), nodes=("n2",)), Spread(vms=("a", "b"))), 1),
        ((Gather(vms=("a", "c"), across="node", soft=True),), 0),
    ],
)
def test_by_hand(rules: tuple[AnyRule, ...], gib: int) -> None:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 64, "memory": 65536}, labels={"rack": f"r{k // 2}"}) for k in range(4))
    problem = compile_problem(Cluster(nodes=nodes, vms=VMS), Policy(constraints=rules))
    assert rules_bound(problem) / problem.scale[1] == gib * 1024


def test_a_node_that_is_overloaded_too_adds_what_must_leave_it() -> None:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 64, "memory": 9 * 1024}, labels={}) for k in range(4))
    vms = (_vm("a", "n0", 1), _vm("b", "n0", 2), _vm("c", "n1", 5), _vm("d", "n1", 6), _vm("e", "n2", 3))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=(Gather(vms=("a", "e")),)))
    assert rules_bound(problem) == int(np.rint(6 * 1024 * problem.scale[1]))  # a to e, and c
