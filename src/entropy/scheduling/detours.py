"""When nothing can start and nothing runs: move a VM out of the way, to a pivot node, and later to where it belongs.

The original's *bypass migration* (Hermenier et al., VEE 2009, section 4.2): VMs that wait for each other in a circle are
released by one of them going through a third node.  Which one, and through which node, is chosen by trying: every proposal
is followed to what it would release, and the least memory moved per VM brought home wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entropy.problem.problem import Integers, positions
from entropy.scheduling.jobs import Workshop
from entropy.scheduling.pivots import Ground, Table
from entropy.scheduling.rooms import Amounts, Copy
from entropy.scheduling.steps import Step

__all__ = ["Detour", "Situation", "find_detour"]

_TRIED = 48
"""Proposals followed to their end, lightest first; beyond the first that helps."""
_PER_WAITING = 4
"""Lightest VMs proposed for one that waits."""
_HELPFUL = 12
"""Helpful proposals compared."""
_STANDING = 128
"""Pivot nodes tried for one VM (a rule may forbid those with room)."""

_Out = tuple[Step, list[Step]]
_Way = Callable[[int], _Out | None]
"""How a VM gets out of the way: the step, and its actions from there on; ``None`` if it cannot."""


@dataclass
class Situation:
    """A cluster at rest, in an attempt.  ``room`` and ``quiet`` are copies of the ground's.

    ``pending``: VM -> the actions that it still waits for; ``moved``: VMs that the attempt has moved; ``returning``: VMs that are
    only on their way back.
    """

    room: Copy
    quiet: Copy
    pending: dict[int, list[Step]]
    moved: set[int]
    returning: set[int]


@dataclass(frozen=True)
class Detour:
    """``steps`` to carry out now; ``then``: VM -> its actions from there on; ``back``: VMs that would otherwise have stayed."""

    steps: tuple[Step, ...]
    then: Mapping[int, list[Step]]
    back: frozenset[int] = frozenset()


def find_detour(shop: Workshop, ground: Ground, now: Situation, *, suspend: bool) -> Detour | None:
    """The best way found to let at least one waiting VM reach its goal; ``None`` if none was found.

    First through pivot nodes with VMs that have to move anyway, then with VMs that are already where they end; with ``suspend``
    by suspending a VM that has to move.
    """
    finder = _Finder(shop, ground, now)
    if suspend:
        return finder.best(finder.proposals(finder.waiting_givers(), finder.suspended))
    return finder.best(finder.proposals(finder.waiting_givers(), finder.through_pivot)) or finder.best(
        finder.proposals(finder.resting_givers(), finder.through_pivot)
    )


class _Finder:
    def __init__(self, shop: Workshop, ground: Ground, now: Situation) -> None:
        self.shop, self.ground, self.now = shop, ground, now
        self.problem, self.books, self.maker, self.allowed = shop.problem, shop.books, shop.maker, shop.allowed
        self.takers: dict[int, list[int]] = {}
        for v, chain in now.pending.items():
            for counter in (*(c for c, _ in chain[0].takes), *chain[0].asks):
                self.takers.setdefault(counter, []).append(v)
        self.listed = ground.table(ground.listed(), now.room, now.quiet)
        self.all: Table | None = None
        self.inbound: dict[Table, Integers] = {}
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
        cells, width = self.books.cells, self.books.width
        lacking = {c // width for chain in now.pending.values() for c, _ in self._lacks(chain[0]) if c < cells}
        found: dict[int, list[int]] = {}
        for node in lacking:
            there = self.shop.residents(node)
            loose = problem.migratable[there] & ~problem.held[there] & self.allowed[problem.path_of[there], node]
            loose &= (problem.consumption[there] <= problem.demand[there]).all(axis=1)
            for v in there[loose].tolist():
                if v in now.pending or (self.ground.waits[v] and v not in now.moved):
                    continue
                for r, amount in enumerate(problem.demand[v].tolist()):
                    if amount:
                        found.setdefault(node * width + r, []).append(v)
        return self._lightest(found)

    def _lightest(self, found: dict[int, list[int]]) -> dict[int, list[int]]:
        for who in found.values():
            who.sort(key=lambda v: (int(self.problem.weight[v]), v))
        return found

    def observed(self, v: int) -> bool:
        """Does it count its consumption where it is?  What was thought to stay counts its demand."""
        return v in self.now.pending and v not in self.now.moved

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
        source = chain[0].source if chain else int(self.shop.changes.host[v])
        goal = chain[0].target if chain else source
        for pivot in self._pivots(v, source, goal):
            step = self.maker.migrate(v, source, pivot, observed=self.observed(v))
            if step.lacking(self.now.room) < 0:
                return step, [self.maker.migrate(v, pivot, goal, observed=False), *(chain[1:] if chain else ())]
        return None

    def _pivots(self, v: int, source: int, goal: int) -> Iterator[int]:
        yield from self._pivots_of(self.listed, v, source, goal)
        if not self.ground.few:
            if self.all is None:
                nodes = np.arange(self.problem.n_nodes, dtype=np.int32)
                self.all = self.ground.table(nodes, self.now.room, self.now.quiet)
            yield from self._pivots_of(self.all, v, source, goal)

    def _pivots_of(self, table: Table, v: int, source: int, goal: int) -> list[int]:
        """Nodes with room for ``v`` now: first those whose room nobody else waits for, then those that the plan has used least
        (there it can go at once), then the emptiest."""
        demand = self.problem.demand[v]
        fits = (table.free >= demand).all(axis=1) & self.allowed[self.problem.path_of[v], table.nodes]
        fits &= (table.nodes != source) & (table.nodes != goal)
        rows = positions(fits)
        if not len(rows):
            return []
        nodes, left = table.nodes[rows], table.free[rows] - demand
        harmful = (left < self._inbound(table)[rows]).any(axis=1)
        slack, unused = (self.ground.share(room, nodes) for room in (left, table.quiet[rows] - demand))
        found: list[int] = nodes[np.lexsort((nodes, -slack, -np.minimum(unused, 0.0), harmful))].tolist()
        return found[:_STANDING]

    def _inbound(self, table: Table) -> Integers:
        """What waits to enter each node of ``table``."""
        if table not in self.inbound:
            found = self.inbound[table] = np.zeros_like(table.free)
            for v, chain in self.now.pending.items():
                if (k := table.row.get(chain[0].target, -1)) >= 0:
                    found[k] += self.problem.demand[v]
        return self.inbound[table]

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
            if out is None or any(self.now.room[c] - taken.get(c, 0) < amount for c, amount in _conditions(out[0])):
                continue
            for c, amount in (*out[0].takes, *out[0].burdens):
                taken[c] = taken.get(c, 0) + amount
            chosen.append((w, out))
            if self._covers(lacks, [step for _, (step, _) in chosen]):
                return chosen
        return []

    def _detour(self, out: Sequence[tuple[int, _Out]]) -> Detour:
        back = frozenset(w for w, _ in out if w not in self.now.pending)
        return Detour(tuple(step for _, (step, _) in out), {w: then for w, (_, then) in out}, back)

    def _lacks(self, step: Step) -> list[tuple[int, int]]:
        return [(c, amount - self.now.room[c]) for c, amount in _conditions(step) if self.now.room[c] < amount]

    @staticmethod
    def _covers(lacks: Sequence[tuple[int, int]], steps: Sequence[Step]) -> bool:
        for counter, amount in lacks:
            given = sum(a for step in steps for c, a in step.gives if c == counter)
            if given - sum(a for step in steps for c, a in (*step.takes, *step.burdens) if c == counter) < amount:
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
        delta: dict[int, int] = {}
        work: list[int] = []

        def carry_out(step: Step) -> None:
            for c, amount in (*step.takes, *step.burdens):
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
                if all(room[c] + delta.get(c, 0) >= amount for c, amount in _conditions(chain[0])):
                    home.add(v)
                    for step in chain:
                        carry_out(step)
        return len(home - self.now.returning)


def _conditions(step: Step) -> Amounts:
    """(counter, room that there must be) for the step to start."""
    return (*step.takes, *((c, 0) for c in step.asks)) if step.asks else step.takes
