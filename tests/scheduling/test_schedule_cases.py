"""Hand-worked plans: every kind of action and every reason to wait."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from entropy.model.plan import Action
from entropy.model.rules import Ban, Fence, Lonely, Quarantine, ResourceCapacity, Root, RunningCapacity, Split, Spread
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.schedule import Unorderable, schedule
from scheduling_problems import Case, case


def told(actions: Sequence[Action]) -> list[str]:
    """Each action with what it waits for, in words."""
    by_id = {a.id: a for a in actions}
    return [a.describe() + "".join(f" < {by_id[b].describe()}" for b in a.after) for a in actions]


def refused(asked: Case, *, proven: bool = True) -> Unorderable:
    with pytest.raises(Unorderable) as caught:
        schedule(asked.problem, asked.host, DurationModel())
    assert caught.value.proven == proven
    return caught.value


def moves(actions: Sequence[Action]) -> int:
    return sum(a.type in ("migrate", "suspend", "resume") for a in actions)


# -- live migrations -----------------------------------------------------------------------------------------------


def test_nothing_to_do() -> None:
    assert case({"n1": 4}, {"a": ("n1", 2)}, {}).actions() == ()


def test_independent_moves_all_start_at_once() -> None:
    actions = case({"n1": 2000, "n2": 2000}, {"a": ("n1", 1000), "b": ("n1", 125)}, {"a": "n2", "b": "n2"}).actions()
    assert [(a.id, a.start, a.end, a.after) for a in actions] == [("a1", 0.0, 9.0, ()), ("a2", 0.0, 2.0, ())]


def test_a_chain_waits_link_by_link() -> None:
    actions = case({"n1": 4, "n2": 4, "n3": 4}, {"a": ("n1", 4), "b": ("n2", 4)}, {"a": "n2", "b": "n3"}).actions()
    assert told(actions) == ["migrate b from n2 to n3", "migrate a from n1 to n2 < migrate b from n2 to n3"]
    assert actions[1].start == actions[0].end == pytest.approx(1.032)


def test_each_arrival_waits_only_for_its_own_departure() -> None:
    """Two leave a full node, two come: the one that can take the room of the quick one does not wait for the slow one."""
    actions = case(
        {"n1": 2000, "n2": 4000, "n3": 4000},
        {"quick": ("n1", 1000), "slow": ("n1", 1000), "c": ("n2", 1000), "d": ("n2", 1000)},
        {"quick": "n3", "slow": "n3", "c": "n1", "d": "n1"},
    ).actions(DurationModel({"migrate": "5"}))
    assert sorted(len(a.after) for a in actions) == [0, 0, 1, 1]
    assert len({a.after for a in actions if a.after}) == 2


def test_the_originals_swap_takes_a_pivot() -> None:
    """VM2 and VM4 (1,000 MiB) cannot pass each other directly: no node but n3 has room, and the lighter one goes through it."""
    actions = case(
        {"N1": 4000, "N2": 4000, "N3": 4000},
        {"VM1": ("N1", 3000), "VM2": ("N1", 1000), "VM3": ("N2", 3000), "VM4": ("N2", 1000)},
        {"VM2": "N2", "VM4": "N1"},
    ).actions()
    first, second, third = actions
    assert first.target == third.source == "N3"
    assert {first.vm, second.vm} == {"VM2", "VM4"}
    assert third.vm == first.vm
    assert (second.after, third.after) == (("a1",), ("a2",))
    assert actions[-1].end == 27.0


def test_a_ring_with_room_for_one_needs_no_detour() -> None:
    """The original's long cycle: 3,000 and 1,000 MiB fit together, so only VM3 waits, for VM1."""
    actions = case(
        {"N1": 4000, "N2": 4000, "N3": 4000, "N4": 4000},
        {"VM1": ("N1", 3000), "VM2": ("N2", 1000), "VM3": ("N3", 3000)},
        {"VM3": "N1", "VM1": "N2", "VM2": "N3"},
    ).actions()
    assert sorted(told(actions)) == [
        "migrate VM1 from N1 to N2",
        "migrate VM2 from N2 to N3",
        "migrate VM3 from N3 to N1 < migrate VM1 from N1 to N2",
    ]


