"""Exhaustive search for an order of few VMs: A* over placements, the cost being the memory moved beyond what must be.

A plan that is safe in every order is safe one action at a time, and a sequence that is safe one action at a time is a plan
(each action after the one before).  So states at rest, with one move between them, decide whether any plan exists.  Which
actions need not be branched on is the caller's knowledge (``ordering``): stops and suspends in place only give room and
come first; starts and resumes of VMs that then stay only take room that the final configuration has, and come last.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from entropy.scheduling.rooms import Amounts, Books, Copy, Readable

__all__ = ["Found", "Job", "Move", "search"]

_GONE = -2
_START = -1
_LAST_RESORT = 1 << 50
"""Added for a suspend on the way: any number of migrations is better."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A VM that has to move, or may be moved out of the way.

    ``start``: the node where it runs, -1 when it does not.  ``at_start``: what it gives back when it leaves it; ``counted``:
    what the room given to ``search`` counts for it (they differ for a VM that stays unless it is moved).  ``goal``: the node
    where it runs at the end or, ``vanishes``, enters once and gives its room back at once (it is suspended there).
    ``pivots``: nodes that it may stand on meanwhile.  ``optional``: it is at its goal and may stay there; one that starts at
    its goal and is not optional has to leave and come back.
    """

    vm: int
    start: int
    goal: int
    at_start: Amounts
    counted: Amounts
    weight: int
    pivots: tuple[int, ...] = ()
    vanishes: bool = False
    suspendable: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Move:
    """``kind`` migrate, suspend (``target`` is -1) or enter (what does not run yet arrives on ``target``)."""

    vm: int
    kind: Literal["migrate", "suspend", "enter"]
    source: int
    target: int


@dataclass(frozen=True)
class Found:
    """``moves`` in order, or none; ``exhausted``: every state that can be reached was looked at; ``looked``: at how many moves."""

    moves: tuple[Move, ...] | None
    exhausted: bool
    looked: int


State = tuple[int, ...]
"""Per job: ``_START``, ``_GONE``, a node n >= 0 where it runs, or -3 - n with its image on n."""


def search(books: Books, room: Readable, jobs: Sequence[Job], *, most: int, leave_goal: bool = True) -> Found:
    """The cheapest sequence of moves that brings every job to its goal, looking at about ``most`` moves (some microseconds each).

    ``leave_goal``: a VM may be moved away again from where it ends; without it the search is quicker and never ``exhausted``.
    """
    return _Search(books, room, jobs, leave_goal).run(most)


class _Search:
    def __init__(self, books: Books, room: Readable, jobs: Sequence[Job], leave_goal: bool) -> None:
        self.jobs, self.leave_goal = jobs, leave_goal
        self.occupies: list[dict[int, Amounts]] = []
        self.asks: list[dict[int, Amounts]] = []
        for job in jobs:
            nodes = {*job.pivots, job.goal} | ({job.start} if job.start >= 0 else set())
            self.occupies.append({n: books.gives(job.vm, n, observed=False) for n in nodes})
            self.asks.append({n: (*books.takes(job.vm, n), *((c, 0) for c in books.asks(job.vm, n))) for n in nodes})
        full = Copy(room)
        for job in jobs:
            for counter, amount in job.counted:
                full[counter] += amount
        spoken = {c for table in (*self.occupies, *self.asks) for pairs in table.values() for c, _ in pairs}
        self.local = {c: k for k, c in enumerate(sorted(spoken | {c for job in jobs for c, _ in job.at_start}))}
        self.base = [full[c] for c in self.local]
        self.occupies = [{n: self._localise(pairs) for n, pairs in table.items()} for table in self.occupies]
        self.asks = [{n: self._localise(pairs) for n, pairs in table.items()} for table in self.asks]
        self.at_start = [self._localise(job.at_start) for job in jobs]
        zones = {k for c, k in self.local.items() if c >= books.cells}
        self.zones = [{n: {c for c, a in pairs if c in zones and a} for n, pairs in table.items()} for table in self.asks]

    def _localise(self, pairs: Amounts) -> Amounts:
        return tuple((self.local[c], amount) for c, amount in pairs)

    def run(self, most: int) -> Found:
        start: State = (_START,) * len(self.jobs)
        cost = {start: 0}
        came: dict[State, tuple[State, Move]] = {}
        queue = [(0, self._missing(start), 0, start)]
        closed: set[State] = set()
        ticket = looked = 0
        while queue:
            paid, missing, _, state = heapq.heappop(queue)
            if state in closed:
                continue
            if missing == 0:
                return Found(self._path(state, came), False, looked)
            if looked >= most:
                return Found(None, False, looked)
            closed.add(state)
            for j, move, following, extra in self._moves(state):
                looked += 1
                total = paid + extra
                if total < cost.get(following, total + 1):
                    cost[following] = total
                    came[following] = (state, move)
                    ticket -= 1
                    still = missing + self._home(self.jobs[j], state[j]) - self._home(self.jobs[j], following[j])
                    heapq.heappush(queue, (total, still, ticket, following))
        return Found(None, self.leave_goal, looked)

    def _missing(self, state: State) -> int:
        return sum(not self._home(job, code) for job, code in zip(self.jobs, state, strict=True))

    @staticmethod
    def _home(job: Job, code: int) -> bool:
        return code == _GONE if job.vanishes else code == job.goal or (job.optional and code == _START)

    @staticmethod
    def _path(state: State, came: dict[State, tuple[State, Move]]) -> tuple[Move, ...]:
        moves = []
        while state in came:
            state, move = came[state]
            moves.append(move)
        return tuple(reversed(moves))

    def _moves(self, state: State) -> Iterator[tuple[int, Move, State, int]]:
        """(job, its move, state after it, memory moved beyond what must be): a move to the goal is owed anyway, any other is extra."""
        room = list(self.base)
        for j, code in enumerate(state):
            for counter, amount in self._held(j, code):
                room[counter] -= amount
        for j, code in enumerate(state):
            job = self.jobs[j]
            if code == _GONE:
                continue
            if code < -2 or (code == _START and job.start < 0):
                if self._fits(room, j, job.goal, -1):
                    image = -3 - code if code < -2 else -1
                    yield j, Move(job.vm, "enter", image, job.goal), self._with(state, j, self._arrived(job)), 0
                continue
            here = job.start if code == _START else code
            home = self._home(job, code)
            if home and not job.optional and not self.leave_goal:
                continue
            if not home and here != job.goal and self._fits(room, j, job.goal, here):
                yield j, Move(job.vm, "migrate", here, job.goal), self._with(state, j, self._arrived(job)), 0
            price = (job.weight + 1) * (2 if home else 1)
            for pivot in job.pivots:
                if pivot not in (here, job.goal) and self._fits(room, j, pivot, here):
                    yield j, Move(job.vm, "migrate", here, pivot), self._with(state, j, pivot), price
            if job.suspendable or job.vanishes:
                resort = 0 if job.vanishes else _LAST_RESORT
                yield j, Move(job.vm, "suspend", here, -1), self._with(state, j, -3 - here), price + resort

    def _held(self, j: int, code: int) -> Amounts:
        if code >= 0:
            return self.occupies[j][code]
        return self.at_start[j] if code == _START else ()

    @staticmethod
    def _arrived(job: Job) -> int:
        return _GONE if job.vanishes else job.goal

    @staticmethod
    def _with(state: State, j: int, code: int) -> State:
        return (*state[:j], code, *state[j + 1 :])

    def _fits(self, room: Sequence[int], j: int, target: int, here: int) -> bool:
        same = self.zones[j].get(here, ())
        return all(counter in same or room[counter] >= amount for counter, amount in self.asks[j][target])
