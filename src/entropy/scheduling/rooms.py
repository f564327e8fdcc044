"""What is left at every counter that a plan must never overdraw.

A *counter* is a resource of a node, or a zone of a continuous group limit.  An action *takes* amounts at its start (what
brings a VM takes the VM's demand) and *gives* amounts at its end (what takes a VM away gives back its consumption where it
was observed, its demand where the plan brought it).  The room of a counter is its limit less its load; it is negative where
the observed cluster is above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entropy.problem.problem import Bools, Indices, Problem, State

__all__ = ["Amounts", "Books", "first_lacking", "settle", "stays"]

Amounts = tuple[tuple[int, int], ...]
"""(counter, amount) pairs.  An amount of 0 asks that the counter be within its limit all the same."""


def stays(problem: Problem, host: Indices) -> Bools:
    """bool[V]: the VMs that run where they run now until the end; they count their demand from the beginning."""
    runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING)
    return np.asarray(runs & (problem.host == host))


def first_lacking(room: Sequence[int], takes: Amounts) -> int:
    """The first counter without room for what ``takes`` says, -1 if there is room everywhere."""
    for counter, amount in takes:
        if room[counter] < amount:
            return counter
    return -1


@dataclass(frozen=True)
class _Zones:
    """A continuous group limit: its zones, and how many members run in each now."""

    zone_of: Indices
    most: int
    now: dict[int, int]
    source: str


class Books:
    """Counters by number, the room at the beginning, and what a VM takes and gives where.

    ``room`` grows when a zone is first spoken of.  A copy of it made before lacks that counter, so whoever keeps one extends it
    with ``fill`` before using it with later steps.
    """

    def __init__(self, problem: Problem, staying: Bools) -> None:
        self.problem = problem
        self.width = len(problem.resources)
        self.demand: list[list[int]] = problem.demand.tolist()
        self.consumption: list[list[int]] = problem.consumption.tolist()
        load = np.zeros_like(problem.capacity)
        leaving = (problem.state == State.RUNNING) & ~staying
        np.add.at(load, problem.host[staying], problem.demand[staying])
        np.add.at(load, problem.host[leaving], problem.consumption[leaving])
        self.room: list[int] = (problem.capacity - load).ravel().tolist()
        self._zones: list[_Zones] = []
        self._limits_of: dict[int, list[int]] = {}
        self._counter: dict[tuple[int, int], int] = {}
        self._named: list[tuple[int, int]] = []
        self._add_limits()

    def _add_limits(self) -> None:
        problem = self.problem
        running = problem.state == State.RUNNING
        for limit in problem.limits:
            if not limit.continuous:
                continue
            number = len(self._zones)
            now: dict[int, int] = {}
            for zone in limit.zone_of[problem.host[limit.members[running[limit.members]]]].tolist():
                now[zone] = now.get(zone, 0) + 1
            self._zones.append(_Zones(limit.zone_of, limit.most, now, limit.source))
            for v in limit.members.tolist():
                self._limits_of.setdefault(v, []).append(number)

    def takes(self, v: int, target: int, origin: int = -1) -> Amounts:
        """What VM ``v`` takes when it starts to run on ``target``; ``origin`` is the node that it comes from running."""
        first = target * self.width
        pairs = [(first + r, amount) for r, amount in enumerate(self.demand[v])]
        for limit in self._limits_of.get(v, ()):
            zone_of = self._zones[limit].zone_of
            if origin < 0 or zone_of[origin] != zone_of[target]:
                pairs.append((self._zone(limit, int(zone_of[target])), 1))
        return tuple(pairs)

    def gives(self, v: int, source: int, observed: bool, onto: int = -1) -> Amounts:
        """What VM ``v`` gives back when it no longer runs on ``source``; ``onto`` is the node that it then runs on.

        ``observed``: it was never elsewhere in the plan, so it used its consumption there.
        """
        first = source * self.width
        pairs = [(first + r, amount) for r, amount in enumerate((self.consumption if observed else self.demand)[v])]
        for limit in self._limits_of.get(v, ()):
            zone_of = self._zones[limit].zone_of
            if onto < 0 or zone_of[onto] != zone_of[source]:
                pairs.append((self._zone(limit, int(zone_of[source])), 1))
        return tuple(pairs)

    def fill(self, room: list[int]) -> None:
        """Append to ``room`` the counters that were first spoken of since it was copied."""
        room.extend(self.room[len(room) :])

    def name(self, counter: int) -> str:
        """A counter in an operator's words: ``memory on n3``, ``rule "cache apart" on n3``."""
        if counter < self.problem.n_nodes * self.width:
            node, r = divmod(counter, self.width)
            return f"{self.problem.resources[r]} on {self.problem.node_name(node)}"
        return f"rule {self._zones[self._named[counter - self.problem.n_nodes * self.width][0]].source}"

    def shown(self, counter: int, amount: int) -> str:
        """An amount of a counter in the documents' units."""
        if counter >= self.problem.n_nodes * self.width:
            return str(amount)
        return f"{amount / float(self.problem.scale[counter % self.width]):g}"

    def _zone(self, limit: int, zone: int) -> int:
        found = self._counter.get((limit, zone))
        if found is None:
            found = self._counter[limit, zone] = len(self.room)
            self._named.append((limit, zone))
            zones = self._zones[limit]
            self.room.append(zones.most - zones.now.get(zone, 0))
        return found


def settle(room: list[int], takes: Amounts, gives: Amounts) -> None:
    """An action from start to end: ``room`` after it."""
    for counter, amount in takes:
        room[counter] -= amount
    for counter, amount in gives:
        room[counter] += amount
