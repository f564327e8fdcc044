"""Rules on when the actions of some VMs run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from entropy.model.plan import Action
from entropy.model.rules import Deadline, NoDelay, Precedence, Sequence, Serialize, Sync
from entropy.model.values import Selection
from entropy.verification.case import Case
from entropy.verification.rules.words import broken
from entropy.verification.violation import TOLERANCE, Violation, amount, listed

__all__ = ["deadline", "no_delay", "precedence", "sequence", "serialize", "sync"]

_TOGETHER = 1e-3
"""Seconds: the forecast is written with three decimals."""


def _stories(case: Case, vms: Selection) -> list[tuple[Action, ...]]:
    """The actions of each selected VM that has some."""
    return [tuple(case.replay.story[vm]) for vm in case.vms(vms) if vm in case.replay.story]


def no_delay(case: Case, rule: NoDelay, title: str) -> Iterator[Violation]:
    """The first action of each VM waits for nothing."""
    for first, *_ in _stories(case, rule.vms):
        if first.after:
            what = f"{first.id} ({first.describe()}) waits for {listed(first.after)}, it should start at once"
            yield broken(title, what, (first.id, *first.after))


def sequence(case: Case, rule: Sequence, title: str) -> Iterator[Violation]:
    """The VMs' actions one after another, in this order (what holds for neighbours holds for all)."""
    stories = _stories(case, rule.vms)
    for earlier, later in pairwise(stories):
        if not case.order.before(earlier[-1].id, later[0].id):
            what = f"{later[0].id} ({later[0].describe()}) does not wait for {earlier[-1].id} ({earlier[-1].describe()})"
            yield broken(title, what, (earlier[-1].id, later[0].id))


def serialize(case: Case, rule: Serialize, title: str) -> Iterator[Violation]:
    """The VMs' actions never overlap: in any order that ``after`` allows, each waits for the one before."""
    actions = sorted((a for story in _stories(case, rule.vms) for a in story), key=lambda a: case.order.rank[a.id])
    for one, two in pairwise(actions):
        if not case.order.before(one.id, two.id):
            what = f"{one.id} ({one.describe()}) and {two.id} ({two.describe()}) can overlap, neither waits for the other"
            yield broken(title, what, (one.id, two.id))


def sync(case: Case, rule: Sync, title: str) -> Iterator[Violation]:
    """The VMs' last actions end together, by the forecast."""
    last = sorted((story[-1] for story in _stories(case, rule.vms)), key=lambda a: a.end)
    if last and last[-1].end - last[0].end > _TOGETHER:
        what = f"{last[0].id} ends at {amount(last[0].end)} s and {last[-1].id} at {amount(last[-1].end)} s, they should end together"
        yield broken(title, what, (last[0].id, last[-1].id))


def precedence(case: Case, rule: Precedence, title: str) -> Iterator[Violation]:
    """Every action of the first VMs ends before any of the second starts."""
    ends = [story[-1] for story in _stories(case, rule.before)]
    for first, *_ in _stories(case, rule.after):
        missing = [a.id for a in ends if not case.order.before(a.id, first.id)]
        if missing:
            yield broken(title, f"{first.id} ({first.describe()}) does not wait for {listed(missing)}", (first.id, *missing))


def deadline(case: Case, rule: Deadline, title: str) -> Iterator[Violation]:
    """The VMs' actions end within ``seconds``, by the forecast."""
    for story in _stories(case, rule.vms):
        latest = max(story, key=lambda a: a.end)
        if latest.end > rule.seconds + TOLERANCE:
            what = f"{latest.id} ({latest.describe()}) ends at {amount(latest.end)} s, the limit is {amount(rule.seconds)} s"
            yield broken(title, what, (latest.id,))