def test_a_cycle_of_three_with_one_spare_node_moves_the_lightest_twice() -> None:
    actions = case(
        {"N1": 4000, "N2": 4000, "N3": 4000, "N4": 4000},
        {"VM1": ("N1", 3500), "VM2": ("N2", 3000), "VM3": ("N3", 3500)},
        {"VM3": "N1", "VM1": "N2", "VM2": "N3"},
    ).actions()
    assert told(actions) == [
        "migrate VM2 from N2 to N4",
        "migrate VM1 from N1 to N2 < migrate VM2 from N2 to N4",
        "migrate VM3 from N3 to N1 < migrate VM1 from N1 to N2",
        "migrate VM2 from N4 to N3 < migrate VM3 from N3 to N1",
    ]


def test_two_cycles_share_the_only_spare_node() -> None:
    actions = case(
        {"N1": 4, "N2": 4, "N3": 4, "N4": 4, "N5": 4},
        {"a": ("N1", 4), "b": ("N2", 4), "c": ("N3", 4), "d": ("N4", 4)},
        {"a": "N2", "b": "N1", "c": "N4", "d": "N3"},
    ).actions()
    assert moves(actions) == 6
    assert sum(a.target == "N5" for a in actions) == 2


def test_no_detour_where_an_order_without_one_exists() -> None:
    """p could take n1's last place at once; then q, for which all others wait, could never come in."""
    actions = case(
        {"n1": 2, "n2": 1, "n3": 1, "n4": 2},
        {"x": ("n1", 1), "y": ("n2", 1), "q": ("n3", 1), "p": ("n4", 1)},
        {"x": "n2", "y": "n3", "q": "n1", "p": "n1"},
    ).actions()
    assert moves(actions) == 4


def test_a_vm_that_stays_makes_way_when_nothing_else_can() -> None:
    """a and b are to be exchanged, but neither fits on the pivot: c steps aside and comes back."""
    actions = case({"n1": 4, "n2": 7, "n3": 2}, {"a": ("n1", 4), "b": ("n2", 3), "c": ("n2", 2)}, {"a": "n2", "b": "n1"}).actions()
    assert told(actions) == [
        "migrate c from n2 to n3",
        "migrate a from n1 to n2 < migrate c from n2 to n3",
        "migrate b from n2 to n1 < migrate a from n1 to n2",
        "migrate c from n3 to n2 < migrate b from n2 to n1",
    ]


def test_groups_that_do_not_touch_each_other_are_released_one_by_one() -> None:
    """In each group a VM that stays steps aside and returns; the second finds the pivots as the first leaves them."""
    actions = case(
        {"n1": 4, "n2": 7, "m1": 4, "m2": 7, "p": 2},
        {"a": ("n1", 4), "b": ("n2", 3), "c": ("n2", 2), "d": ("m1", 4), "e": ("m2", 3), "f": ("m2", 2)},
        {"a": "n2", "b": "n1", "d": "m2", "e": "m1"},
    ).actions()
    assert moves(actions) == 8


def test_many_cycles_share_the_spare_nodes_evenly() -> None:
    nodes = {f"n{k}": 4 for k in range(90)} | {f"spare{k}": 4 for k in range(6)}
    actions = case(nodes, {f"v{k}": (f"n{k}", 3) for k in range(90)}, {f"v{k}": f"n{k - k % 3 + (k + 1) % 3}" for k in range(90)}).actions()
    assert moves(actions) == 120
    through = [a.target for a in actions if str(a.target).startswith("spare")]
    assert sorted(through.count(f"spare{k}") for k in range(6)) == [5] * 6


def test_several_at_once_make_way() -> None:
    actions = case(
        {"n1": 4, "n2": 4, "n3": 2, "n4": 2},
        {"a": ("n1", 4), "b": ("n2", 2), "c": ("n2", 2)},
        {"a": "n2", "b": "n1", "c": "n1"},
    ).actions()
    assert moves(actions) == 5
    assert {a.target for a in actions} == {"n1", "n2", "n3", "n4"}


def test_a_pivot_that_is_still_to_be_started() -> None:
    actions = case(
        {"n1": 4, "n2": 4, "n3": {"state": "offline", "capacity": {"memory": 4.0}}},
        {"a": ("n1", 4), "b": ("n2", 4)},
        {"a": "n2", "b": "n1"},
        online=["n3"],
    ).actions()
    assert told(actions)[0] == "start n3"
    assert actions[1].after == ("a1",)
    assert moves(actions) == 3


