"""What is left at every counter that a plan must never overdraw.

A *counter* is a resource of a node, or a zone of a continuous rule that counts.  An action *takes* amounts at its start (what
brings a VM takes the VM's demand) and *gives* amounts at its end (what takes a VM away gives back its consumption where it
was observed, its demand where the plan brought it).  The room of a counter is its limit less its load; it is negative where
the observed cluster is above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from entropy.problem.problem import Bools, Disjoint, Indices, Integers, Problem, State, positions

__all__ = ["Amounts", "Apart", "Books", "Copy", "Readable", "Room", "Zones", "first_lacking", "stays", "summed"]

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


@dataclass(frozen=True)
class Zones:
    """A continuous rule that counts VMs, or what they demand, in zones: a group limit, or (one zone) a limit of a set of nodes.

    ``zone_of`` int32[N] is negative outside of all zones.  ``members``: the VMs that count, all if ``None``; ``amount`` int64[V]: as how
    much, 1 if ``None``.  By zone, where not 0: what is there ``now``, and what moves in bulk ``take`` and ``give``.
    """

    zone_of: Indices
    most: int
    source: str
    members: Indices | None
    amount: Integers | None
    scale: float = 1.0
    now: dict[int, int] = field(default_factory=dict)
    take: dict[int, int] = field(default_factory=dict)
    give: dict[int, int] = field(default_factory=dict)

    def counted(self, vms: Indices) -> Integers:
        """int64[K]: as how much each of the VMs counts."""
        return np.ones(len(vms), dtype=np.int64) if self.amount is None else self.amount[vms]

    def by_zone(self, vms: Indices, zones: Indices) -> dict[int, int]:
        """Zone -> the sum of what ``vms`` count in ``zones``."""
        found, which = np.unique(zones, return_inverse=True)
        sums = np.zeros(len(found), dtype=np.int64)
        np.add.at(sums, which, self.counted(vms))
        return dict(zip(found.tolist(), sums.tolist(), strict=True))

    def room(self, zone: int) -> int:
        """The room at the beginning, less what moves in bulk take."""
        return self.most - self.now.get(zone, 0) - self.take.get(zone, 0)

    def given(self, zone: int) -> int:
        """What moves in bulk give back."""
        return self.give.get(zone, 0)


class Apart:
    """A continuous rule that keeps classes of VMs off each other's nodes.

    Its zones are pairs of a node and a class, ``node * classes + class``: what is there is minus the number of VMs of other classes on
    the node.  Whoever arrives asks that it be nobody, and counts from then on where the other classes ask.
    """

    def __init__(self, problem: Problem, rule: Disjoint) -> None:
        self.source, self.class_of, self.classes = rule.source, rule.class_of, int(rule.class_of.max(initial=0)) + 1
        self.now = self.counts(problem, positions(problem.state == State.RUNNING), problem.host)
        self.take, self.give = np.zeros_like(self.now), np.zeros_like(self.now)

    def counts(self, problem: Problem, vms: Indices, node_of: Indices) -> Integers:
        """int64[N, classes]: how many of ``vms`` are on each node; ``node_of`` by VM."""
        vms = vms[self.class_of[vms] >= 0]
        where = node_of[vms].astype(np.int64) * self.classes + self.class_of[vms]
        return np.bincount(where, minlength=problem.n_nodes * self.classes).reshape(-1, self.classes)

    def zones(self, v: int, node: int) -> tuple[int, list[int]]:
        """(the zone that ``v`` asks for on ``node``, those where it counts); -1 if the rule does not concern it."""
        mine = int(self.class_of[v])
        if mine < 0:
            return -1, []
        first = node * self.classes
        return first + mine, [first + other for other in range(self.classes) if other != mine]

    def room(self, zone: int) -> int:
        """0 less the VMs of other classes at the beginning, and those that come in bulk."""
        node, own = divmod(zone, self.classes)
        there = self.now[node] + self.take[node]
        return int(there[own] - there.sum())

    def given(self, zone: int) -> int:
        """How many of other classes leave in bulk."""
        node, own = divmod(zone, self.classes)
        return int(self.give[node].sum() - self.give[node, own])


def _zones(problem: Problem) -> Iterator[Zones]:
    running = problem.state == State.RUNNING
    for limit in problem.limits:
        if limit.continuous and not limit.weight:
            zones = Zones(limit.zone_of, limit.most, limit.source, limit.members, None)
            here = limit.members[running[limit.members]]
            zones.now.update(zones.by_zone(here, limit.zone_of[problem.host[here]]))
            yield zones
    for rule in problem.set_limits:
        if rule.continuous and not rule.weight:
            zone_of = np.full(problem.n_nodes, -1, dtype=np.int32)
            zone_of[rule.nodes] = 0
            zones = Zones(zone_of, rule.most, rule.source, None, rule.amount, rule.scale)
            here = positions(running)
            here = here[zone_of[problem.host[here]] == 0]
            zones.now.update(zones.by_zone(here, zone_of[problem.host[here]]))
            yield zones


class Books:
    """Counters by number, the room at the beginning, and what a VM takes and gives where.

    Moves *in bulk* are those that nothing waits for and that wait for nothing (see ``contention``).  ``room`` is the room at the
    beginning less what they take, ``rest`` the room when they are done.  Both grow when a zone is first spoken of.
    """

    def __init__(self, problem: Problem, staying: Bools) -> None:
        self.problem = problem
        self.width = len(problem.resources)
        self.cells = problem.n_nodes * self.width
        leaving = (problem.state == State.RUNNING) & ~staying
        load = summed(problem.n_nodes, problem.host[staying], problem.demand[staying])
        load += summed(problem.n_nodes, problem.host[leaving], problem.consumption[leaving])
        self.table: Integers = problem.capacity - load
        self.given: Integers = np.zeros_like(self.table)
        self.room: list[int] = self.table.ravel().tolist()
        self.rest = self.room
        self.zones = list(_zones(problem))
        self.apart = [Apart(problem, rule) for rule in problem.disjoint if rule.continuous and not rule.weight]
        self._rules_of: dict[int, list[int]] = {}
        self._rules_on: dict[int, list[int]] = {}
        for number, zones in enumerate(self.zones):
            if zones.members is not None:
                for v in zones.members.tolist():
                    self._rules_of.setdefault(v, []).append(number)
            else:
                for n in positions(zones.zone_of >= 0).tolist():
                    self._rules_on.setdefault(n, []).append(number)
        self._counter: dict[tuple[int, int], int] = {}
        self._named: list[tuple[int, int]] = []

    def in_bulk(self, takes: Integers, gives: Integers) -> None:
        """Count moves in bulk: what they take and give at nodes, int64[N, R]; ``zones`` have been told before."""
        self.table = self.table - takes
        self.given = gives
        self.room = self.table.ravel().tolist()
        self.rest = (self.table + gives).ravel().tolist()
        for number, zone in self._named:
            self._open(number, zone)

    def takes(self, v: int, target: int, origin: int = -1) -> Amounts:
        """What VM ``v`` takes when it starts to run on ``target``; ``origin`` is the node that it comes from running."""
        pairs = list(enumerate(self.problem.demand[v].tolist(), target * self.width))
        return (*pairs, *self._zones_of(v, target, origin)) if self.zones else tuple(pairs)

    def gives(self, v: int, source: int, observed: bool, onto: int = -1) -> Amounts:
        """What VM ``v`` gives back when it no longer runs on ``source``; ``onto`` is the node that it then runs on.

        ``observed``: it was never elsewhere in the plan, so it used its consumption there.
        """
        amounts = self.problem.consumption if observed else self.problem.demand
        pairs = list(enumerate(amounts[v].tolist(), source * self.width))
        zones = self._zones_of(v, source, onto) if self.zones else ()
        return (*pairs, *zones, *self.burdens(v, source)) if self.apart else (*pairs, *zones)

    def asks(self, v: int, target: int) -> tuple[int, ...]:
        """The counters that must not be below 0 when ``v`` starts to run on ``target``, though it takes nothing of them.

        Once they are not, they can only fall by who asks as well (see ``dependencies``).
        """
        found = ((k, rule.zones(v, target)[0]) for k, rule in enumerate(self.apart, len(self.zones)))
        return tuple([self.counter(k, zone) for k, zone in found if zone >= 0])

    def burdens(self, v: int, node: int) -> Amounts:
        """What ``v`` counts on ``node``, without asking, where VMs of other classes ask."""
        found = ((k, zone) for k, rule in enumerate(self.apart, len(self.zones)) for zone in rule.zones(v, node)[1])
        return tuple([(self.counter(k, zone), 1) for k, zone in found])

    def _zones_of(self, v: int, node: int, other: int) -> Amounts:
        """What ``v`` counts in the zones of ``node`` that do not hold the node ``other`` (-1 for none) as well."""
        pairs = []
        for number in (*self._rules_of.get(v, ()), *self._rules_on.get(node, ())):
            zones = self.zones[number]
            zone = int(zones.zone_of[node])
            if zone >= 0 and (other < 0 or zones.zone_of[other] != zone):
                counts = 1 if zones.amount is None else int(zones.amount[v])
                if counts:
                    pairs.append((self.counter(number, zone), counts))
        return tuple(pairs)

    def counter(self, number: int, zone: int) -> int:
        """The counter of a zone of ``zones[number]``, or (``number`` less than that) of ``apart``."""
        found = self._counter.get((number, zone))
        if found is None:
            found = self._counter[number, zone] = self.cells + len(self._named)
            self._named.append((number, zone))
            self._open(number, zone)
        return found

    def zone(self, counter: int) -> tuple[int, int]:
        """(number in ``zones`` and, after these, ``apart``; zone) of a counter that is no resource of a node."""
        return self._named[counter - self.cells]

    def name(self, counter: int) -> str:
        """A counter in an operator's words: ``memory on n3``, ``rule "cache apart"``."""
        if counter < self.cells:
            node, r = divmod(counter, self.width)
            return f"{self.problem.resources[r]} on {self.problem.node_name(node)}"
        number, zone = self.zone(counter)
        if (k := number - len(self.zones)) >= 0:
            return f"rule {self.apart[k].source} on {self.problem.node_name(zone // self.apart[k].classes)}"
        return f"rule {self.zones[number].source}"

    def shown(self, counter: int, amount: int) -> str:
        """An amount of a counter in the documents' units."""
        if counter >= self.cells:
            return f"{amount / self.zones[self.zone(counter)[0]].scale:g}"
        return f"{amount / float(self.problem.scale[counter % self.width]):g}"

    def _open(self, number: int, zone: int) -> None:
        rule = self.zones[number] if number < len(self.zones) else self.apart[number - len(self.zones)]
        self.room.append(rule.room(zone))
        if self.rest is not self.room:
            self.rest.append(rule.room(zone) + rule.given(zone))
