"""What the adapter makes of what Ganglia says: the arithmetic, who is who, and what is left alone."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from entropy.formats.documents import dump, parse
from entropy.model.cluster import VM, Cluster
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.memory import Memory
from entropy.platforms.ganglia.settings import GangliaSettings, NodeFilter
from ganglia_xml import document, host, look, node, vm


def untouchable(seen: Observation) -> dict[str, str]:
    return {n.name: n.untouchable for n in seen.cluster.nodes if n.untouchable}


def where(seen: Observation) -> dict[str, str]:
    return {vm.name: f"{vm.state} {vm.node}" + ("" if vm.migratable else " fixed") for vm in seen.cluster.vms}


def said(seen: Observation, *parts: str) -> bool:
    return any(all(part in warning for part in parts) for warning in seen.warnings)


# -- the arithmetic -----------------------------------------------------------------------------------------------


def test_units_and_labels() -> None:
    seen = look(
        node("n1", "a", ip="192.0.2.1", container__mem_total=4185088, container__cpu_num=2, cpu_speed=1995.0,
             container__driver__run="sshRun", container__driver__startup=("wol", 9, 60, 3)),
        vm("a", mem_total="524504.000", cpu_num=4, cpu_user=10, cpu_nice=2.5, cpu_system=0.1),
    )  # fmt: skip
    n1 = seen.cluster.node_by_name["n1"]
    assert n1.capacity == {"cpu": 2.0, "memory": 4185088 / 1024}
    assert n1.labels == {
        "hypervisor": "xen-4.17", "driver.migration": "ssh", "driver.run": "sshRun", "cpuMHz": "1995", "address": "192.0.2.1",
        "ganglia.cluster": "prod",
    }  # fmt: skip
    a = seen.cluster.vm_by_name["a"]
    assert a.demand == {"cpu": 0.504, "memory": 524504 / 1024}
    assert a.labels == {"cpus": "4"}
    assert seen.warnings == ()


@pytest.mark.parametrize(
    ("shares", "cpus", "cores"),
    [
        ((90, 3.0, 1.5), 1, 0.945),
        ((99.0, 1.0, 0.0), 1, 1.0),
        ((0, 0, 0), 8, 0.0),
        ((0.1, 0, 0), 1, 0.001),
        ((0.01, 0, 0), 1, 0.001),
        ((33.3, 33.3, 33.3), 3, 2.997),
        ((99.9, 0.3, 0.0), 2, 2.0),
    ],
)
def test_demand_of_cpu_is_rounded_up_and_never_more_than_the_vm_has(shares: tuple[float, ...], cpus: int, cores: float) -> None:
    user, nice, system = shares
    seen = look(node("n1", "a"), vm("a", cpu_num=cpus, cpu_user=user, cpu_nice=nice, cpu_system=system))
    assert seen.cluster.vm_by_name["a"].demand["cpu"] == cores
    assert seen.warnings == ()


@pytest.mark.parametrize(
    "load", [{"cpu_user": -1}, {"cpu_system": 900}, {"cpu_nice": "nan"}, {"cpu_user": "x"}, {"cpu_user": 80, "cpu_system": 80}]
)
def test_a_load_that_cannot_be_counts_as_all_cpus(load: dict[str, object]) -> None:
    seen = look(node("n1", "a"), vm("a", **load))
    assert seen.cluster.vm_by_name["a"].demand["cpu"] == 2.0
    assert said(seen, "a (")
    assert untouchable(seen) == {}


def test_a_load_that_is_missing_is_as_last_known_else_all_cpus() -> None:
    memory = Memory()
    assert look(node("n1", "a"), vm("a", without="cpu_system"), memory=Memory()).cluster.vm_by_name["a"].demand["cpu"] == 2.0
    look(node("n1", "a"), vm("a"), memory=memory)
    for gone in (vm("a", without="cpu_user"), vm("a", cpu_user=(90, 400, 90)), vm("a", cpu_user=(90, 9, 60, 3))):
        seen = look(node("n1", "a"), gone, memory=memory)
        assert seen.cluster.vm_by_name["a"].demand["cpu"] == 0.5
        assert said(seen, "cpu_user", ": a") or said(seen, "for a:")


@pytest.mark.parametrize(
    "wrong",
    [{"container__mem_total": 99999999999}, {"container__mem_total": "0"}, {"container__cpu_num": "-2"}, {"container__cpu_num": "nan"},
     {"container__cpu_num": ""}, {"container__mem_total": "8 GB"}, {"container__cpu_num": "1_0"}],
)  # fmt: skip
def test_pitfall_5_a_capacity_that_cannot_be_makes_no_node(wrong: dict[str, object]) -> None:
    seen = look(node("n1", "a", **wrong), vm("a"), node("n2"))
    assert [n.name for n in seen.cluster.nodes] == ["n2"]
    assert seen.cluster.vms == ()
    assert said(seen, "n1", "accepted")


# -- who is who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing", ["container.mem_total", "container.cpu_num", "container.type", "container.driver.migration", "container.vms"]
)
def test_a_node_publishes_all_five(missing: str) -> None:
    seen = look(node("n1", "", without=missing), node("n2"))
    assert [n.name for n in seen.cluster.nodes] == ["n2"]
    assert said(seen, "n1", missing)


def test_a_vm_is_named_and_reports_its_size_and_others_are_ignored() -> None:
    seen = look(node("n1", "a"), vm("a"), vm("stranger"), host("printer", {"load_one": 1}))
    assert where(seen) == {"a": "running n1"}
    assert seen.warnings == ()


def test_names_of_the_cluster_and_instant() -> None:
    assert (look(node("n1")).cluster.name, look().cluster.name) == ("prod", "")
    assert look(node("n1")).cluster.observed_at == datetime.fromtimestamp(1795329267, timezone.utc)
    assert said(look(), "entropy-ganglia-agent")


def test_pitfall_6_gmond_started_of_a_spoofed_host_means_nothing() -> None:
    assert b'GMOND_STARTED="-941902768"' in document(node("n1"))
    assert look(node("n1")).cluster.nodes[0].state == "online"


def test_sleeping_ready_none_and_domain_0() -> None:
    seen = look(node("n1", "Domain-0 a\n(b)"), vm("a"), vm("b"), node("n2", "none"), node("n3", ""))
    assert where(seen) == {"a": "running n1", "b": "sleeping n1"}
    assert seen.warnings == ()
    assert where(look(node("n1", "none"), vm("none"))) == {"none": "running n1"}


def test_order_is_by_name_whatever_ganglia_serves_first() -> None:
    hosts = [node("n2", "c"), vm("c"), node("n1", "b a"), vm("b"), vm("a")]
    assert look(*hosts).cluster == look(*reversed(hosts)).cluster
    assert [v.name for v in look(*hosts).cluster.vms] == ["a", "b", "c"]


def test_the_result_is_a_document() -> None:
    seen = look(node("n1", "a (b) x"), vm("a"), vm("b"), node("n2", "a"), node("n3", tn=99))
    assert parse(dump(seen.cluster), Cluster) == seen.cluster


# -- offline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tn", "state"), [(79, "online"), (80, "offline"), (5000, "offline")])
def test_offline_from_four_times_tmax(tn: int, state: str) -> None:
    seen = look(node("n1", "a (b)", tn=tn), vm("a"), vm("b"))
    assert seen.cluster.nodes[0].state == state
    assert bool(seen.cluster.vms) == (state == "online")
    assert said(seen, "n1", "offline", "a, (b)") == (state == "offline")


def test_a_vm_that_left_a_host_before_it_died() -> None:
    seen = look(node("n1", "a", tn=100), node("n2", "a"), vm("a"))
    assert where(seen) == {"a": "running n2"}
    assert untouchable(seen) == {}


# -- who nobody reports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", [(), (vm("x", without="mem_total"),), (vm("x", mem_total="?"),), (node("x"),)])
def test_a_vm_that_nobody_reports_makes_that_node_untouchable_and_no_other(hosts: tuple[str, ...]) -> None:
    seen = look(node("n1", "a x"), node("n2", "b"), vm("a"), vm("b"), *hosts)
    assert where(seen) == {"a": "running n1", "b": "running n2"}
    assert set(untouchable(seen)) == {"n1"}
    assert "x" in untouchable(seen)["n1"]
    assert said(seen, "n1 is left alone", "x")


def test_one_whose_size_is_known_is_counted_and_left_alone() -> None:
    memory = Memory()
    look(node("n1", "a"), vm("a"), memory=memory)
    for seen in (
        look(node("n1", "a"), memory=memory),
        look(node("n1", "a"), known={"a": VM(name="a", node="n9", demand={"cpu": 0.5, "memory": 1024.0})}),
        look(node("n1", "a"), vm("a", tn=80)),
        look(node("n1", "a"), vm("a", mem_total=(1 << 20, 9, 60, 3))),
    ):
        assert where(seen) == {"a": "running n1 fixed"}
        assert seen.cluster.vm_by_name["a"].demand == {"cpu": 0.5, "memory": 1024.0}
        assert set(untouchable(seen)) == {"n1"}


def test_many_that_nobody_reports_are_one_short_sentence() -> None:
    seen = look(node("n1", " ".join(f"web-{k:04}-{'x' * 200}" for k in range(500))))
    assert len(seen.warnings) == 1
    assert "500 in all" in seen.warnings[0]
    assert len(untouchable(seen)["n1"]) <= 1024


def test_words_that_are_no_names_make_the_node_untouchable() -> None:
    seen = look(node("n1", "a (b c"), vm("a"), vm("c"))
    assert "'(b'" in untouchable(seen)["n1"]


# -- sleeping -----------------------------------------------------------------------------------------------------


def test_a_sleeping_vm_is_as_last_known() -> None:
    memory = Memory()
    look(node("n1", "a"), vm("a"), memory=memory)
    journal = {"a": VM(name="a", state="sleeping", node="n1", demand={"cpu": 0.5, "memory": 1024.0})}
    for seen in (
        look(node("n1", "(a)"), vm("a", tn=99999)),
        look(node("n1", "(a)"), memory=memory),
        look(node("n1", "(a)"), known=journal),
    ):
        assert where(seen) == {"a": "sleeping n1"}
        assert seen.cluster.vm_by_name["a"].demand == {"cpu": 0.5, "memory": 1024.0}
        assert seen.warnings == ()


def test_a_sleeping_vm_of_unknown_size_is_left_out_and_its_node_stays_usable() -> None:
    seen = look(node("n1", "a (b)"), vm("a"))
    assert where(seen) == {"a": "running n1"}
    assert untouchable(seen) == {}
    assert said(seen, "asleep", "b")


# -- named twice --------------------------------------------------------------------------------------------------


def test_named_by_two_nodes_stays_where_it_was_seen_until_one_claims_it() -> None:
    memory = Memory()
    look(node("n2", "a"), node("n1"), vm("a"), memory=memory)
    for _ in range(3):
        seen = look(node("n2", "a"), node("n1", "a"), vm("a"), memory=memory)
        assert where(seen) == {"a": "running n2 fixed"}
        assert set(untouchable(seen)) == {"n1"}
        assert said(seen, "n1", "a (kept on n2)")
    seen = look(node("n2"), node("n1", "a"), vm("a"), memory=memory)
    assert where(seen) == {"a": "running n1"}
    assert seen.warnings == ()


def test_named_by_two_nodes_and_never_seen_is_on_the_first_in_order_of_name() -> None:
    seen = look(node("n2", "a"), node("n1", "a"), vm("a"))
    assert where(seen) == {"a": "running n1 fixed"}
    assert set(untouchable(seen)) == {"n2"}
    known = {"a": VM(name="a", node="n2", demand={"cpu": 1.0, "memory": 1.0})}
    assert where(look(node("n2", "a"), node("n1", "a"), vm("a"), known=known)) == {"a": "running n2 fixed"}


def test_running_beats_sleeping_and_the_image_keeps_its_node_untouchable() -> None:
    memory = Memory()
    look(node("n1", "(a)"), node("n2"), vm("a"), memory=memory)
    seen = look(node("n1", "(a)"), node("n2", "a"), vm("a"), memory=memory)
    assert where(seen) == {"a": "running n2 fixed"}
    assert set(untouchable(seen)) == {"n1"}


def test_running_and_asleep_on_one_node() -> None:
    seen = look(node("n1", "a (a)"), vm("a"))
    assert where(seen) == {"a": "running n1 fixed"}
    assert untouchable(seen) == {}
    assert said(seen, "as running and as asleep", "a")


def test_two_images_of_one_vm() -> None:
    seen = look(node("n2", "(a)"), node("n1", "(a)"), vm("a"))
    assert where(seen) == {"a": "sleeping n1 fixed"}
    assert set(untouchable(seen)) == {"n2"}


def test_an_agent_that_died_on_a_living_node_loses_against_one_that_lives() -> None:
    memory = Memory()
    look(node("n1", "a"), node("n2"), vm("a"), memory=memory)
    seen = look(node("n1", ("a", 300)), node("n2", "a"), vm("a"), memory=memory)
    assert where(seen) == {"a": "running n2 fixed"}
    assert set(untouchable(seen)) == {"n1"}
    assert "300 s ago" in untouchable(seen)["n1"]


def test_one_that_no_node_names_but_that_still_reports() -> None:
    memory = Memory()
    look(node("n1", "a"), vm("a"), memory=memory)
    assert said(look(node("n1"), vm("a"), memory=memory), "no online node names", "a")
    assert look(node("n1"), vm("a", tn=40), memory=memory).warnings == ()


# -- stale --------------------------------------------------------------------------------------------------------


def test_pitfall_7_a_list_past_its_time_is_counted_and_not_believed() -> None:
    for old in (("a", 240), ("a", 9, 60, 3)):
        seen = look(node("n1", old), vm("a"))
        assert where(seen) == {"a": "running n1"}
        assert set(untouchable(seen)) == {"n1"}
    assert set(untouchable(look(node("n1", container__type=("xen", 9, 60, 3))))) == {"n1"}
    assert untouchable(look(node("n1", container__mem_total=(1 << 24, 9999, 60, 0)))) == {}


# -- two hosts of one name ----------------------------------------------------------------------------------------


def test_two_living_nodes_of_one_name() -> None:
    seen = look(node("n1", "a", ip="192.0.2.1", tn=9), node("n1", "b", ip="192.0.2.2", tn=3), vm("a"), vm("b"))
    assert seen.cluster.nodes[0].labels["address"] == "192.0.2.2"
    assert where(seen) == {"a": "running n1", "b": "running n1"}
    assert "2 hosts" in untouchable(seen)["n1"]


def test_a_node_that_came_back_under_another_address() -> None:
    seen = look(node("n1", "a", ip="192.0.2.1", tn=90), node("n1", "b", ip="192.0.2.2"), vm("a"), vm("b"))
    assert where(seen) == {"b": "running n1"}
    assert untouchable(seen) == {}


def test_two_hosts_that_report_as_one_vm() -> None:
    twins = (vm("a", ip="192.0.2.1", mem_total=1 << 21), vm("a", ip="192.0.2.2", cpu_user=60))
    seen = look(node("n1", "a"), *twins)
    assert seen.cluster.vm_by_name["a"].demand == {"cpu": 1.3, "memory": 2048.0}
    assert said(seen, "several hosts", "a")
    dead = look(node("n1", "a"), vm("a", tn=200, mem_total=1 << 22), vm("a"))
    assert dead.cluster.vm_by_name["a"].demand["memory"] == 1024.0


# -- white and black lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"nodesWhitelist": ["n1"]}, {"nodesBlacklist": ["n2"]}])
def test_lists_filter_nodes_and_their_vms(settings: dict[str, object]) -> None:
    seen = look(node("n1", "a"), node("n2", "b"), vm("a"), vm("b"), **settings)
    assert where(seen) == {"a": "running n1"}
    assert [n.name for n in seen.cluster.nodes] == ["n1"]
    assert seen.warnings == ()


def test_a_vm_on_its_way_from_an_unmanaged_node_is_left_alone() -> None:
    seen = look(node("n1", "a"), node("n0", "a"), vm("a"), nodesBlacklist=["n0"])
    assert where(seen) == {}
    assert set(untouchable(seen)) == {"n1"}


def test_a_name_on_the_list_that_is_no_host_is_told() -> None:
    assert said(look(node("n1"), nodesWhitelist=["n1", "n7"]), "white list", "n7")


def test_a_list_in_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "nodes"
    path.write_text("# managed\nn1\n\n  n2  # the new one\n")
    assert NodeFilter(GangliaSettings(nodes_whitelist=str(path))).names == {"n1", "n2"}


def test_the_least_recently_seen_is_forgotten() -> None:
    memory = Memory(2)
    look(node("n1", "a b c"), vm("a"), vm("b"), vm("c"), memory=memory)
    assert memory.names() == ("b", "c")
