"""Rules on which node a VM may be, may come to or leave, and beside whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from entropy.model.rules import Ban, Fence, Lonely, Quarantine, Root, Split
from entropy.verification.case import Case
from entropy.verification.replay import Spell
from entropy.verification.rules.words import broken
from entropy.verification.violation import Violation, listed, when

__all__ = ["ban", "fence", "lonely", "quarantine", "root", "split"]


def fence(case: Case, rule: Fence, title: str) -> Iterator[Violation]:
    """The VMs run only on the nodes.  A selection that holds no node makes the rule void."""
    inside = case.node_set(rule.nodes)
    if inside:
        where = f"it may only run on {listed(case.nodes(rule.nodes))}"
        yield from _kept_off(case, rule, title, lambda node: node not in inside, where)


def ban(case: Case, rule: Ban, title: str) -> Iterator[Violation]:
    """The VMs never run on the nodes."""
    inside = case.node_set(rule.nodes)
    yield from _kept_off(case, rule, title, inside.__contains__, "it may not run there")


def _kept_off(case: Case, rule: Fence | Ban, title: str, wrong: Callable[[str], bool], why: str) -> Iterator[Violation]:
    for vm in case.vms(rule.vms):
        for spell in case.replay.spells(vm):
            if not wrong(spell.node):
                continue
            if spell.left is None:
                how = f"ends on {spell.node}"
            elif rule.continuous and spell.came is not None:
                how = f"passes over {spell.node} (brought there by {spell.came})"
            else:
                continue  # it was there from the beginning, and leaves
            yield broken(title, f"{vm} {how}, {why}", (spell.came, spell.left))


def root(case: Case, rule: Root, title: str) -> Iterator[Violation]:
    """The VMs, once running, do not change node."""
    for vm in case.vms(rule.vms):
        spells = case.replay.spells(vm)
        for spell in spells:
            if spell.node != spells[0].node:
                what = f"{vm} runs on {spells[0].node}, and {spell.came} brings it to {spell.node}"
                yield broken(title, what, (spell.came,))
                break


def quarantine(case: Case, rule: Quarantine, title: str) -> Iterator[Violation]:
    """Nothing enters the nodes and nothing leaves; VMs are stopped or suspended in place only where that is asked."""
    for node in case.nodes(rule.nodes):
        for vm, _, came, left in case.replay.spells_on(node):
            if came is not None:
                yield broken(title, f"{came} brings {vm} to {node}, which nothing may enter", (came,))
            if left is not None:
                action = case.plan.by_id[left]
                if {"stop": "ready", "suspend": "sleeping"}.get(action.type) != case.wanted(vm):
                    yield broken(title, f"{left} ({action.describe()}) takes {vm} off {node}, which nothing may leave", (left,))


def lonely(case: Case, rule: Lonely, title: str) -> Iterator[Violation]:
    """The VMs' nodes run nobody else."""
    group = dict.fromkeys(case.vms(rule.vms))
    yield from _apart(case, title, group, lambda _, other: other not in group, continuous=rule.continuous)


def split(case: Case, rule: Split, title: str) -> Iterator[Violation]:
    """No node runs VMs of two groups; a VM of two groups therefore runs nowhere."""
    groups: dict[str, set[int]] = {}
    for k, group in enumerate(rule.groups):
        for vm in case.vms(group):
            groups.setdefault(vm, set()).add(k)

    def strangers(vm: str, other: str) -> bool:
        return other in groups and len(groups[vm] | groups[other]) > 1

    yield from _apart(case, title, groups, strangers, continuous=rule.continuous)


def _apart(case: Case, title: str, vms: Iterable[str], strangers: Callable[[str, str], bool], *, continuous: bool) -> Iterator[Violation]:
    """No two strangers on one node at the end and, if ``continuous``, none that come together on the way: who shared a node
    from the beginning may go on until they part.  One finding a node."""
    said: set[str] = set()
    for vm in vms:
        for mine in case.replay.spells(vm):
            for other in case.replay.spells_on(mine.node):
                if mine.node in said or not strangers(vm, other.vm):
                    continue
                if what := _meeting(case, mine, other, continuous=continuous):
                    said.add(mine.node)
                    yield broken(title, what, (mine.came, mine.left, other.came, other.left))


def _meeting(case: Case, mine: Spell, other: Spell, *, continuous: bool) -> str:
    pair = f"{mine.vm} and {other.vm}" if mine.vm != other.vm else f"{mine.vm}, which is of two groups,"
    if mine.left is None and other.left is None:
        return f"{pair} end on {mine.node}, they may not share a node"
    if not continuous or (mine.came is None and other.came is None) or not mine.may_meet(other, case.order):
        return ""
    arrivals = [s.came for s in (mine, other) if s.came is not None]
    departures = [s.left for s in (mine, other) if s.left is not None]
    return f"{pair} can meet on {mine.node}, {when(arrivals, departures)}"
