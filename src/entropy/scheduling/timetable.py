"""Event-driven list scheduling: at each moment, start every action whose destination has room now.

The forecast durations decide only the *sequence* in which actions start; that sequence is what the other modules build on,
since carrying it out one action at a time never overdraws a counter either (then even more has ended before each start).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.scheduling.rooms import Readable, Room
from entropy.scheduling.steps import Step, scarce

__all__ = ["Chains", "Played", "Priority", "backlog", "play", "urgent_first"]

Chains = Mapping[int, Sequence[Step]]
Priority = Callable[[Chains, Readable], Mapping[int, tuple[float, ...]]]
"""(chains, room) -> per VM a key; the smallest is tried first."""

_ROUNDS = 12
"""How far ahead a chain of waiting actions is looked at."""


@dataclass(frozen=True)
class Played:
    """``sequence``: the steps in the order in which they start; ``blocked``: VM -> the steps that never could."""

    sequence: list[Step]
    blocked: dict[int, list[Step]]


def play(room: Room, chains: Chains, startups: Mapping[int, Step], priority: Priority, *, reserve: bool = False) -> Played:
    """Start actions until all are done or nothing runs and nothing can start.

    ``room`` is changed to what is left then.  ``startups``: node -> its startup, begun at once; whatever touches the node
    waits for it.  ``reserve``: an action that waits keeps its room from those of lower priority, instead of being overtaken.
    """
    return _Play(room, chains, startups, priority(chains, room), reserve).run()


def backlog(chains: Chains, tight: Collection[int]) -> dict[int, float]:
    """VM -> seconds until the last of what waits for it could end: the longest chain through scarce counters.

    Chains that bite their own tail are followed ``_ROUNDS`` actions deep, which puts them first, as they should be.
    """
    vms = list(chains)
    own = np.array([sum(step.seconds for step in chain) for chain in chains.values()])
    if not tight or not vms:
        return dict(zip(vms, own.tolist(), strict=True))
    number: dict[int, int] = {}
    takes: list[tuple[int, int]] = []
    gives: list[tuple[int, int]] = []
    for k, chain in enumerate(chains.values()):
        for step in chain:
            for counter, _ in step.takes:
                if counter in tight:
                    takes.append((number.setdefault(counter, len(number)), k))
            for counter in step.asks:
                if counter in tight:
                    takes.append((number.setdefault(counter, len(number)), k))
            for counter, amount in step.gives:
                if amount and counter in tight:
                    gives.append((k, number.setdefault(counter, len(number))))
    taken, taker = _columns(takes)
    giver, given = _columns(gives)
    longest = own.copy()
    for _ in range(_ROUNDS):
        best = np.zeros(len(number))  # counter -> what the longest of those that it keeps waiting takes
        np.maximum.at(best, taken, longest[taker])
        after = longest.copy()
        np.maximum.at(after, giver, own[giver] + best[given])
        if np.array_equal(after, longest):
            break
        longest = after
    return dict(zip(vms, longest.tolist(), strict=True))


def _columns(pairs: list[tuple[int, int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def urgent_first(chains: Chains, room: Readable) -> dict[int, tuple[float, ...]]:
    """Those that most waits for first, then the longest."""
    longest = backlog(chains, scarce(chains.values(), room))
    return {v: (-longest[v], -chain[0].seconds, v) for v, chain in chains.items()}


class _Play:
    def __init__(
        self,
        room: Room,
        chains: Chains,
        startups: Mapping[int, Step],
        keys: Mapping[int, tuple[float, ...]],
        reserve: bool,
    ) -> None:
        self.room, self.chains, self.startups = room, chains, startups
        self.rank = {v: k for k, v in enumerate(sorted(chains, key=keys.__getitem__))}
        self.position = dict.fromkeys(chains, 0)
        self.running: list[tuple[float, int, Step]] = []
        self.sequence: list[Step] = []
        self.watching: dict[int, list[tuple[int, int]]] = {}  # counter -> (rank, VM) that it keeps waiting, a heap
        self.waiting_for_node: dict[int, set[int]] = {}
        self.off = set(startups)
        self.free_of_charge: set[int] = set()  # counters that keep somebody waiting who takes nothing of them: they are above their limit
        self.reserved: dict[int, dict[int, int]] | None = {} if reserve else None

    def run(self) -> Played:
        for step in self.startups.values():
            self._begin(step, 0.0)
        self._try(self.chains, (), 0.0)
        while self.running:
            now = self.running[0][0]
            woken: set[int] = set()
            grown: set[int] = set()
            while self.running and self.running[0][0] <= now:
                self._finish(heapq.heappop(self.running)[2], woken, grown)
            self._try(woken, grown, now)
        blocked = {v: list(chain[self.position[v] :]) for v, chain in self.chains.items() if self.position[v] < len(chain)}
        return Played(self.sequence, blocked)

    def _begin(self, step: Step, now: float) -> None:
        step.begin(self.room)
        heapq.heappush(self.running, (now + step.seconds, len(self.sequence), step))
        self.sequence.append(step)

    def _finish(self, step: Step, woken: set[int], grown: set[int]) -> None:
        for counter, amount in step.gives:
            self.room[counter] += amount
            if counter in self.watching:
                grown.add(counter)
        if step.vm < 0:
            self.off.discard(step.target)
            woken |= self.waiting_for_node.pop(step.target, set())
        else:
            self.position[step.vm] += 1
            if self.position[step.vm] < len(self.chains[step.vm]):
                woken.add(step.vm)

    def _try(self, vms: Iterable[int], counters: Iterable[int], now: float) -> None:
        """Start what can start of ``vms`` and of those that ``counters`` keep waiting, by rank.

        Of those that one counter keeps waiting the next is only looked at when the one before has been: a zone that has room for one
        more does not wake the thousands that want to enter it.
        """
        queue = [(self.rank[v], v, -1) for v in vms]
        waiting = {counter: self.watching.pop(counter) for counter in counters}
        for counter, heap in waiting.items():
            if self.reserved is None:
                queue.append((*heapq.heappop(heap), counter))
            else:
                queue += ((rank, v, -1) for rank, v in heap)
                heap.clear()
        heapq.heapify(queue)
        while queue:
            _, v, woke = heapq.heappop(queue)
            self._start(v, now, queue)
            if woke >= 0 and waiting[woke] and (self.room[woke] > 0 or woke in self.free_of_charge):
                heapq.heappush(queue, (*heapq.heappop(waiting[woke]), woke))
        for counter, heap in waiting.items():
            if heap:
                for item in self.watching.pop(counter, ()):
                    heapq.heappush(heap, item)
                self.watching[counter] = heap

    def _start(self, v: int, now: float, queue: list[tuple[int, int, int]]) -> None:
        """Start what ``v`` has to do next, or note what it waits for; with ``reserve`` whoever may profit joins the queue."""
        step = self.chains[v][self.position[v]]
        if self.off and (node := next((n for n in step.nodes if n in self.off), -1)) >= 0:
            self.waiting_for_node.setdefault(node, set()).add(v)
            return
        lacking = step.lacking(self.room)
        if lacking < 0 and self.reserved is not None:
            lacking = self._taken_by_urgent(v, step)
        if lacking >= 0:
            heapq.heappush(self.watching.setdefault(lacking, []), (self.rank[v], v))
            if (lacking, 0) in step.takes or lacking in step.asks:
                self.free_of_charge.add(lacking)
            if self.reserved is not None:
                for counter, amount in step.takes:
                    self.reserved.setdefault(counter, {})[v] = amount
            return
        self._begin(step, now)
        if self.reserved is not None:
            for counter, _ in step.takes:
                if self.reserved.get(counter, {}).pop(v, None) is not None:
                    for rank, other in self.watching.pop(counter, ()):
                        heapq.heappush(queue, (rank, other, -1))

    def _taken_by_urgent(self, v: int, step: Step) -> int:
        assert self.reserved is not None
        for counter, amount in step.takes:
            before = sum(a for w, a in self.reserved.get(counter, {}).items() if self.rank[w] < self.rank[v])
            if amount and self.room[counter] - before < amount:
                return counter
        return -1
