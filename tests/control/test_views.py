"""Simplified, cautious and effective views of a cluster; health, lenient policies and stale plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.control.caution import Peaks, cautious
from entropy.control.effective import effective
from entropy.control.health import ailments
from entropy.control.lenient import lenient
from entropy.control.simplify import simplify
from entropy.control.staleness import changes
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import Among, Ban, Overbook, Precedence, Preserve, Split, SplitAmong, Spread
from simulated_world import cluster_of, migrate
from small_clusters import clusters


def one_node(*vms: VM, mhz: str = "2000", cpu: float = 4.0) -> Cluster:
    labels = {"cpuMHz": mhz} if mhz else {}
    return Cluster(nodes=(Node(name="n", capacity={"cpu": cpu, "memory": 8192.0}, labels=labels),), vms=vms)


def vm(name: str, cpu: float, **more: object) -> VM:
    return VM(name=name, node="n", demand={"cpu": cpu, "memory": 512.0}, **more)  # type: ignore[arg-type]


# -- simplify -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "units"),
    [(0.0, 0), (0.25, 0), (0.251, 1), (1.0, 1), (1.2, 2), (3.0, 3)],  # 500 MHz of 2000 MHz are 0.25 cores
)
def test_a_vm_above_the_threshold_needs_a_processing_unit_of_its_own_the_others_none(cpu: float, units: int) -> None:
    found, warnings = simplify(one_node(vm("a", cpu, consumption={"cpu": cpu})), 500.0)
    assert found.vms[0].demand == {"cpu": units, "memory": 512.0}
    assert found.vms[0].consumption == {"cpu": units}
    assert warnings == ()


@pytest.mark.parametrize("mhz", ["", "fast", "0", "nan", "-1"])
def test_a_node_that_does_not_say_its_clock_keeps_what_was_measured(mhz: str) -> None:
    cluster = one_node(vm("a", 0.7), mhz=mhz)
    found, warnings = simplify(cluster, 500.0)
    assert found == cluster
    assert len(warnings) == 1
    assert "cpuMHz" in warnings[0]


def test_vms_that_do_not_run_are_left_as_they_are() -> None:
    sleeping = vm("a", 0.7, state="sleeping")
    assert simplify(one_node(sleeping), 500.0)[0].vms == (sleeping,)


# -- caution ------------------------------------------------------------------------------------------------------


def test_peaks_are_the_highest_demand_within_the_window_and_forget_who_is_gone() -> None:
    peaks = Peaks(window=100.0)
    for at, cpu in [(0, 1.0), (50, 3.0), (60, 2.0), (120, 0.5)]:
        peaks.observe(one_node(vm("a", cpu)), at)
    assert peaks.of("a") == 3.0
    peaks.observe(one_node(vm("a", 0.5)), 155.0)
    assert peaks.of("a") == 2.0
    peaks.observe(one_node(), 156.0)
    assert peaks.of("a") == 0.0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 8)), min_size=1, max_size=20), st.floats(0, 100))
def test_peaks_agree_with_looking_at_every_sample(steps: list[tuple[float, float]], window: float) -> None:
    peaks, now, samples = Peaks(window=window), 0.0, []
    for wait, cpu in steps:
        now += wait
        samples.append((now, cpu))
        peaks.observe(one_node(vm("a", cpu)), now)
        assert peaks.of("a") == max(c for at, c in samples if at >= now - window)


@given(clusters(viable=True), st.data(), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_cautious_view_asks_for_more_and_never_makes_a_viable_cluster_unviable(
    cluster: Cluster, data: st.DataObject, headroom: float
) -> None:
    peaks = {v.name: data.draw(st.sampled_from([0.0, 0.3, 1.0, 2.5, 7.0])) for v in cluster.vms}
    view = cautious(cluster, peaks, headroom)
    for node, careful in zip(cluster.nodes, view.nodes, strict=True):
        assert careful.limit("cpu") <= node.limit("cpu") + 1e-9
        assert careful.limit("memory") == node.limit("memory")
    for machine, careful_vm in zip(cluster.vms, view.vms, strict=True):
        assert careful_vm.demand.get("cpu", 0) >= machine.demand.get("cpu", 0)
        assert careful_vm.used("cpu") == machine.used("cpu")
        assert careful_vm.node == machine.node
    if not any("overloaded" in text for text in ailments(cluster)):
        assert not any("overloaded" in text for text in ailments(view))


def test_a_node_keeps_its_headroom_free_and_one_beyond_it_what_it_has() -> None:
    roomy, full = one_node(vm("a", 1.0)), one_node(vm("a", 3.9))
    assert cautious(roomy, {}, 0.1).nodes[0].capacity["cpu"] == pytest.approx(3.6)
    assert cautious(full, {}, 0.1).nodes[0].capacity["cpu"] == pytest.approx(3.9)


def test_peaks_that_together_exceed_a_node_are_scaled_back_until_they_fill_it() -> None:
    view = cautious(one_node(vm("a", 1.0), vm("b", 1.0)), {"a": 3.0, "b": 5.0}, 0.0)
    assert [v.demand["cpu"] for v in view.vms] == [pytest.approx(1 + 2 / 3, abs=1e-3), pytest.approx(1 + 4 / 3, abs=1e-3)]
    assert sum(v.demand["cpu"] for v in view.vms) <= 4.0


# -- effective, health --------------------------------------------------------------------------------------------


def test_rules_that_change_amounts_are_written_into_the_cluster_once() -> None:
    cluster = one_node(vm("a", 1.0), vm("b", 0.2))
    policy = Policy(constraints=(Preserve(vms="*", resource="cpu", amount=0.5), Overbook(nodes="*", resource="cpu", ratio=2.0)))
    found = effective(cluster, policy)
    assert [v.demand["cpu"] for v in found.vms] == [1.0, 0.5]
    assert found.vms[1].used("cpu") == 0.2
    assert found.nodes[0].limit("cpu") == 8.0
    assert effective(found, policy) is found


def test_what_is_wrong_is_named_worst_first() -> None:
    nodes = (
        Node(name="n1", capacity={"cpu": 2, "memory": 1000}),
        Node(name="n2", capacity={"memory": 1000}),
        Node(name="n3", capacity={"cpu": 1, "memory": 9000}, maintenance=True),
    )
    vms = (
        VM(name="a", node="n1", demand={"cpu": 1, "memory": 1030}),
        VM(name="b", node="n2", demand={"cpu": 1, "memory": 10}),
        VM(name="c", node="n3", demand={"memory": 10}),
    )
    assert ailments(Cluster(nodes=nodes, vms=vms)) == (
        "n2 is overloaded (cpu: none offered)",
        "n1 is overloaded (memory 103 %)",
        "n3 is in maintenance and runs 1 VM",
    )
    assert ailments(one_node(vm("a", 4.0))) == ()
    assert ailments(one_node(vm("a", 4.02))) == ("n is overloaded (cpu 100.5 %)",)
    assert ailments(one_node(vm("a", 4.0001))) == ("n is overloaded (cpu just above 100 %)",)


# -- lenient ------------------------------------------------------------------------------------------------------


def test_only_what_exists_stays_in_a_rule_of_any_kind() -> None:
    cluster = cluster_of({"a": "n1", "b": "n2"})
    policy = Policy(
        constraints=(
            Spread(vms=("a", "x", "b")),
            Ban(vms="web-*", nodes=("n1", "n9")),
            Split(groups=(("a", "x"), ("b",))),
            Among(vms=("a",), groups=(("n1", "n9"), ("n2",))),
            SplitAmong(vm_groups=(("a", "x"), ("b",)), groups=(("n1",), ("n9", "n2"))),
            Precedence(before=("x",), after=("b",)),
            Spread(vms="app=none"),
        )
    )
    found, lost = lenient(policy, cluster)
    assert found.constraints == (
        Spread(vms=("a", "b")),
        Ban(vms=(), nodes=("n1",)),
        Split(groups=(("a",), ("b",))),
        Among(vms=("a",), groups=(("n1",), ("n2",))),
        SplitAmong(vm_groups=(("a",), ("b",)), groups=(("n1",), ("n2",))),
        Precedence(before=(), after=("b",)),
        Spread(vms="app=none"),
    )
    assert len(lost) == 8
    assert lenient(found, cluster) == (found, ())


# -- stale plans --------------------------------------------------------------------------------------------------

PLAN = Plan(actions=(migrate("a1", "a", "n1", "n2"), migrate("a2", "a", "n2", "n3", "a1"), migrate("a3", "b", "n1", "n3", "a2")))
NOW = cluster_of({"a": "n1", "b": "n1", "c": "n2"}, nodes=3)


def test_a_plan_fits_the_cluster_it_was_made_for_whatever_else_has_changed() -> None:
    assert changes(PLAN, NOW) == ()
    elsewhere = replace(NOW, vms=(*NOW.vms[:2], replace(NOW.vms[2], node="n3")))
    assert changes(PLAN, elsewhere) == ()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("b", {"node": "n2"}, "a3 (migrate b from n1 to n3): b is running on n2 now"),
        ("b", {"state": "sleeping"}, "b is sleeping on n1 now"),
        ("b", {"state": "ready", "node": None}, "b is ready now"),
    ],
)
def test_a_vm_that_is_not_where_its_first_action_expects_it_is_named(name: str, change: dict[str, str], words: str) -> None:
    vms = tuple(replace(v, **change) if v.name == name else v for v in NOW.vms)  # type: ignore[arg-type]
    (text,) = changes(PLAN, replace(NOW, vms=vms))
    assert words in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maintenance": True}, "n3 is in maintenance now"),
        ({"state": "offline"}, "n3 is offline now"),
        ({"untouchable": "who runs there is not known"}, "n3 must not be touched now: who runs there is not known"),
    ],
)
def test_a_node_that_is_not_as_the_plan_needs_it_is_named(change: dict[str, object], words: str) -> None:
    nodes = tuple(replace(n, **change) if n.name == "n3" else n for n in NOW.nodes)  # type: ignore[arg-type]
    found = changes(PLAN, replace(NOW, nodes=nodes))
    assert any(words in text for text in found)


def test_a_vm_or_node_that_is_gone_is_named() -> None:
    assert "there is no VM b any more" in changes(PLAN, replace(NOW, vms=NOW.vms[:1]))[0]
    assert "there is no node n3 any more" in changes(PLAN, replace(NOW, nodes=NOW.nodes[:2]))[0]


def test_a_node_that_the_plan_starts_itself_may_be_offline() -> None:
    off = replace(NOW, nodes=(*NOW.nodes[:2], replace(NOW.nodes[2], state="offline")))
    plan = Plan(actions=(Action(id="s", type="startup", node="n3"), migrate("m", "b", "n1", "n3", "s")))
    assert changes(plan, off) == ()
    assert "s (start n3): n3 is online now" in changes(plan, NOW)[0]
