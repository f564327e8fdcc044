"""Lists of VMs, split over metrics and joined again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entropy.platforms.ganglia.lists import CHECK, VMList, check_value, join, part_name, split
from entropy.platforms.ganglia.xml import Metric

NAMES = st.lists(
    st.from_regex(r"[A-Za-z0-9_.-]{1,60}", fullmatch=True).filter(lambda n: n not in ("none", "Domain-0")), unique=True, max_size=120
)


def metrics(*parts: str, tn: float = 0, check: str | None = None, **more: Metric) -> dict[str, Metric]:
    found = {part_name(k): Metric(part, tn, 60, 0) for k, part in enumerate(parts)} | more
    return found if check is None else found | {CHECK: Metric(check, tn, 60, 0)}


@given(NAMES, NAMES)
def test_split_then_joined_is_the_same(running: list[str], others: list[str]) -> None:
    sleeping = [name for name in others if name not in running]
    parts = split([*running, *(f"({name})" for name in sleeping)])
    assert all(len(part) <= 800 for part in parts)
    assert join(metrics(*parts)) == VMList(tuple(running), tuple(sleeping))
    assert join(metrics(*parts, check=check_value(parts))) == VMList(tuple(running), tuple(sleeping))


@given(NAMES, NAMES, st.data())
def test_a_list_that_is_half_rewritten_is_doubtful_or_right(old: list[str], new: list[str], data: st.DataObject) -> None:
    """Every instant between two rounds: some metrics are of the old list, the others of the new one, in the agent's order."""
    before, after = split(old, 100), split(new, 100)
    order = [CHECK, *(part_name(k) for k in range(max(len(before), len(after))))]
    values = {part_name(k): part for k, part in enumerate(before)} | {CHECK: check_value(before)}
    fresh = dict.fromkeys(order, "") | {part_name(k): part for k, part in enumerate(after)} | {CHECK: check_value(after)}
    sent = data.draw(st.integers(0, len(order)))
    values.update({name: fresh[name] for name in order[:sent]})
    found = join({name: Metric(value, 0, 60, 0) for name, value in values.items()})
    assert found.doubts or set(found.running) in ({*old}, {*new})


@given(NAMES, st.data())
def test_a_first_list_that_is_not_all_there_is_doubtful(names: list[str], data: st.DataObject) -> None:
    """After a start of gmond the parts arrive one by one."""
    parts = split(names, 100)
    arrived = data.draw(st.integers(1, len(parts)))
    assert bool(join(metrics(*parts[:arrived], check=check_value(parts))).doubts) == (arrived < len(parts))


def test_pitfall_3_any_white_space_separates() -> None:
    assert join(metrics("a\nb\tc  d\r\n(e)")) == VMList(("a", "b", "c", "d"), ("e",))


def test_pitfall_4_an_empty_value_is_an_empty_list() -> None:
    assert join(metrics("")) == VMList()


def test_parts_are_joined_in_order_of_their_numbers() -> None:
    parts = {part_name(k): Metric(f"v{k}", 0, 60, 0) for k in (10, 2, 0, 1)}
    assert join(parts).running == ("v0", "v1", "v2", "v10")
    assert join(metrics("a") | {"container.vms.0": Metric("b", 0, 60, 0), "container.vms.x": Metric("c", 0, 60, 0)}).running == ("a", "b")


def test_domain_0_and_the_word_none() -> None:
    assert join(metrics("Domain-0 a (Domain-0)")) == VMList(("a",))
    assert join(metrics("none")) == VMList()
    assert join(metrics("none a")).running == ("none", "a")
    assert join(metrics("none"), none_is_empty=False).running == ("none",)


def test_words_that_are_no_names() -> None:
    assert join(metrics("a (b c) () d(e)")) == VMList(("a",), (), ("(b", "c)", "()", "d(e)"))


def test_what_is_left_of_a_longer_list() -> None:
    """An agent that was started anew knows nothing of the longer list; the check says how many parts count."""
    assert join(metrics("a b", "gone", check=check_value(["a b"]))) == VMList(("a", "b"))
    assert join(metrics("a b", container_vms_1=Metric("", 0, 60, 0))).running == ("a", "b")
    expired = {"container.vms.1": Metric("gone", 8, 60, 3)}
    assert join(metrics("a b") | expired) == VMList(("a", "b"))


def test_a_lost_part_or_a_stale_list_is_doubtful() -> None:
    parts = split([f"web-{k}" for k in range(200)])
    lost = join(metrics(parts[0], "", *parts[2:], check=check_value(parts)))
    assert lost.doubts
    assert "web-0" in lost.running
    assert join(metrics("a", tn=240)).doubts
    assert not join(metrics("a", tn=239)).doubts
    assert "container.vms.1" in join(metrics("a") | {"container.vms.1": Metric("b", 999, 60, 0)}).doubts[0]


def test_a_check_that_nobody_publishes_any_more_is_ignored() -> None:
    old = {CHECK: Metric("1 00000000", 500, 60, 0)}
    assert join(metrics("a") | old) == VMList(("a",))


def test_a_check_of_nonsense_is_a_doubt() -> None:
    for nonsense in ("", "x", "-1 0", "99999999999999999999 0", "1", "4 zzz"):
        assert join(metrics("a", check=nonsense)).doubts
