"""Rules that keep parties of VMs together: each party in one home, no two parties in the same.

A home is a zone (gather) or a group of nodes (among, splitAmong).  Groups may overlap, so a node can lie in several homes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from entropy.model.rules import Among, Gather, SplitAmong
from entropy.model.values import Selection
from entropy.verification.case import Case
from entropy.verification.order import Order
from entropy.verification.replay import Spell
from entropy.verification.rules.words import broken
from entropy.verification.violation import Violation, listed

__all__ = ["among", "gather", "split_among"]


class _Stay(NamedTuple):
    """A spell of a member of ``party``, in any of ``homes``."""

    party: int
    homes: frozenset[str]
    spell: Spell

    def clashes(self, other: _Stay) -> bool:
        """Can no homes be given to the parties while both are there?"""
        if self.party == other.party:
            return self.homes.isdisjoint(other.homes)
        return len(self.homes | other.homes) < 2

    def where(self) -> str:
        return f"{self.spell.vm} on {self.spell.node}"


def gather(case: Case, rule: Gather, title: str) -> Iterator[Violation]:
    """All of the VMs that run are in one zone."""
    zone_of = case.zone_of(rule.across)
    yield from _together(case, title, (rule.vms,), lambda node: frozenset((zone_of(node),)), continuous=rule.continuous)


def among(case: Case, rule: Among, title: str) -> Iterator[Violation]:
    """All of the VMs that run are within one group of nodes.  Groups that hold no node at all make the rule void."""
    if homes := case.once(("homes", rule.groups), lambda: _homes_of_groups(case, rule.groups)):
        yield from _together(case, title, (rule.vms,), homes, continuous=rule.continuous)


def split_among(case: Case, rule: SplitAmong, title: str) -> Iterator[Violation]:
    """Each group of VMs within one group of nodes, no two in the same."""
    if homes := case.once(("homes", rule.groups), lambda: _homes_of_groups(case, rule.groups)):
        yield from _together(case, title, rule.vm_groups, homes, continuous=rule.continuous)


def _homes_of_groups(case: Case, groups: Sequence[Selection]) -> Callable[[str], frozenset[str]] | None:
    homes: dict[str, frozenset[str]] = {}
    for k, group in enumerate(groups):
        home = frozenset((f"group {k + 1}",))
        for node in case.nodes(group):
            homes[node] = homes[node] | home if node in homes else home
    return (lambda node: homes.get(node, frozenset())) if homes else None


def _together(
    case: Case, title: str, parties: Sequence[Selection], homes: Callable[[str], frozenset[str]], *, continuous: bool
) -> Iterator[Violation]:
    stays = [
        _Stay(k, homes(spell.node), spell) for k, party in enumerate(parties) for vm in case.vms(party) for spell in case.replay.spells(vm)
    ]
    final = [s for s in stays if s.spell.left is None]
    ends = _assign(final)
    if ends is None:
        yield broken(title, f"its VMs end apart: {listed(dict.fromkeys(s.where() for s in _clash(final)))}", (s.spell.came for s in final))
    elif continuous and _assign([s for s in stays if s.spell.came is None]) is None:
        yield from _gathering(title, stays, final, ends)
    elif continuous and (found := _parted_on_the_way(stays, case.order)):
        where = listed(dict.fromkeys(s.where() for s in found))
        ids = [a for s in found for a in (s.spell.came, s.spell.left)]
        yield broken(title, f"its VMs can be apart on the way: {where} at one instant", ids)


def _gathering(title: str, stays: Sequence[_Stay], final: Sequence[_Stay], ends: Mapping[int, str]) -> Iterator[Violation]:
    """Apart from the beginning: VMs may enter only where the plan gathers them."""
    arriving = [s for s in stays if s.spell.came is not None and s.party in ends]
    if _assign([*final, *arriving]) is not None:
        return
    for stay in arriving:
        if ends[stay.party] not in stay.homes:
            what = f"{stay.spell.came} brings {stay.where()}, elsewhere than where the plan gathers ({ends[stay.party]})"
            yield broken(title, what, (stay.spell.came,))


def _assign(stays: Sequence[_Stay]) -> dict[int, str] | None:
    """Party -> a home that all its stays share, no home for two parties; ``None`` if there is none (augmenting paths)."""
    allowed: dict[int, frozenset[str]] = {}
    for stay in stays:
        allowed[stay.party] = allowed.get(stay.party, stay.homes) & stay.homes
    holder: dict[str, int] = {}

    def place(party: int, tried: set[str]) -> bool:
        for home in sorted(allowed[party] - tried):
            tried.add(home)
            if home not in holder or place(holder[home], tried):
                holder[home] = party
                return True
        return False

    if not all(place(party, set()) for party in allowed):
        return None
    return {party: home for home, party in holder.items()}


def _clash(stays: Sequence[_Stay]) -> Sequence[_Stay]:
    """Those of ``stays`` that show best why they cannot be together: two of them, or one outside of all homes, or all."""
    outside = [s for s in stays if not s.homes]
    if outside:
        return outside[:1]
    by_place = list({(s.party, s.homes): s for s in stays}.values())
    return next(((a, b) for k, a in enumerate(by_place) for b in by_place[:k] if a.clashes(b)), stays)


def _parted_on_the_way(stays: Sequence[_Stay], order: Order) -> Sequence[_Stay]:
    """Stays that can be there at one instant and to which no homes can be given; empty if there are none."""
    if outside := [s for s in stays if not s.homes]:
        return outside[:1]
    places: dict[tuple[int, frozenset[str]], list[_Stay]] = {}
    for stay in stays:
        places.setdefault((stay.party, stay.homes), []).append(stay)
    for new in (s for s in stays if s.spell.came is not None):
        for found in places.values():
            if new.clashes(found[0]):
                for other in found:
                    if new.spell.may_meet(other.spell, order):
                        return (other, new)
    if all(len(s.homes) == 1 for s in stays):
        return ()  # where no groups overlap, what fits in pairs fits in all
    return _search((), stays, order)


def _search(chosen: tuple[_Stay, ...], stays: Sequence[_Stay], order: Order) -> Sequence[_Stay]:
    """Extends ``chosen``, stays that may all meet, until no homes fit: each step by a stay that upsets the homes found."""
    homes = _assign(chosen)
    if homes is None:
        return chosen
    for stay in stays:
        if homes.get(stay.party) in stay.homes or not all(stay.spell.may_meet(s.spell, order) for s in chosen):
            continue
        if found := _search((*chosen, stay), stays, order):
            return found
    return ()
