"""Event-driven list scheduling: at each moment, start every action whose destination has room now.

The forecast durations decide only the *sequence* in which actions start; that sequence is what the other modules build on,
since carrying it out one action at a time never overdraws a counter either (then even more has ended before each start).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from entropy.scheduling.rooms import first_lacking
from entropy.scheduling.steps import Step

__all__ = ["Played", "Priority", "backlog", "play", "scarce", "urgent_first"]

Chains = Mapping[int, Sequence[Step]]
Priority = Callable[[Chains, Sequence[int]], Mapping[int, tuple[float, ...]]]
"""(chains, room) -> per VM a key; the smallest is tried first."""

_ROUNDS = 12
"""How far ahead a chain of waiting actions is looked at."""


@dataclass(frozen=True)
class Played:
    """``sequence``: the steps in the order in which they start; ``blocked``: VM -> the steps that never could."""

    sequence: list[Step]
    blocked: dict[int, list[Step]]


def play(room: list[int], chains: Chains, startups: Mapping[int, Step], priority: Priority, *, reserve: bool = False) -> Played:
    """Start actions until all are done or nothing runs and nothing can start.

    ``room`` is changed to what is left then.  ``startups``: node -> its startup, begun at once; whatever touches the node
    waits for it.  ``reserve``: an action that waits keeps its room from those of lower priority, instead of being overtaken.
    """
    return _Play(room, chains, startups, priority(chains, room), reserve).run()


def scarce(chains: Iterable[Sequence[Step]], room: Sequence[int]) -> set[int]:
    """The counters that cannot take everything that comes before something has left."""
    asked: dict[int, int] = {}
    for chain in chains:
        for step in chain:
            for counter, amount in step.takes:
                asked[counter] = asked.get(counter, 0) + amount
    return {counter for counter, amount in asked.items() if room[counter] < amount}


def backlog(chains: Chains, tight: set[int]) -> dict[int, float]:
    """VM -> seconds until the last of what waits for it could end: the longest chain through scarce counters.

    Chains that bite their own tail are followed ``_ROUNDS`` actions deep, which puts them first, as they should be.
    """
    own = {v: sum(step.seconds for step in chain) for v, chain in chains.items()}
    if not tight:
        return own
    takers: dict[int, list[int]] = {}
    givers: dict[int, set[int]] = {}
    for v, chain in chains.items():
        for step in chain:
            for counter, _ in step.takes:
                if counter in tight:
                    takers.setdefault(counter, []).append(v)
            for counter, amount in step.gives:
                if counter in tight and amount:
                    givers.setdefault(v, set()).add(counter)
    longest = dict(own)
    for _ in range(_ROUNDS):
        best = {counter: max(longest[v] for v in who) for counter, who in takers.items()}
        changed = False
        for v, where in givers.items():
            after = own[v] + max((best.get(counter, 0.0) for counter in where), default=0.0)
            if after > longest[v]:
                longest[v], changed = after, True
        if not changed:
            break
    return longest


def urgent_first(chains: Chains, room: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """Those that most waits for first, then the longest."""
    longest = backlog(chains, scarce(chains.values(), room))
    return {v: (-longest[v], -chain[0].seconds, v) for v, chain in chains.items()}


class _Play:
    def __init__(
        self,
        room: list[int],
        chains: Chains,
        startups: Mapping[int, Step],
        keys: Mapping[int, tuple[float, ...]],
        reserve: bool,
    ) -> None:
        self.room, self.chains, self.startups = room, chains, startups
        self.rank = {v: k for k, v in enumerate(sorted(chains, key=lambda v: keys[v]))}
        self.position = dict.fromkeys(chains, 0)
        self.running: list[tuple[float, int, Step]] = []
        self.sequence: list[Step] = []
        self.watching: dict[int, set[int]] = {}
        self.waiting_for_node: dict[int, set[int]] = {}
        self.off = set(startups)
        self.reserved: dict[int, dict[int, int]] | None = {} if reserve else None

    def run(self) -> Played:
        for step in self.startups.values():
            self._begin(step, 0.0)
        self._try(self.chains, 0.0)
        while self.running:
            now = self.running[0][0]
            woken: set[int] = set()
            while self.running and self.running[0][0] <= now:
                self._finish(heapq.heappop(self.running)[2], woken)
            self._try(woken, now)
        blocked = {v: list(chain[self.position[v] :]) for v, chain in self.chains.items() if self.position[v] < len(chain)}
        return Played(self.sequence, blocked)

    def _begin(self, step: Step, now: float) -> None:
        for counter, amount in step.takes:
            self.room[counter] -= amount
        heapq.heappush(self.running, (now + step.seconds, len(self.sequence), step))
        self.sequence.append(step)

    def _finish(self, step: Step, woken: set[int]) -> None:
        for counter, amount in step.gives:
            self.room[counter] += amount
            woken |= self.watching.pop(counter, set())
        if step.vm < 0:
            self.off.discard(step.target)
            woken |= self.waiting_for_node.pop(step.target, set())
        else:
            self.position[step.vm] += 1
            if self.position[step.vm] < len(self.chains[step.vm]):
                woken.add(step.vm)

    def _try(self, vms: Iterable[int], now: float) -> None:
        queue = [(self.rank[v], v) for v in vms]
        heapq.heapify(queue)
        while queue:
            v = heapq.heappop(queue)[1]
            step = self.chains[v][self.position[v]]
            if self.off and (node := next((n for n in step.nodes if n in self.off), -1)) >= 0:
                self.waiting_for_node.setdefault(node, set()).add(v)
                continue
            lacking = first_lacking(self.room, step.takes)
            if lacking < 0 and self.reserved is not None:
                lacking = self._taken_by_urgent(v, step)
            if lacking >= 0:
                self.watching.setdefault(lacking, set()).add(v)
                if self.reserved is not None:
                    for counter, amount in step.takes:
                        self.reserved.setdefault(counter, {})[v] = amount
                continue
            self._begin(step, now)
            if self.reserved is not None:
                for counter, _ in step.takes:
                    if self.reserved.get(counter, {}).pop(v, None) is not None:
                        for other in self.watching.pop(counter, set()):
                            heapq.heappush(queue, (self.rank[other], other))

    def _taken_by_urgent(self, v: int, step: Step) -> int:
        assert self.reserved is not None
        for counter, amount in step.takes:
            before = sum(a for w, a in self.reserved.get(counter, {}).items() if self.rank[w] < self.rank[v])
            if amount and self.room[counter] - before < amount:
                return counter
        return -1
