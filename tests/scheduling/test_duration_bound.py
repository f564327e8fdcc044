"""The bound on a plan's duration, worked by hand where it is reached exactly."""

from __future__ import annotations

import pytest

from entropy.scheduling.bound import duration_bound
from entropy.scheduling.durations import DurationModel
from scheduling_problems import Case, case

DURATIONS = DurationModel()
SLEEPING = {"state": "sleeping", "node": "n1", "demand": {"memory": 1000.0}}
OFF = {"state": "offline", "capacity": {"memory": 4000.0}}


def bound(asked: Case, *names: str, known: bool = True, durations: DurationModel = DURATIONS) -> float:
    acting = [k for k, v in enumerate(asked.cluster.vms) if v.name in names]
    return duration_bound(asked.problem, acting, asked.host if known else None, durations)


def end(asked: Case) -> float:
    return max(a.end for a in asked.actions())


def test_nothing_forced_takes_no_time() -> None:
    assert bound(case({"n1": 4}, {"a": ("n1", 2)}, {})) == 0.0


def test_the_longest_of_what_must_move() -> None:
    asked = case({"n1": 4000, "n2": 4000}, {"a": ("n1", 1000), "b": ("n1", 2000)}, {"a": "n2", "b": "n2"})
    assert bound(asked, "a", "b") == bound(asked, "a", "b", known=False) == end(asked) == 17.0
    assert bound(asked, "a") == 9.0


def test_who_comes_waits_for_who_has_to_leave_first() -> None:
    asked = case({"n1": 4000, "n2": 4000, "n3": 4000}, {"a": ("n1", 3000), "b": ("n2", 2000)}, {"a": "n2", "b": "n3"})
    assert bound(asked, "a", "b") == end(asked) == 42.0
    assert bound(asked, "a", "b", known=False) == 25.0


def test_a_start_on_a_node_that_is_off() -> None:
    new = {"state": "ready", "demand": {"memory": 1.0}}
    asked = case({"n1": OFF}, {"new": new}, {"new": "n1"}, states={"new": "running"}, online=["n1"])
    assert bound(asked, "new") == end(asked) == 65.0
    assert bound(asked, "new", known=False) == 60.0


def test_an_image_on_a_node_that_is_off() -> None:
    asked = case({"n1": OFF, "n2": 4000}, {"s": SLEEPING}, {"s": "n2"}, states={"s": "running"}, online=["n1"])
    assert bound(asked, "s") == end(asked) == 69.0


def test_a_shutdown_waits_for_the_last_to_leave() -> None:
    asked = case({"n1": 4000, "n2": 4000}, {"a": ("n1", 1000), "b": ("n1", 2000)}, {"a": "n2", "b": "n2"}, offline=["n1"])
    assert bound(asked) == bound(asked, "a", "b") == end(asked) == 47.0


def test_permission_to_suspend_lowers_the_bound_only_where_that_is_quicker() -> None:
    slow = DurationModel({"migrate": "100", "suspend@local": "10", "resume@remote": "20", "resume@local": "40"})
    nodes = {"n1": 4000, "n2": 4000}
    for allowed, seconds in ((False, 100.0), (True, 30.0)):
        asked = case(nodes, {"a": ("n1", 1000)}, {"a": "n2"}, allow_suspend=allowed)
        assert bound(asked, "a", durations=slow) == bound(asked, "a", durations=slow, known=False) == seconds


@pytest.mark.parametrize(("known", "seconds"), [(True, 20.0), (False, 5.0)])
def test_without_hosts_the_quickest_node_counts(known: bool, seconds: float) -> None:
    per_node = DurationModel({"migrate": "node#memory / 100"})
    asked = case({"n1": 4000, "n2": 2000, "n3": 500}, {"a": ("n1", 10)}, {"a": "n2"})
    assert bound(asked, "a", durations=per_node, known=known) == seconds


def test_what_ends_asleep_or_stopped() -> None:
    vms = {"falls": ("n1", 1000), "stops": ("n1", 1000), "image": SLEEPING}
    asked = case({"n1": 4000}, vms, {}, states={"falls": "sleeping", "stops": "ready", "image": "ready"})
    assert [bound(asked, name) for name in vms] == [9.0, 2.0, 2.0]
