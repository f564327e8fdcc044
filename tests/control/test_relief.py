"""Nodes that have eaten up their headroom get it back before they are overloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entropy.control.decision import Decision, View, decide
from entropy.control.relief import relieving, strained
from entropy.control.safety import independent
from entropy.control.sentence import describe
from entropy.control.settings import LoopSettings
from entropy.control.wiring import planner_of
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.scheduling.durations import DurationModel

SETTINGS = LoopSettings(headroom=0.2, work_limit=1, workers=1, objective="repair")


def cluster_with(**loads: list[float]) -> Cluster:
    """Nodes of 10 cores; per node, the cores that its VMs demand."""
    nodes = tuple(Node(name=name, capacity={"cpu": 10, "memory": 8192}) for name in loads)
    vms = tuple(
        VM(name=f"{name}-{k}", node=name, demand={"cpu": cpu, "memory": 512})
        for name, cores in loads.items()
        for k, cpu in enumerate(cores)
    )
    return Cluster(nodes=nodes, vms=vms)


def decided(cluster: Cluster, settings: LoopSettings = SETTINGS, policy: Policy | None = None) -> Decision:
    view = View(cluster=cluster, policy=policy or Policy())
    return decide(view, settings, planner_of(settings, DurationModel(), lambda: 0.0), independent(lenient=True))


def load_after(cluster: Cluster, decision: Decision, node: str) -> float:
    host = {vm.name: vm.node for vm in cluster.vms}
    for action in decision.plan.actions if decision.plan else ():
        assert action.vm
        host[action.vm] = action.target
    return sum(vm.demand["cpu"] for vm in cluster.vms if host[vm.name] == node)


@pytest.mark.parametrize(("load", "is_strained"), [(9.0, False), (9.01, True), (10.0, True), (11.0, True)])
def test_a_node_is_strained_when_half_of_its_headroom_is_gone(load: float, is_strained: bool) -> None:
    assert bool(strained(cluster_with(n1=[load]), 0.2)) == is_strained


def test_overcommitment_counts_and_without_headroom_no_node_is_strained() -> None:
    full = cluster_with(n1=[9.5])
    assert strained(full, 0.0) == {}
    (node,) = full.nodes
    assert strained(replace(full, nodes=(replace(node, overcommit={"cpu": 2.0}),)), 0.2) == {}


def test_the_most_strained_node_comes_first() -> None:
    found = strained(cluster_with(n1=[9.2], n2=[9.8], n3=[1.0]), 0.2)
    assert list(found) == ["n2", "n1"]
    assert found["n2"] == "n2 is nearly full (cpu 98 %)"


def test_a_strained_node_is_relieved_to_its_headroom_and_nobody_else_loses_his() -> None:
    cluster = cluster_with(n1=[5.0, 3.0, 1.5], n2=[6.0], n3=[7.5])
    found = decided(cluster)
    assert found.act
    assert not found.broken
    assert load_after(cluster, found, "n1") <= 8.0
    assert load_after(cluster, found, "n2") <= 8.0
    assert load_after(cluster, found, "n3") <= 8.0
    assert describe(found, cluster, 7).startswith("n1 is nearly full (cpu 95 %). Plan 7 relieves it: 1 move, 512 MiB,")


def test_an_overloaded_node_is_brought_back_to_its_headroom_not_just_to_full() -> None:
    cluster = cluster_with(n1=[5.0, 4.0, 1.0, 1.0], n2=[1.0])
    found = decided(cluster)
    assert found.act
    assert found.broken
    assert load_after(cluster, found, "n1") <= 8.0
    assert "mends it" in describe(found, cluster)


def test_where_there_is_no_room_for_headroom_an_overload_is_mended_as_far_as_it_goes() -> None:
    cluster = cluster_with(n1=[5.0, 4.0, 1.5], n2=[8.3])
    found = decided(cluster)
    assert found.act
    assert load_after(cluster, found, "n1") <= 10.0
    assert load_after(cluster, found, "n2") <= 10.0


def test_a_full_cluster_that_cannot_be_relieved_is_left_alone() -> None:
    assert decided(cluster_with(n1=[5.0, 4.5], n2=[5.0, 4.6])).kind == "idle"


def test_the_relieving_view_never_asks_for_less_than_the_cluster() -> None:
    cluster = cluster_with(n1=[5.0, 4.5], n2=[8.5], n3=[2.0])
    view = relieving(cluster, {"n3-0": 4.0}, 0.2, strained(cluster, 0.2))
    for real, careful in zip(cluster.vms, view.vms, strict=True):
        assert careful.demand["cpu"] >= real.demand["cpu"]
    for node, careful_node in zip(cluster.nodes, view.nodes, strict=True):
        assert careful_node.limit("cpu") <= node.limit("cpu")
    assert view.node_by_name["n1"].limit("cpu") == 8.0
    assert view.node_by_name["n2"].limit("cpu") == 8.5  # not strained: caution alone moves nobody
