"""A zone for every group that must be together, chosen before any VM is placed: kernels then see nothing but narrower domains.

Groups that are together stay where they are.  The others, largest first, go where most of their memory is already, among the zones that
allow every member and seem to have room for all of them; families by a matching, so that each party gets a zone of its own.  What a group
will take is spread over its zone's nodes in proportion to their room, so that the next group sees it.  Where kernels fail, the groups in
question look for their next best zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.placement.metric import Floats
from entropy.placement.narrowing import Narrowing
from entropy.placement.scopes import Scope, scope_of
from entropy.problem.matching import dearest_matching
from entropy.problem.problem import Bools, Indices, Integers, Problem, Together, positions
from entropy.problem.togetherness import zones_that_hold

__all__ = ["Anchoring"]

_MEMORY, _FITS, _ALLOWED = 1e6, 1e8, 1e12
"""What a zone is worth that has all of the group's memory already; that has room; that is allowed."""
_AT_ONCE = 16
"""Groups that look for another zone in one go."""
_TABLE = 1_000_000
"""Cells of the tables that are made at once."""


@dataclass(eq=False)
class _Party:
    """A hard group with members that run at the end.  ``zone`` -1: none is good enough.

    ``shares``: parties with members in common.  ``taken``: (nodes, amounts) that it is expected to take where a node counts for several
    scopes.  ``prospect``: what the zones are worth to it, whatever else they hold.
    """

    group: Together
    members: Indices
    need: Integers
    scope: Scope
    zone: int = -1
    given_up: set[int] = field(default_factory=set)
    shares: list[_Party] = field(default_factory=list)
    taken: tuple[Indices, Floats] | None = None
    prospect: tuple[Bools, Floats] | None = None