@pytest.mark.parametrize("closed", [{"maintenance": True}, {"untouchable": "x was named but nobody reports it"}, {"state": "offline"}])
def test_no_detour_through_a_node_that_is_closed(closed: dict[str, object]) -> None:
    refused(
        case(
            {"n1": 4, "n2": 4, "n3": {"capacity": {"memory": 4.0}, **closed}},
            {"a": ("n1", 4), "b": ("n2", 4)},
            {"a": "n2", "b": "n1"},
        )
    )


@pytest.mark.parametrize("rule", [Ban(vms="*", nodes="n3"), Fence(vms="*", nodes=("n1", "n2")), Quarantine(nodes="n3")])
def test_no_detour_against_a_rule(rule: Ban | Fence | Quarantine) -> None:
    refused(case({"n1": 4, "n2": 4, "n3": 4}, {"a": ("n1", 4), "b": ("n2", 4)}, {"a": "n2", "b": "n1"}, rules=[rule]))


def test_a_detour_for_the_one_that_may() -> None:
    rules = [Ban(vms="a", nodes="n3")]
    actions = case({"n1": 4, "n2": 4, "n3": 4}, {"a": ("n1", 3), "b": ("n2", 4)}, {"a": "n2", "b": "n1"}, rules=rules).actions()
    assert [a.vm for a in actions if a.target == "n3"] == ["b"]


# -- what cannot be ordered ------------------------------------------------------------------------------------------


def test_a_swap_without_room_is_proven_impossible_and_told() -> None:
    error = refused(case({"n1": 4, "n2": 4}, {"a": ("n1", 4), "b": ("n2", 4)}, {"a": "n2", "b": "n1"}))
    assert error.vms == (0, 1)
    assert "a waits for memory on n2 (4 needed, 0 free) until b has left" in error.reason
    assert "allowSuspend" in error.reason


def test_a_full_cluster_of_any_size_is_proven_impossible() -> None:
    n = 60
    nodes = {f"n{k}": 4 for k in range(n)}
    refused(case(nodes, {f"v{k}": (f"n{k}", 4) for k in range(n)}, {f"v{k}": f"n{(k + 1) % n}" for k in range(n)}))


def test_with_permission_the_lightest_is_suspended() -> None:
    asked = case({"n1": 4, "n2": 4}, {"a": ("n1", 4), "b": ("n2", 3)}, {"a": "n2", "b": "n1"}, allow_suspend=True)
    assert told(asked.actions()) == [
        "suspend b on n2",
        "migrate a from n1 to n2 < suspend b on n2",
        "resume b on n1 (image on n2) < migrate a from n1 to n2",
    ]


def test_suspending_is_the_last_resort() -> None:
    nodes = {"n1": 4, "n2": 4, "n3": 4}
    actions = case(nodes, {"a": ("n1", 4), "b": ("n2", 4)}, {"a": "n2", "b": "n1"}, allow_suspend=True).actions()
    assert {a.type for a in actions} == {"migrate"}


def test_a_vm_that_is_not_migratable_neither_moves_nor_steps_aside() -> None:
    fixed = {"node": "n1", "demand": {"memory": 4.0}, "migratable": False}
    error = refused(case({"n1": 4, "n2": 4}, {"a": fixed}, {"a": "n2"}))
    assert error.reason == "a is to go from n1 to n2, but is not migratable."
    fixed = {"node": "n2", "demand": {"memory": 2.0}, "migratable": False}
    vms = {"a": ("n1", 4), "b": ("n2", 3), "c": fixed}
    refused(case({"n1": 4, "n2": 7, "n3": 2}, vms, {"a": "n2", "b": "n1"}, allow_suspend=False))


def test_a_rooted_vm_does_not_step_aside() -> None:
    vms = {"a": ("n1", 4), "b": ("n2", 3), "c": ("n2", 2)}
    refused(case({"n1": 4, "n2": 7, "n3": 2}, vms, {"a": "n2", "b": "n1"}, rules=[Root(vms="c")]))


def test_a_destination_that_would_end_above_is_refused_with_the_figures() -> None:
    error = refused(case({"n1": 4, "n2": 4}, {"a": ("n1", 2), "b": ("n2", 3)}, {"a": "n2"}))
    assert error.reason == "a cannot enter: memory on n2 would end at 5, over 4."
    assert error.vms == (0,)


