"""What is left at every counter that a plan must never overdraw.

A *counter* is a resource of a node, or a zone of a continuous group limit.  An action *takes* amounts at its start (what
brings a VM takes the VM's demand) and *gives* amounts at its end (what takes a VM away gives back its consumption where it
was observed, its demand where the plan brought it).  The room of a counter is its limit less its load; it is negative where
the observed cluster is above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from entropy.problem.problem import Bools, GroupLimit, Indices, Integers, Problem, State

__all__ = ["Amounts", "Books", "Copy", "Readable", "Room", "first_lacking", "settle", "stays", "summed"]

Amounts = tuple[tuple[int, int], ...]
"""(counter, amount) pairs.  An amount of 0 asks that the counter be within its limit all the same."""


class Readable(Protocol):
    """The room of each counter."""

    def __getitem__(self, counter: int, /) -> int: ...


class Room(Readable, Protocol):
    """The room of each counter, to be changed."""

    def __setitem__(self, counter: int, room: int, /) -> None: ...


class Copy(dict[int, int]):
    """A copy of the room of all counters that holds only those that were changed since: it costs what is done with it."""

    __slots__ = ("_base",)

    def __init__(self, base: Readable) -> None:
        super().__init__()
        self._base = base

    def __missing__(self, counter: int) -> int:
        return self._base[counter]

    def twin(self) -> Copy:
        """Another copy of the same, as far as it has changed by now."""
        other = Copy(self._base)
        other.update(self)
        return other


def stays(problem: Problem, host: Indices) -> Bools:
    """bool[V]: the VMs that run where they run now until the end; they count their demand from the beginning."""
    runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING)
    return np.asarray(runs & (problem.host == host))


def summed(rows: int, index: Indices, amounts: Integers) -> Integers:
    """int64[rows, R]: the sum of ``amounts`` int64[K, R] by ``index`` int[K], exactly."""
    found = np.zeros((rows, amounts.shape[1]), dtype=np.int64)
    for r in range(amounts.shape[1]):
        column = np.zeros(rows, dtype=np.int64)
        np.add.at(column, index, amounts[:, r])
        found[:, r] = column
    return found


def first_lacking(room: Readable, takes: Amounts) -> int:
    """The first counter without room for what ``takes`` says, -1 if there is room everywhere."""
    for counter, amount in takes:
        if room[counter] < amount:
            return counter
    return -1


def settle(room: Room, takes: Amounts, gives: Amounts) -> None:
    """An action from start to end: ``room`` after it."""
    for counter, amount in takes:
        room[counter] -= amount
    for counter, amount in gives:
        room[counter] += amount


@dataclass(frozen=True)
class Zones:
    """A continuous group limit, and int64[zones]: the room that its zones have at first, and what those in bulk give back."""

    limit: GroupLimit
    room: Integers
    given: Integers


class Books:
    """Counters by number, the room at the beginning, and what a VM takes and gives where.

    Moves *in bulk* are those that nothing waits for and that wait for nothing (see ``contention``).  ``room`` is the room at the
    beginning less what they take, ``rest`` the room when they are done.  Both grow when a zone is first spoken of.
    """

    def __init__(self, problem: Problem, staying: Bools) -> None:
        self.problem = problem
        self.width = len(problem.resources)
        self.cells = problem.n_nodes * self.width
        running = problem.state == State.RUNNING
        leaving = running & ~staying
        load = summed(problem.n_nodes, problem.host[staying], problem.demand[staying])
        load += summed(problem.n_nodes, problem.host[leaving], problem.consumption[leaving])
        self.table: Integers = problem.capacity - load
        self.given: Integers = np.zeros_like(self.table)
        self.room: list[int] = self.table.ravel().tolist()
        self.rest = self.room
        self.zones: list[Zones] = []
        self._limits_of: dict[int, list[int]] = {}
        self._counter: dict[tuple[int, int], int] = {}
        self._named: list[tuple[int, int]] = []
        for limit in problem.limits:
            if not limit.continuous or limit.weight:
                continue
            now = np.bincount(limit.zone_of[problem.host[limit.members[running[limit.members]]]], minlength=limit.zones)
            for v in limit.members.tolist():
                self._limits_of.setdefault(v, []).append(len(self.zones))
            self.zones.append(Zones(limit, limit.most - now.astype(np.int64), np.zeros(limit.zones, dtype=np.int64)))

    def in_bulk(self, takes: Integers, gives: Integers, zones: Sequence[tuple[Integers, Integers]]) -> None:
        """Count moves in bulk: what they take and give at nodes, int64[N, R], and at the zones of each limit, int64[zones]."""
        self.table = self.table - takes
        self.given = gives
        for zone, (taken, given) in zip(self.zones, zones, strict=True):
            zone.room[:] -= taken
            zone.given[:] = given
        self.room = self.table.ravel().tolist()
        self.rest = (self.table + gives).ravel().tolist()
        for number, zone_number in self._named:
            self._open(number, zone_number)

    def takes(self, v: int, target: int, origin: int = -1) -> Amounts:
        """What VM ``v`` takes when it starts to run on ``target``; ``origin`` is the node that it comes from running."""
        pairs = list(enumerate(self.problem.demand[v].tolist(), target * self.width))
        for limit in self._limits_of.get(v, ()):
            zone_of = self.zones[limit].limit.zone_of
            if origin < 0 or zone_of[origin] != zone_of[target]:
                pairs.append((self.counter(limit, int(zone_of[target])), 1))
        return tuple(pairs)

    def gives(self, v: int, source: int, observed: bool, onto: int = -1) -> Amounts:
        """What VM ``v`` gives back when it no longer runs on ``source``; ``onto`` is the node that it then runs on.

        ``observed``: it was never elsewhere in the plan, so it used its consumption there.
        """
        amounts = self.problem.consumption if observed else self.problem.demand
        pairs = list(enumerate(amounts[v].tolist(), source * self.width))
        for limit in self._limits_of.get(v, ()):
            zone_of = self.zones[limit].limit.zone_of
            if onto < 0 or zone_of[onto] != zone_of[source]:
                pairs.append((self.counter(limit, int(zone_of[source])), 1))
        return tuple(pairs)

    def limited(self, v: int) -> bool:
        """Is the VM a member of a continuous group limit?"""
        return v in self._limits_of

    def counter(self, limit: int, zone: int) -> int:
        """The counter of a zone of ``zones[limit]``."""
        found = self._counter.get((limit, zone))
        if found is None:
            found = self._counter[limit, zone] = self.cells + len(self._named)
            self._named.append((limit, zone))
            self._open(limit, zone)
        return found

    def zone(self, counter: int) -> tuple[int, int]:
        """(limit, zone) of a counter that is no resource of a node."""
        return self._named[counter - self.cells]

    def name(self, counter: int) -> str:
        """A counter in an operator's words: ``memory on n3``, ``rule "cache apart" on n3``."""
        if counter < self.cells:
            node, r = divmod(counter, self.width)
            return f"{self.problem.resources[r]} on {self.problem.node_name(node)}"
        return f"rule {self.zones[self.zone(counter)[0]].limit.source}"

    def shown(self, counter: int, amount: int) -> str:
        """An amount of a counter in the documents' units."""
        if counter >= self.cells:
            return str(amount)
        return f"{amount / float(self.problem.scale[counter % self.width]):g}"

    def _open(self, limit: int, zone: int) -> None:
        zones = self.zones[limit]
        self.room.append(int(zones.room[zone]))
        if self.rest is not self.room:
            self.rest.append(int(zones.room[zone] + zones.given[zone]))