class Anchoring:
    """The zones of the hard groups of ``problem``, and the problem that they make."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._home = observed_hosts(problem)
        runs = problem.runs_at_end()
        scopes: dict[tuple[int, int], Scope] = {}
        capacity = problem.capacity.astype(np.float64)
        self._parties = [
            _Party(group, members, problem.demand[members].sum(axis=0), scope_of(group, capacity, scopes))
            for group in problem.together
            if not group.weight and len(members := group.members[runs[group.members]])
        ]
        self._scopes = list(scopes.values())
        self._capacity, self._total = capacity, np.maximum(capacity.sum(axis=0), 1.0)
        self._free = capacity.copy()
        here = positions(self._home >= 0)
        np.subtract.at(self._free, self._home[here], problem.demand[here])
        self._simple = len(self._scopes) == 1 and self._scopes[0].zone_of is not None
        """Only sums over zones matter: no zone overlaps another."""
        if self._parties:
            _introduce(self._parties)
            self._choose_all()

    @property
    def zones(self) -> tuple[int, ...]:
        """The zone of each hard group that has members to place, in order; -1 where none allows all of them."""
        return tuple(party.zone for party in self._parties)

    def problem(self) -> Problem:
        """The problem with every member's domain narrowed to the zones of its groups, to nothing where one of a family has none; the same
        problem where there are no groups."""
        narrowing = Narrowing(self._problem)
        if homeless := [p.members for party in self._parties if party.zone < 0 for p in self._family(party)]:
            narrowing.narrow(np.unique(np.concatenate(homeless)), np.zeros(self._problem.n_nodes, dtype=np.bool_), None)
        of_zone: dict[tuple[Scope, int], list[Indices]] = {}
        for party in self._parties:
            if party.zone >= 0:
                of_zone.setdefault((party.scope, party.zone), []).append(party.members)
        for (scope, zone), members in of_zone.items():
            narrowing.narrow(np.unique(np.concatenate(members)), scope.mask(zone), (id(scope), zone))
        return narrowing.problem()

    def otherwise(self, left: Indices) -> bool:
        """VMs ``left`` found no node: other zones for their groups, or for a group that is in their way.  False: there are none."""
        changed = 0
        for party in self._blamed(left):
            family = self._family(party)
            before = [p.zone for p in family]
            party.given_up.add(party.zone)
            self._settle(family)
            if any(p.zone < 0 for p in family):
                party.given_up.discard(before[family.index(party)])
                for p, zone in zip(family, before, strict=True):
                    self._move(p, zone)
            else:
                changed += 1
            if changed == _AT_ONCE:
                break
        return changed > 0

    def _blamed(self, left: Indices) -> list[_Party]:
        """The groups of ``left``; where these have none, the largest of those whose zones hold nodes that they may use."""
        missing = np.zeros(self._problem.n_vms, dtype=np.bool_)
        missing[left] = True
        theirs = [p for p in self._parties if p.zone >= 0 and missing[p.members].any()]
        if theirs or not len(left):
            return theirs
        wanted: Bools = np.any(self._problem.domains[self._problem.domain_of[left]], axis=0)
        near = [p for p in self._parties if p.zone >= 0 and wanted[p.scope.inside(p.zone)].any() and p.scope.size - len(p.given_up) > 1]
        return sorted(near, key=self._size, reverse=True)[:1]

    # -- the first choice ------------------------------------------------------------------------------------------------

    def _choose_all(self) -> None:
        families: dict[int, list[_Party]] = {}
        for k, party in enumerate(self._parties):
            if party.group.family >= 0:
                families.setdefault(party.group.family, []).append(party)
            elif (zone := self._kept(party)) >= 0:
                party.zone = zone
            else:
                families[-1 - k] = [party]
        self._leave_home([party for family in families.values() for party in family])
        order = sorted(families.values(), key=lambda parties: max(self._size(p) for p in parties), reverse=True)
        ahead = [party for family in order for party in family if not party.shares]
        at = 0
        for family in order:
            while any(party.prospect is None for party in family if not party.shares):
                at = self._look_ahead(ahead, at)
            self._settle(family)
        for party in self._parties:
            if party.zone < 0 and party.shares:
                self._settle_anew(party)

    def _settle_anew(self, party: _Party) -> None:
        """All that share members or a family, one through another, with a party that got no zone: those with the fewest choices first."""
        families = [self._family(party)]
        for family in families:
            families += [self._family(other) for p in family for other in p.shares if not any(other in known for known in families)]
        families = list({id(family[0]): family for family in families}.values())
        together = [p for family in families for p in family]
        before = [p.zone for p in together]
        for p in together:
            self._move(p, -1)
        for family in sorted(families, key=lambda f: min(int(np.count_nonzero(self._worth(p) >= 0)) for p in f)):
            self._settle(family)
        if any(p.zone < 0 for p in together):
            for p, zone in zip(together, before, strict=True):
                self._move(p, zone)

    def _family(self, party: _Party) -> list[_Party]:
        """The party, and those that want other zones than it has."""
        return [p for p in self._parties if p is party or p.group.family == party.group.family >= 0]

    def _kept(self, party: _Party) -> int:
        """The zone in which all members are, if they may stay there; -1 if there is none."""
        problem, members, scope = self._problem, party.members, party.scope
        hosts = self._home[members]
        if scope.zone_of is not None:
            zone = int(scope.zone_of[hosts[0]])
            if zone < 0 or (scope.zone_of[hosts] != zone).any():
                return -1
        else:
            holding = np.flatnonzero(zones_that_hold(party.group, hosts, problem.n_nodes)) if (hosts >= 0).all() else hosts[:0]
            if not len(holding):
                return -1
            zone = int(holding[0])
        may_stay = np.asarray(problem.held[members] | problem.domains[problem.domain_of[members], hosts])
        return zone if np.all(may_stay) and np.all(party.need <= scope.offered[:, zone]) else -1

    def _size(self, party: _Party) -> tuple[float, int]:
        """The share of all capacity that its members take."""
        return float((party.need / self._total).sum()), -int(party.members[0])

    def _settle(self, family: Sequence[_Party]) -> None:
        """The zones that are worth most, all different."""
        for party in family:
            self._move(party, -1)
        if len(family) == 1 or any(party.shares for party in family):  # whom a VM belongs to matters more than who comes first
            for party in family:
                worth = self._worth(party)
                worth[[p.zone for p in family if p.zone >= 0]] = -1.0
                self._move(party, int(np.argmax(worth)) if worth.max(initial=-1.0) >= 0 else -1)
                party.prospect = None  # a large table
            return
        table = np.full((len(family), max(party.scope.size for party in family)), -1, dtype=np.int64)
        for k, party in enumerate(family):
            table[k, : party.scope.size] = self._worth(party)
        for party, zone in zip(family, dearest_matching(table).tolist(), strict=True):
            self._move(party, zone)
            party.prospect = None

    # -- what zones are worth --------------------------------------------------------------------------------------------

    def _worth(self, party: _Party) -> Floats:
        """float64[Z]: -1 where a member may not be or the zone is too small; else what is there already, and whether all has room."""
        scope = party.scope
        if party.prospect is None or party.shares:
            party.prospect = self._prospects(scope, [party], self._narrowed(party))[0]
        allowed, there = party.prospect
        room, spare = scope.room(self._free), np.ones(scope.size)
        for r, need in enumerate(party.need):  # the scarcest resource decides
            np.minimum(spare, (room[r] - need) / scope.floor[r], out=spare)
        fits = spare >= 0.0
        worth = there * _MEMORY + np.maximum(spare, -1.0) * (_MEMORY / 1e3 if fits.any() else _MEMORY)
        worth += np.where(fits | (there == 1.0), _ALLOWED + _FITS, _ALLOWED)
        worth[~allowed] = -1.0
        if party.given_up:
            worth[list(party.given_up)] = -1.0
        return np.asarray(worth)

    def _look_ahead(self, parties: Sequence[_Party], at: int) -> int:
        """Prospects of the next parties of one scope, as many as fit in memory at once; returns the position after them."""
        scope = parties[at].scope
        most = at + max(_TABLE // max(scope.size, 1), 1)
        last = at + 1
        while last < min(most, len(parties)) and parties[last].scope is scope:
            last += 1
        for party, prospect in zip(parties[at:last], self._prospects(scope, parties[at:last], self._problem), strict=True):
            party.prospect = prospect
        return last

    def _narrowed(self, party: _Party) -> Problem:
        """The problem with domains as the zones of other parties with the same members leave them."""
        if not party.shares:
            return self._problem
        narrowing = Narrowing(self._problem)
        for k, other in enumerate(party.shares):
            if other.zone >= 0:
                narrowing.narrow(other.members, other.scope.mask(other.zone), k)
        return narrowing.problem()

    def _prospects(self, scope: Scope, parties: Sequence[_Party], problem: Problem) -> list[tuple[Bools, Floats]]:
        """Per party: bool[Z] zones in which each member fits on some node, and that offer enough in all; float64[Z] share of its memory
        that is there."""
        members = np.concatenate([party.members for party in parties])
        lengths = [len(party.members) for party in parties]
        of_party = np.repeat(np.arange(len(parties)), lengths)
        starts = np.cumsum([0, *lengths[:-1]])
        need = np.array([party.need for party in parties])
        allowed: Bools = np.asarray((need[:, :, None] <= scope.offered).all(axis=1))
        held = problem.held[members]
        free, rows = members[~held], problem.domain_of[members[~held]]
        for row in np.unique(rows).tolist():
            theirs = np.flatnonzero(rows == row)
            largest, kind = scope.largest(problem.domains[row], row if problem is self._problem else None)
            fits = (problem.demand[free[theirs]][:, None, :] <= largest[:, :-1]).all(axis=2) & (largest[:, -1] > 0)
            which, first = np.unique(of_party[~held][theirs], return_index=True)
            allowed[which] &= np.logical_and.reduceat(fits, first, axis=0)[:, kind]
        for k in np.unique(of_party[held]).tolist():
            allowed[k] &= zones_that_hold(parties[k].group, problem.host[members[held & (of_party == k)]], problem.n_nodes)
        weight = problem.weight[members] + 1.0  # VMs without memory count too
        there = scope.counted(self._home[members], weight, of_party, len(parties)) / np.add.reduceat(weight, starts)[:, None]
        return list(zip(allowed, there, strict=True))

    # -- what groups take ------------------------------------------------------------------------------------------------

    def _leave_home(self, parties: Sequence[_Party]) -> None:
        """Their members are no longer expected where they are."""
        members = np.unique(np.concatenate([party.members for party in parties])) if parties else self._home[:0]
        members = members[self._home[members] >= 0]
        self._change(self._home[members], self._problem.demand[members].astype(np.float64))
        for party in parties:
            party.taken = members[:0], np.zeros((0, self._free.shape[1]))

    def _move(self, party: _Party, zone: int) -> None:
        """The party has ``zone`` from now on; -1: it has none, and nothing is expected of it."""
        if party.taken is None:
            self._leave_home([party])
        if self._simple:
            party.scope.take(party.zone, -party.need, self._free)
            party.scope.take(zone, party.need, self._free)
        else:
            assert party.taken is not None
            self._change(*party.taken)
            if zone >= 0:
                nodes = party.scope.inside(zone)
                room = np.maximum(self._free[nodes], 0.0) + 1e-9 * (self._capacity[nodes] + 1.0)
                amounts = room / room.sum(axis=0) * party.need
                party.taken = nodes, amounts
                self._change(nodes, -amounts)
            else:
                party.taken = self._home[:0], np.zeros((0, self._free.shape[1]))
        party.zone = zone

    def _change(self, nodes: Indices, amounts: Floats) -> None:
        """So much more is free on the nodes."""
        if len(nodes):
            np.add.at(self._free, nodes, amounts)
            for scope in self._scopes:
                scope.changed(nodes, amounts)


def _introduce(parties: Iterable[_Party]) -> None:
    """Tell the parties of each other where they have members in common."""
    of_vm: dict[int, _Party] = {}
    for party in parties:
        for v in party.members.tolist():
            other = of_vm.setdefault(v, party)
            for known in (other, *other.shares) if other is not party else ():
                if known is not party and known not in party.shares and np.isin(known.members, party.members).any():
                    party.shares.append(known)
                    known.shares.append(party)