# -- consumption, overload, rules at every instant --------------------------------------------------------------------


def test_what_leaves_counts_its_consumption_until_it_has_left() -> None:
    """a demands 2 but uses 4: b finds no room beside it; with a consumption of 1 it does."""
    for used, waits in ((4.0, True), (1.0, False)):
        a = {"node": "n1", "demand": {"memory": 2.0}, "consumption": {"memory": used}}
        actions = case({"n1": 4, "n2": 4, "n3": 4}, {"a": a, "b": ("n2", 3)}, {"a": "n3", "b": "n1"}).actions()
        assert [bool(x.after) for x in actions if x.vm == "b"] == [waits]


def test_nothing_enters_a_node_while_it_is_above() -> None:
    """n1 has room for c's memory at once, but its cpu is above until one of its VMs has left."""
    both = {"capacity": {"cpu": 2.0, "memory": 100.0}}
    vms = {
        "a": {"node": "n1", "demand": {"cpu": 2.0, "memory": 1.0}},
        "b": {"node": "n1", "demand": {"cpu": 2.0, "memory": 1.0}},
        "c": {"node": "n2", "demand": {"memory": 1.0}},
    }
    actions = case({"n1": both, "n2": both}, vms, {"b": "n2", "c": "n1"}).actions()
    assert told(actions)[-1] == "migrate c from n2 to n1 < migrate b from n1 to n2"


def test_every_arrival_waits_until_the_overload_is_gone() -> None:
    vms = {"a": ("n1", 3), "b": ("n1", 3), "c": ("n2", 1), "d": ("n2", 1)}
    actions = case({"n1": 5, "n2": 9, "n3": 9}, vms, {"a": "n3", "c": "n1", "d": "n1"}).actions()
    left = next(x.id for x in actions if x.vm == "a")
    assert [x.after for x in actions if x.vm in "cd"] == [(left,), (left,)]


def test_a_spread_holds_at_every_instant() -> None:
    vms = {"a": ("n1", 1), "b": ("n2", 1)}
    rule = Spread(vms=("a", "b"))
    actions = case({"n1": 9, "n2": 9, "n3": 9}, vms, {"a": "n2", "b": "n3"}, rules=[rule]).actions()
    assert told(actions)[-1] == "migrate a from n1 to n2 < migrate b from n2 to n3"
    assert moves(case({"n1": 9, "n2": 9, "n3": 9}, vms, {"a": "n2", "b": "n1"}, rules=[rule]).actions()) == 3
    refused(case({"n1": 9, "n2": 9}, vms, {"a": "n2", "b": "n1"}, rules=[rule]))
    relaxed = Spread(vms=("a", "b"), continuous=False)
    assert all(not x.after for x in case({"n1": 9, "n2": 9}, vms, {"a": "n2", "b": "n1"}, rules=[relaxed]).actions())


def test_a_hop_inside_a_zone_is_no_event_for_it() -> None:
    racks = {f"n{k}": {"capacity": {"memory": 9.0}, "labels": {"rack": f"r{(k + 1) // 2}"}} for k in (1, 2, 3, 4)}
    vms = {"a": ("n1", 1), "b": ("n3", 1)}
    rule = Spread(vms=("a", "b"), across="rack")
    actions = case(racks, vms, {"a": "n2", "b": "n4"}, rules=[rule]).actions()
    assert all(not x.after for x in actions)


def test_a_zone_above_its_limit_takes_nothing_until_it_is_within() -> None:
    vms = {"a": ("n1", 1), "b": ("n1", 1), "c": ("n2", 1)}
    asked = case({"n1": 9, "n2": 9, "n3": 9, "n4": 9}, vms, {"a": "n3", "b": "n4", "c": "n1"}, rules=[Spread(vms="*")])
    actions = asked.actions()
    assert len(next(x for x in actions if x.vm == "c").after) == 2


# -- the other states --------------------------------------------------------------------------------------------------


def test_a_set_of_nodes_counts_at_every_instant() -> None:
    """One VM leaves the pair of nodes and another comes: side by side when only the end counts."""
    nodes, vms, to = {"n1": 9, "n2": 9, "n3": 9}, {"a": ("n1", 1), "b": ("n3", 1)}, {"a": "n3", "b": "n2"}
    rule = RunningCapacity(nodes=("n1", "n2"), max=1, continuous=True)
    assert told(case(nodes, vms, to, rules=[rule]).actions()) == [
        "migrate a from n1 to n3",
        "migrate b from n3 to n2 < migrate a from n1 to n3",
    ]
    relaxed = RunningCapacity(nodes=("n1", "n2"), max=1, continuous=False)
    assert [a.after for a in case(nodes, vms, to, rules=[relaxed]).actions()] == [(), ()]


