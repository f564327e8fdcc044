"""When nothing can start and nothing runs: move a VM out of the way, to a pivot node, and later to where it belongs.

The original's *bypass migration* (Hermenier et al., VEE 2009, section 4.2): VMs that wait for each other in a circle are
released by one of them going through a third node.  Which one, and through which node, is chosen by trying: every proposal
is followed to what it would release, and the least memory moved per VM brought home wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entropy.problem.problem import Bools, Integers, Problem, State
from entropy.scheduling.rooms import Books, first_lacking
from entropy.scheduling.steps import Maker, Step

__all__ = ["Detour", "Situation", "find_detour"]

_TRIED = 48
"""Proposals followed to their end, lightest first; beyond the first that helps."""
_PER_WAITING = 4
"""Lightest VMs proposed for one that waits."""
_HELPFUL = 12
"""Helpful proposals compared."""

_Out = tuple[Step, list[Step]]
_Way = Callable[[int], _Out | None]
"""How a VM gets out of the way: the step, and its actions from there on; ``None`` if it cannot."""


@dataclass
class Situation:
    """A cluster at rest.  ``room`` now; ``quiet``: the room that was there all along (nothing that left is counted).

    ``pending``: VM -> the actions that it still waits for; ``at``: VM -> (node, whether it was observed there) of every VM that
    the plan has moved; ``returning``: VMs that are only on their way back; ``later``: VMs that have to move, but not yet.
    """

    room: list[int]
    quiet: list[int]
    pending: dict[int, list[Step]]
    at: dict[int, tuple[int, bool]]
    returning: set[int]
    later: Collection[int] = ()


@dataclass(frozen=True)
class Detour:
    """``steps`` to carry out now; ``then``: VM -> its actions from there on; ``back``: VMs that would otherwise have stayed."""

    steps: tuple[Step, ...]
    then: Mapping[int, list[Step]]
    back: frozenset[int] = frozenset()


def find_detour(problem: Problem, books: Books, maker: Maker, allowed: Bools, now: Situation, *, suspend: bool) -> Detour | None:
    """The best way found to let at least one waiting VM reach its goal; ``None`` if none was found.

    First through pivot nodes with VMs that have to move anyway, then with VMs that are already where they end; with ``suspend``
    by suspending a VM that has to move.  ``allowed``: see ``may_enter``.
    """
    finder = _Finder(problem, books, maker, allowed, now)
    if suspend:
        return finder.best(finder.proposals(finder.waiting_givers(), finder.suspended))
    return finder.best(finder.proposals(finder.waiting_givers(), finder.through_pivot)) or finder.best(
        finder.proposals(finder.resting_givers(), finder.through_pivot)
    )


class _Finder:
    def __init__(self, problem: Problem, books: Books, maker: Maker, allowed: Bools, now: Situation) -> None:
        self.problem, self.books, self.maker, self.allowed, self.now = problem, books, maker, allowed, now
        self.takers: dict[int, list[int]] = {}
        for v, chain in now.pending.items():
            for counter, _ in chain[0].takes:
                self.takers.setdefault(counter, []).append(v)
        shape = problem.capacity.shape
        nodes = shape[0] * books.width
        self.free: Integers = np.array(now.room[:nodes], dtype=np.int64).reshape(shape)
        self.quiet: Integers = np.array(now.quiet[:nodes], dtype=np.int64).reshape(shape)
        self.inbound: Integers = np.zeros_like(self.free)
        for v, chain in now.pending.items():
            if chain[0].target >= 0:
                self.inbound[chain[0].target] += problem.demand[v]
        self.known: dict[int, tuple[Step, list[Step]] | None] = {}

    # -- who could make room -----------------------------------------------------------------------
    def waiting_givers(self) -> dict[int, list[int]]:
        """Counter -> the waiting VMs that give it when they leave, lightest first."""
        found: dict[int, list[int]] = {}
        for v, chain in self.now.pending.items():
            if chain[0].kind == "migrate":
                for counter, amount in self.books.gives(v, chain[0].source, self.observed(v)):
                    if amount:
                        found.setdefault(counter, []).append(v)
        return self._lightest(found)

    def resting_givers(self) -> dict[int, list[int]]:
        """Counter -> VMs that run where they end, on nodes that somebody waits for, and may be moved away and back."""
        problem, now = self.problem, self.now
        lacking = {c // self.books.width for chain in now.pending.values() for c, _ in self._lacks(chain[0]) if c < self.free.size}
        found: dict[int, list[int]] = {}
        if not lacking:
            return found
        loose = problem.migratable & ~problem.held & (problem.goal == State.RUNNING) & (problem.state == State.RUNNING)
        loose &= (problem.consumption <= problem.demand).all(axis=1)
        for v in loose.nonzero()[0].tolist():
            if v in now.pending or v in now.later:
                continue
            node = now.at[v][0] if v in now.at else int(problem.host[v])
            if node in lacking and self._may_return(v, node):
                for r, amount in enumerate(self.books.demand[v]):
                    if amount:
                        found.setdefault(node * self.books.width + r, []).append(v)
        return self._lightest(found)

    def _may_return(self, v: int, node: int) -> bool:
        return bool(self.allowed[self.problem.path_of[v], node])

    def _lightest(self, found: dict[int, list[int]]) -> dict[int, list[int]]:
        for who in found.values():
            who.sort(key=lambda v: (int(self.problem.weight[v]), v))
        return found

    def observed(self, v: int) -> bool:
        """Does it count its consumption where it is?  What was thought to stay counts its demand."""
        return self.now.at[v][1] if v in self.now.at else v in self.now.pending

    # -- how it could get out of the way -------------------------------------------------------------
    def suspended(self, v: int) -> tuple[Step, list[Step]] | None:
        """Suspend ``v`` where it runs, resume it where it belongs."""
        if not self.problem.migratable[v] or v in self.now.returning:
            return None
        here, *rest = self.now.pending[v]
        step = self.maker.suspend(v, here.source, observed=self.observed(v))
        return step, [self.maker.resume(v, here.source, here.target), *rest]

    def through_pivot(self, v: int) -> tuple[Step, list[Step]] | None:
        """Migrate ``v`` to the best pivot node, and from there to where it belongs."""
        if v not in self.known:
            self.known[v] = self._through_pivot(v)
        return self.known[v]

    def _through_pivot(self, v: int) -> tuple[Step, list[Step]] | None:
        chain = self.now.pending.get(v)
        source = chain[0].source if chain else self.now.at[v][0] if v in self.now.at else int(self.problem.host[v])
        goal = chain[0].target if chain else source
        for pivot in self._pivots(v, source, goal):
            step = self.maker.migrate(v, source, pivot, observed=self.observed(v))
            self.books.fill(self.now.room)
            self.books.fill(self.now.quiet)
            if first_lacking(self.now.room, step.takes) < 0:
                return step, [self.maker.migrate(v, pivot, goal, observed=False), *(chain[1:] if chain else ())]
        return None

    def _pivots(self, v: int, source: int, goal: int) -> Iterator[int]:
        """Nodes with room for ``v`` now: first those whose room nobody else waits for, then those that the plan has used least
        (there it can go at once), then the emptiest."""
        demand = self.problem.demand[v]
        fits = (self.free >= demand).all(axis=1) & self.allowed[self.problem.path_of[v]]
        fits[[source, goal]] = False
        nodes = fits.nonzero()[0]
        if not len(nodes):
            return
        left = self.free[nodes] - demand
        harmful = (left < self.inbound[nodes]).any(axis=1)
        capacity = np.maximum(self.problem.capacity[nodes], 1)
        if self.books.width:
            slack, unused = ((table / capacity).min(axis=1) for table in (left, self.quiet[nodes] - demand))
        else:
            slack = unused = np.zeros(len(nodes))
        yield from nodes[np.lexsort((nodes, -slack, -np.minimum(unused, 0.0), harmful))].tolist()

    # -- proposals, and what each would release ------------------------------------------------------
    def proposals(self, givers: Mapping[int, list[int]], way: _Way) -> Iterator[Detour]:
        """Ways to let one waiting VM in: one other VM leaves, or as many as it takes, lightest first."""
        seen: set[frozenset[int]] = set()
        for v in sorted(self.now.pending, key=lambda v: (int(self.problem.weight[v]), v)):
            lacks = self._lacks(self.now.pending[v][0])
            if not lacks:
                continue
            single = 0
            candidates = [w for w in dict.fromkeys(w for c, _ in lacks for w in givers.get(c, ())) if w != v]
            for w in candidates:
                if single >= _PER_WAITING:
                    break
                if (out := way(w)) is not None and self._covers(lacks, [out[0]]):
                    single += 1
                    if frozenset((w,)) not in seen:
                        seen.add(frozenset((w,)))
                        yield self._detour([(w, out)])
            if not single and (several := self._several(lacks, candidates, way)):
                who = frozenset(w for w, _ in several)
                if who not in seen:
                    seen.add(who)
                    yield self._detour(several)

    def _several(self, lacks: Sequence[tuple[int, int]], candidates: Iterable[int], way: _Way) -> list[tuple[int, _Out]]:
        chosen: list[tuple[int, _Out]] = []
        taken: dict[int, int] = {}
        for w in candidates:
            out = way(w)
            if out is None or any(self.now.room[c] - taken.get(c, 0) < amount for c, amount in out[0].takes):
                continue
            for c, amount in out[0].takes:
                taken[c] = taken.get(c, 0) + amount
            chosen.append((w, out))
            if self._covers(lacks, [step for _, (step, _) in chosen]):
                return chosen
        return []

    def _detour(self, out: Sequence[tuple[int, _Out]]) -> Detour:
        back = frozenset(w for w, _ in out if w not in self.now.pending)
        return Detour(tuple(step for _, (step, _) in out), {w: then for w, (_, then) in out}, back)

    def _lacks(self, step: Step) -> list[tuple[int, int]]:
        return [(c, amount - self.now.room[c]) for c, amount in step.takes if self.now.room[c] < amount]

    @staticmethod
    def _covers(lacks: Sequence[tuple[int, int]], steps: Sequence[Step]) -> bool:
        for counter, amount in lacks:
            given = sum(a for step in steps for c, a in step.gives if c == counter)
            if given - sum(a for step in steps for c, a in step.takes if c == counter) < amount:
                return False
        return True

    def best(self, proposals: Iterator[Detour]) -> Detour | None:
        """The proposal that moves least memory per VM brought home, of the first that help."""
        found: list[tuple[float, int, Detour]] = []
        for tried, proposal in enumerate(proposals):
            if len(found) >= _HELPFUL or (found and tried >= _TRIED):
                break
            home = self._released(proposal)
            if home:
                price = sum(int(self.problem.weight[step.vm]) + 1 for step in proposal.steps) * (
                    1 + len(proposal.back) / len(proposal.steps)
                )
                found.append((price / home, tried, proposal))
        return min(found, key=lambda item: item[:2])[2] if found else None

    def _released(self, proposal: Detour) -> int:
        """How many waiting VMs would reach their goals after the proposal (those on their way back not counted)."""
        room, pending = self.now.room, self.now.pending
        self.books.fill(room)
        delta: dict[int, int] = {}
        work: list[int] = []

        def carry_out(step: Step) -> None:
            for c, amount in step.takes:
                delta[c] = delta.get(c, 0) - amount
            for c, amount in step.gives:
                delta[c] = delta.get(c, 0) + amount
                work.append(c)

        for step in proposal.steps:
            carry_out(step)
        home: set[int] = set()
        movers = {w for w in proposal.then if w in pending}
        while work:
            counter = work.pop()
            for v in (*self.takers.get(counter, ()), *(w for w in movers if w not in home)):
                if v in home:
                    continue
                chain = proposal.then.get(v) or pending[v]
                if all(room[c] + delta.get(c, 0) >= amount for c, amount in chain[0].takes):
                    home.add(v)
                    for step in chain:
                        carry_out(step)
        return len(home - self.now.returning)
