"""From a sequence to ``after``: which ends each action really has to wait for, and the forecast that follows from it.

**Method.**  Every counter is seen as a stock that actions draw from: its room at the beginning, and what departures give
back.  Each arrival is given its units from the free stock or from particular departures that stand before it in the
sequence, each unit once, and waits for exactly those departures.  These are the resource flows of project scheduling
(Artigues, Michelon and Reusser 2003, *Insertion techniques for static and dynamic resource-constrained project
scheduling*; Policella et al. 2007 call the result a partial order schedule).

**Why every order that ``after`` allows is safe.**  Let E be any set of starts and ends that can have happened: it holds, with
each arrival's start, the ends of the departures it drew from.  At one counter with room F at the beginning, the arrivals in
E hold what they drew: at most F from the free stock, the rest from departures in E, no unit twice.  So

    sum over arrivals in E of what they take  <=  F + sum over departures in E of what they give,

that is, the load is within the limit.  If F is negative (the node is observed above its limit), the overload is drawn first,
from a set of departures that *every* arrival at this counter then waits for: once anything enters, the debt is paid and the
same inequality holds with F = 0; until then nothing enters and the load only falls.

**Why there is always enough to draw from.**  The sequence is safe when carried out one action at a time: what earlier
arrivals took plus what this one takes is at most F plus what earlier departures gave, so as much is left.

**Classes that are kept apart.**  Who arrives where nobody of another class may be asks a counter that each of them lowers by one while
there.  It waits for every departure that gave such a one back and stands before it.  Of two VMs of different classes that come to one node
the later in the sequence so waits for the end of the other's stay: in no order do they meet.

**Which departures.**  Those that the action waits for anyway are free; then the free stock; then as many as needed of those
that end by the earliest instant (in the forecast) at which enough has been given back, the largest first, so that few.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from entropy.scheduling.rooms import Readable
from entropy.scheduling.steps import Step, scarce

__all__ = ["Linked", "link"]

_WINDOW = 2048
"""Steps whose predecessors are remembered exactly at least so far back in the sequence."""
_NEAR = 256
"""Departures from one counter that an arrival chooses among, the first to end: a node never has so many, a zone may."""


@dataclass(slots=True)
class Linked:
    """A step with the positions of the steps that it waits for, and its forecast in seconds."""

    step: Step
    after: list[int]
    start: float
    end: float


def link(room: Readable, sequence: Sequence[Step], shutdowns: Mapping[int, Step], latest: Mapping[int, float]) -> list[Linked]:
    """The steps of ``sequence``, then ``shutdowns`` (node -> step), each with what it waits for.

    ``room`` is the room at the very beginning.  Startups stand in ``sequence`` before what uses their nodes.  ``latest``: node ->
    the end of what else a shutdown there waits for.
    """
    return _Linker(room, sequence).run(sequence, shutdowns, latest)


@dataclass(slots=True)
class _Gift:
    """What a departure gave to one counter and nobody has drawn yet."""

    end: float
    giver: int
    left: int

    def __lt__(self, other: _Gift) -> bool:
        return (self.end, self.giver) < (other.end, other.giver)


class _Ancestors:
    """Per step, a bit set of the steps that have ended when it starts: all those of its window and of the window before.

    So what is remembered of a step does not grow with the plan.  What is forgotten costs a wait that says nothing new, no safety.
    """

    def __init__(self) -> None:
        self._bits: list[int] = []
        self._base = 0

    def add(self, covered: int) -> None:
        """Remember ``covered`` of the next step."""
        self._bits.append(covered)
        k = len(self._bits)
        if k % _WINDOW == 0:  # the next step opens a window
            base = max(0, k - _WINDOW)
            shift = base - self._base
            for j in range(self._base, k):
                self._bits[j] = self._bits[j] >> shift if j >= base else 0
            self._base = base

    def of(self, k: int) -> int:
        """Bits of step ``k`` and of those before it."""
        return self._bits[k] | 1 << k - self._base if k >= self._base else 0

    def has(self, covered: int, k: int) -> bool:
        """Is ``k`` among ``covered``?"""
        return k >= self._base and covered >> (k - self._base) & 1 == 1


class _Linker:
    def __init__(self, room: Readable, sequence: Sequence[Step]) -> None:
        at_first = {counter: room[counter] for counter in scarce([sequence], room)}  # elsewhere the free stock is enough for all
        self.free = {counter: max(left, 0) for counter, left in at_first.items()}
        self.debt = {counter: -left for counter, left in at_first.items() if left < 0}
        self.paid_by: dict[int, set[int]] = {}
        self.gifts: dict[int, list[_Gift]] = {counter: [] for counter in at_first}
        self.left: dict[int, list[int]] = {counter: [] for step in sequence for counter in step.asks}
        self.linked: list[Linked] = []
        self.before = _Ancestors()

    def run(self, sequence: Sequence[Step], shutdowns: Mapping[int, Step], latest: Mapping[int, float]) -> list[Linked]:
        last: dict[int, int] = {}
        started: dict[int, int] = {}
        touching: dict[int, list[int]] = {node: [] for node in shutdowns}
        for k, step in enumerate(sequence):
            needed = {last[step.vm]} if step.vm in last else set()
            if started:
                needed.update(started[n] for n in step.nodes if n in started)
            for counter in step.asks:
                needed.update(self.left[counter])
            takes = [pair for pair in step.takes if pair[0] in self.free]
            self._place(step, self._draw(takes, needed) if takes else needed)
            if step.vm >= 0:
                last[step.vm] = k
            else:
                started[step.target] = k
            for node in step.nodes if touching else ():
                if node in touching:
                    touching[node].append(k)
        for node, step in shutdowns.items():
            self._place(step, touching[node], latest.get(node, 0.0))
        return self.linked

    def _place(self, step: Step, needed: Collection[int], earliest: float = 0.0) -> None:
        after, covered = [], 0
        for k in sorted(needed, reverse=True) if needed else ():
            if not self.before.has(covered, k):
                after.append(k)
                covered |= self.before.of(k)
        start = max((self.linked[k].end for k in after), default=0.0)
        start = max(start, earliest)
        end = round(start + step.seconds, 6)
        for counter, amount in step.gives:
            if counter in self.left:
                self.left[counter].append(len(self.linked))
            elif amount and counter in self.gifts:
                insort(self.gifts[counter], _Gift(end, len(self.linked), amount))
        self.linked.append(Linked(step, after[::-1], start, end))
        self.before.add(covered)

    def _draw(self, takes: Sequence[tuple[int, int]], needed: set[int]) -> set[int]:
        """Draw what ``takes`` says; ``needed`` and the departures that this waits for."""
        owed = []  # (counter, amount, is a debt)
        for counter, amount in takes:
            if self.debt.get(counter):
                owed.append((counter, self.debt.pop(counter), True))
                self.paid_by[counter] = set()
            elif counter in self.paid_by:
                needed |= self.paid_by[counter]
            if amount:
                owed.append((counter, amount, False))
        implied = 0
        for k in needed:
            implied |= self.before.of(k)
        open_: list[tuple[int, int, bool]] = []
        for counter, amount, debt in owed:
            amount = self._from_implied(counter, amount, implied, debt)
            if not debt:
                amount = self._from_free(counter, amount)
            if amount:
                open_.append((counter, amount, debt))
        if not open_:
            return needed
        instant = max((self.linked[k].end for k in needed), default=0.0)
        totals: dict[int, int] = {}
        for counter, amount, _ in open_:
            totals[counter] = totals.get(counter, 0) + amount
        instant = max(instant, *(self._enough_at(counter, amount) for counter, amount in totals.items()))
        for counter, amount, debt in open_:
            amount = self._from_implied(counter, amount, implied, debt)
            gifts = self.gifts[counter]
            ended = self._near(gifts, bisect_right(gifts, instant, key=_end), amount)
            for gift in sorted(gifts[:ended], key=lambda g: (-g.left, g.end, g.giver)):
                if not amount:
                    break
                amount = self._take(counter, gift, amount, debt)
                needed.add(gift.giver)
                implied |= self.before.of(gift.giver)
            assert not amount, "the sequence overdraws a counter"
            gifts[:ended] = [g for g in gifts[:ended] if g.left]
        return needed

    def _from_implied(self, counter: int, amount: int, implied: int, debt: bool) -> int:
        if implied and amount:
            for gift in islice(self.gifts[counter], _NEAR):
                if self.before.has(implied, gift.giver):
                    amount = self._take(counter, gift, amount, debt)
                    if not amount:
                        break
        return amount

    def _from_free(self, counter: int, amount: int) -> int:
        drawn = min(amount, self.free[counter])
        self.free[counter] -= drawn
        return amount - drawn

    def _take(self, counter: int, gift: _Gift, amount: int, debt: bool) -> int:
        drawn = min(amount, gift.left)
        gift.left -= drawn
        if debt and drawn:
            self.paid_by[counter].add(gift.giver)
        return amount - drawn

    @staticmethod
    def _near(gifts: list[_Gift], ended: int, amount: int) -> int:
        """How many of the ``ended`` gifts to choose among: in a zone of thousands, the first that are enough."""
        return _NEAR if ended > _NEAR and sum(g.left for g in gifts[:_NEAR]) >= amount else ended

    def _enough_at(self, counter: int, amount: int) -> float:
        for gift in self.gifts[counter]:
            amount -= gift.left
            if amount <= 0:
                return gift.end
        raise AssertionError("the sequence overdraws a counter")


def _end(gift: _Gift) -> float:
    return gift.end