def test_a_hop_inside_a_set_of_nodes_is_no_event_for_it() -> None:
    rule = ResourceCapacity(nodes=("n1", "n2"), resource="memory", max=3.0, continuous=True)
    (action,) = case({"n1": 9, "n2": 9}, {"a": ("n1", 3)}, {"a": "n2"}, rules=[rule]).actions()
    assert action.after == ()


def test_a_set_of_nodes_above_its_limit_takes_nothing_until_it_is_within() -> None:
    vms = {"a": ("n1", 3), "b": ("n2", 2), "c": ("n3", 1)}
    rule = ResourceCapacity(nodes=("n1", "n2"), resource="memory", max=3.0, continuous=True)
    actions = case({"n1": 9, "n2": 9, "n3": 9}, vms, {"a": "n3", "c": "n1"}, rules=[rule]).actions()
    assert told(actions)[-1] == "migrate c from n3 to n1 < migrate a from n1 to n3"
    swap = case({"n1": 9, "n2": 9, "n3": 9}, {"a": ("n1", 3), "c": ("n3", 3)}, {"a": "n3", "c": "n1"}, rules=[rule])
    assert [a.vm for a in swap.actions()] == ["a", "c"]


def test_a_lonely_vm_comes_when_the_last_stranger_has_left() -> None:
    """And what the rule does not concern waits for nobody."""
    vms = {"a": ("n1", 1), "s": ("n2", 1), "t": ("n2", 1)}
    to = {"a": "n2", "s": "n1", "t": "n3"}
    actions = case({"n1": 9, "n2": 9, "n3": 9}, vms, to, rules=[Split(groups=(("a",), ("t",)))]).actions()
    assert told(actions) == ["migrate t from n2 to n3", "migrate s from n2 to n1", "migrate a from n1 to n2 < migrate t from n2 to n3"]
    actions = case({"n1": 9, "n2": 9, "n3": 9}, vms, to | {"s": "n3"}, rules=[Lonely(vms=("a",))]).actions()
    assert [a.vm for a in actions if a.after] == ["a"]
    assert len(actions[-1].after) == 2


def test_two_of_different_classes_swap_over_a_node_of_neither() -> None:
    asked = case(
        {"n1": 9, "n2": 9, "n3": 9}, {"a": ("n1", 1), "b": ("n2", 2)}, {"a": "n2", "b": "n1"}, rules=[Split(groups=(("a",), ("b",)))]
    )
    assert [(a.vm, a.target) for a in asked.actions()] == [("a", "n3"), ("b", "n1"), ("a", "n2")]


def test_strangers_that_share_a_node_may_go_on_until_they_part() -> None:
    vms = {"a": ("n1", 1), "s": ("n1", 1), "t": ("n2", 1)}
    actions = case({"n1": 9, "n2": 9, "n3": 9}, vms, {"s": "n3", "t": "n3"}, rules=[Lonely(vms=("a",))]).actions()
    assert [a.after for a in actions] == [(), ()]


def test_every_kind_of_action_in_one_plan() -> None:
    mem = {"capacity": {"memory": 4.0}}
    vms = {
        "moves": ("n1", 2),
        "starts": {"state": "ready", "demand": {"memory": 4.0}},
        "stops": ("n2", 2),
        "falls": ("n2", 2),
        "wakes": {"state": "sleeping", "node": "n1", "demand": {"memory": 2.0}},
        "far": {"state": "sleeping", "node": "n2", "demand": {"memory": 2.0}},
    }
    states = {"starts": "running", "stops": "ready", "falls": "sleeping", "wakes": "running", "far": "running"}
    asked = case(
        {"n1": mem, "n2": mem, "n3": {**mem, "state": "offline"}, "n4": mem},
        vms,
        {"moves": "n2", "starts": "n3", "wakes": "n1", "far": "n2"},
        states=states,
        online=["n3"],
        offline=["n4"],
    )
    actions = asked.actions()
    assert {a.type for a in actions} == {"migrate", "run", "stop", "suspend", "resume", "startup", "shutdown"}
    by_vm = {a.vm or a.type: a for a in actions}
    by_id = {a.id: a for a in actions}
    assert [by_id[b].type for b in by_vm["starts"].after] == ["startup"]
    assert by_vm["starts"].start == 60.0
    assert by_vm["shutdown"].after == ()
    assert by_vm["wakes"].after == ()


def test_a_node_is_shut_down_when_the_last_has_left() -> None:
    vms = {"a": ("n1", 125), "b": ("n1", 1000), "s": {"state": "sleeping", "node": "n1", "demand": {"memory": 1.0}}}
    actions = case({"n1": 2000, "n2": 2000}, vms, {"a": "n2", "b": "n2"}, offline=["n1"]).actions()
    assert actions[-1].type == "shutdown"
    assert sorted(actions[-1].after) == ["a1", "a2"]
    assert (actions[-1].start, actions[-1].end) == (9.0, 39.0)


def test_a_node_is_shut_down_after_the_image_was_read() -> None:
    vms = {"s": {"state": "sleeping", "node": "n1", "demand": {"memory": 1.0}}}
    actions = case({"n1": 4, "n2": 4}, vms, {"s": "n2"}, states={"s": "running"}, offline=["n1"]).actions()
    assert told(actions) == ["resume s on n2 (image on n1)", "shut down n1 < resume s on n2 (image on n1)"]


def test_an_image_on_a_node_that_is_off() -> None:
    off = {"state": "offline", "capacity": {"memory": 4.0}}
    vms = {"s": {"state": "sleeping", "node": "n1", "demand": {"memory": 1.0}}}
    error = refused(case({"n1": off, "n2": 4}, vms, {"s": "n2"}, states={"s": "running"}))
    assert error.reason == "s has its image on n1, which is off and is not to be started."
    actions = case({"n1": off, "n2": 4}, vms, {"s": "n2"}, states={"s": "running"}, online=["n1"]).actions()
    assert told(actions) == ["start n1", "resume s on n2 (image on n1) < start n1"]


def test_a_sleeping_vm_that_is_killed_loses_its_image() -> None:
    vms = {"s": {"state": "sleeping", "node": "n1", "demand": {"memory": 1.0}}}
    asked = case({"n1": 4}, vms, {}, states={"s": "killed"})
    assert told(schedule(asked.problem, asked.host, DurationModel())) == ["stop s on n1"]


def test_a_vm_asleep_that_may_not_move_wakes_only_where_its_image_lies() -> None:
    vms = {"s": {"state": "sleeping", "node": "n1", "demand": {"memory": 1.0}, "migratable": False}}
    error = refused(case({"n1": 4, "n2": 4}, vms, {"s": "n2"}, states={"s": "running"}))
    assert "can only be resumed on n1" in error.reason


def test_images_move_by_waking_and_sleeping_again() -> None:
    """Only a target asks for this: an image elsewhere, a VM that sleeps elsewhere, one that never ran."""
    vms = {
        "image": {"state": "sleeping", "node": "n1", "demand": {"memory": 3.0}},
        "runs": ("n1", 3),
        "new": {"state": "ready", "demand": {"memory": 3.0}},
    }
    to = {"image": "n2", "runs": "n2", "new": "n2"}
    asked = case({"n1": 4, "n2": 4}, vms, to, states={"runs": "sleeping", "new": "sleeping"})
    actions = schedule(asked.problem, asked.host, DurationModel())
    assert asked.reached(actions) == asked.wanted()
    assert [a.type for a in actions if a.vm == "image"] == ["resume", "suspend"]
    assert [a.type for a in actions if a.vm == "runs"] == ["migrate", "suspend"]
    assert [a.type for a in actions if a.vm == "new"] == ["run", "suspend"]


def test_starts_do_not_take_the_room_that_migrations_need() -> None:
    vms = {"a": ("n1", 4), "b": ("n2", 4), "new": {"state": "ready", "demand": {"memory": 4.0}}}
    asked = case({"n1": 4, "n2": 4, "n3": 4}, vms, {"a": "n2", "b": "n1", "new": "n3"}, states={"new": "running"})
    actions = asked.actions()
    assert moves(actions) == 3
    assert told(actions)[-1].startswith("run new on n3 < migrate")
