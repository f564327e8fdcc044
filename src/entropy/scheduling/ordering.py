"""From actions in no order to a sequence that is safe one action at a time, with detours where there is no other way.

1. List scheduling with the forecast durations.  Nearly always that is all.
2. What is blocked is taken apart into components that share no scarce counter.  A component is tried with other priorities,
   then, if it is small, searched exhaustively (least memory moved), else released detour by detour.
3. What is still blocked is searched again, now with VMs that need not move at all; then, where the policy allows it, VMs are
   suspended and resumed.
4. ``Unorderable``.  It is proven if the exhaustive search over everything that may move has seen every state, or if from the
   beginning no VM at all can be moved anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Problem
from entropy.scheduling.detours import Situation, find_detour
from entropy.scheduling.jobs import Workshop, split
from entropy.scheduling.proof import nothing_moves, search_everything
from entropy.scheduling.rooms import Books, first_lacking, settle
from entropy.scheduling.search import search
from entropy.scheduling.steps import Changes, Maker, Step
from entropy.scheduling.timetable import Chains, Priority, play, scarce, urgent_first
from entropy.scheduling.unorderable import Unorderable

__all__ = ["arrange"]

_SMALL = 10
"""VMs that have to move, up to which a component is searched with detours."""
_MIDDLE = 30
"""... up to which it is searched for an order without detours."""
_LOOKED = 75_000
"""Moves looked at in one search of a component, about a quarter of a second."""
_ALL_LOOKED = 300_000
"""Moves looked at in all searches of components of one call, about a second."""
_FEW_NODES = 14
"""Nodes up to which a search considers all of them as pivots."""
_PIVOTS = 6
"""Pivot nodes outside the component that a search considers, where there are many nodes."""


def arrange(problem: Problem, books: Books, maker: Maker, changes: Changes) -> list[Step]:
    """A sequence of all actions but the shutdowns, safe when carried out one at a time; detours included.

    Raises ``Unorderable``.
    """
    room = list(books.room)
    played = play(room, changes.chains, changes.startups, urgent_first)
    if not played.blocked:
        return played.sequence
    return _Arranger(problem, books, maker, changes).arrange(played.sequence, set(played.blocked))


def _longest_first(chains: Chains, _room: Sequence[int]) -> dict[int, tuple[float, ...]]:
    return {v: (-chain[0].seconds, v) for v, chain in chains.items()}


def _migrations_first(chains: Chains, room: Sequence[int]) -> dict[int, tuple[float, ...]]:
    keys = urgent_first(chains, room)
    return {v: (float(chain[0].kind in ("run", "resume")), *keys[v]) for v, chain in chains.items()}


def _smallest_first(chains: Chains, _room: Sequence[int]) -> dict[int, tuple[float, ...]]:
    return {v: (float(chain[0].kind in ("run", "resume")), chain[0].seconds, v) for v, chain in chains.items()}


_VARIANTS: tuple[tuple[Priority, bool], ...] = (
    (_migrations_first, False),
    (_migrations_first, True),
    (_longest_first, False),
    (_smallest_first, False),
)


@dataclass(frozen=True)
class _Stuck:
    """Where an attempt ended: the room at rest, what was done, and what could not be."""

    room: list[int]
    done: list[Step]
    pending: dict[int, list[Step]]
    at: dict[int, tuple[int, bool]]


class _Arranger:
    def __init__(self, problem: Problem, books: Books, maker: Maker, changes: Changes) -> None:
        self.problem, self.books, self.maker, self.changes = problem, books, maker, changes
        self.shop = Workshop(problem, books, maker, changes)
        self.allowed = self.shop.allowed
        self.room = list(books.room)
        self.done: list[Step] = []
        self.quiet = list(books.room)  # the room that was there all along: what left is not counted, so rarely used nodes stand out
        self.looks_left = _ALL_LOOKED

    def arrange(self, sequence: Sequence[Step], blocked: set[int]) -> list[Step]:
        chains = self.changes.chains
        groups = [g for g in _components(chains, scarce(chains.values(), self.books.room)) if not blocked.isdisjoint(g)]
        tight = {v for group in groups for v in group}
        self._carry_out(step for step in sequence if step.vm not in tight)
        waiting = sorted(groups, key=lambda g: (len(g), g))
        while waiting:
            still = [group for group in waiting if not self._solve({v: chains[v] for v in group})]
            if len(still) == len(waiting):
                self._last_attempts([{v: chains[v] for v in group} for group in still])
                break
            waiting = still
        return self._corrected()

    def _carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.books.fill(self.room)
            self.books.fill(self.quiet)
            settle(self.room, step.takes, step.gives)
            settle(self.quiet, step.takes, ())
            self.done.append(step)

    def _present(self) -> list[int]:
        self.books.fill(self.room)
        return list(self.room)

    # -- one component -------------------------------------------------------------------------------
    def _solve(self, chains: Chains) -> bool:
        stuck: list[_Stuck] = []
        for priority, reserve in _VARIANTS:
            room = self._present()
            played = play(room, chains, {}, priority, reserve=reserve)
            if not played.blocked:
                self._carry_out(played.sequence)
                return True
            stuck.append(_Stuck(room, played.sequence, played.blocked, _moved(played.sequence)))
        if (found := self._searched(chains, ())) is not None:
            self._carry_out(found)
            return True
        best = min(stuck, key=lambda s: sum(int(self.problem.weight[v]) + 1 for v in s.pending))
        released, rest = self._released(best, suspend=False)
        if rest.pending:
            return False
        self._carry_out(released)
        return True

    def _searched(self, chains: Chains, others: Sequence[int]) -> list[Step] | None:
        """An order of a small component with the least memory moved, or ``None``."""
        early, core, late = split(chains)
        if len(core) > _MIDDLE:
            return None
        room = self._present()
        for step in early:
            settle(room, step.takes, step.gives)
        zones = {n for chain in core.values() for step in chain for n in step.nodes}
        pivots = self._pivots(room, core, zones) if len(core) <= _SMALL else []
        jobs = [self.shop.job(v, chain, pivots) for v, chain in core.items()]
        jobs += [self.shop.stayer(v, pivots, max) for v in others]
        found = search(self.books, room, jobs, most=min(_LOOKED, self.looks_left), leave_goal=False)
        self.looks_left -= found.looked
        if found.moves is None:
            return None
        return self._completed(early, self.shop.steps(found.moves, core), late)

    def _completed(self, early: list[Step], middle: list[Step], late: list[Step]) -> list[Step] | None:
        room = self._present()
        steps = [*early, *middle, *late]
        for step in steps:
            if first_lacking(room, step.takes) >= 0:
                return None
            settle(room, step.takes, step.gives)
        return steps

    def _pivots(self, room: Sequence[int], core: Collection[int], near: set[int]) -> list[int]:
        """Nodes worth standing on: those of the component, and the emptiest others; those to be preferred last."""
        problem = self.problem
        quiet = self._share(self.quiet)
        if problem.n_nodes <= _FEW_NODES:
            return sorted(range(problem.n_nodes), key=lambda n: (n not in near, quiet[n]))
        cells = problem.n_nodes * self.books.width
        free = np.array(room[:cells], dtype=np.int64).reshape(problem.capacity.shape)
        takes_one = (free >= problem.demand[list(core)].min(axis=0)).all(axis=1) & self.allowed.any(axis=0)
        takes_one[list(near)] = False
        best = sorted(takes_one.nonzero()[0].tolist(), key=lambda n: (quiet[n], n))[-_PIVOTS:]
        return [*sorted(near), *best]

    def _share(self, counters: Sequence[int]) -> npt.NDArray[np.float64]:
        """Per node, the share of its scarcest resource that ``counters`` leaves."""
        problem = self.problem
        if not self.books.width:
            return np.ones(problem.n_nodes)
        left = np.array(counters[: problem.n_nodes * self.books.width], dtype=np.float64).reshape(problem.capacity.shape)
        return np.asarray((left / np.maximum(problem.capacity, 1)).min(axis=1))

    # -- detours ----------------------------------------------------------------------------------------
    def _released(self, stuck: _Stuck, *, suspend: bool) -> tuple[list[Step], _Stuck]:
        """Detour by detour until nothing waits any more, or nothing helps."""
        room, at = list(stuck.room), _moved(self.done) | stuck.at
        self.books.fill(room)
        later = self.changes.chains.keys() - at.keys() - stuck.pending.keys()
        pending = {v: list(chain) for v, chain in stuck.pending.items()}
        steps = list(stuck.done)
        returning: set[int] = set()
        self.books.fill(self.quiet)
        quiet = list(self.quiet)
        for step in steps:
            settle(quiet, step.takes, ())

        def follow(sequence: Iterable[Step]) -> None:
            for step in sequence:
                steps.append(step)
                at.update(_moved([step]))
                settle(quiet, step.takes, ())

        while pending:
            self.books.fill(room)
            self.books.fill(quiet)
            ahead = {v: chain for v, chain in pending.items() if v not in returning}
            played = play(room, ahead or pending, {}, urgent_first)
            follow(played.sequence)
            pending = played.blocked | ({v: pending[v] for v in returning if v in pending} if ahead else {})
            if not pending:
                break
            returning &= pending.keys()
            detour = None
            if ahead:
                now = Situation(room, quiet, pending, at, returning, later)
                detour = find_detour(self.problem, self.books, self.maker, self.allowed, now, suspend=False)
                if detour is None and suspend:
                    detour = find_detour(self.problem, self.books, self.maker, self.allowed, now, suspend=True)
            if detour is None:
                played = play(room, pending, {}, urgent_first)
                follow(played.sequence)
                pending = played.blocked
                if not played.sequence:
                    break
                continue
            for step in detour.steps:
                settle(room, step.takes, step.gives)
            follow(detour.steps)
            pending |= detour.then
            returning |= detour.back
        return steps, _Stuck(room, steps, pending, at)

    # -- the last attempts ----------------------------------------------------------------------------------
    def _last_attempts(self, components: Sequence[Chains]) -> None:
        """Everything that is left.  Raises ``Unorderable``."""
        chains = {v: chain for component in components for v, chain in component.items()}
        steps, rest = self._released(self._played(chains), suspend=False)
        if not rest.pending:
            self._carry_out(steps)
            return
        if (found := self._searched(chains, self._neighbours(chains))) is not None:
            self._carry_out(found)
            return
        whole, proven = search_everything(self.shop)
        if whole is not None:
            self.room, self.quiet, self.done = list(self.books.room), list(self.books.room), []
            self._carry_out(whole)
            return
        if not self.problem.allow_suspend or proven:
            raise Unorderable(self._reason(rest), rest.pending, proven=proven or nothing_moves(self.shop))
        for component in components:
            steps, rest = self._released(self._played(component), suspend=True)
            if rest.pending:
                raise Unorderable(self._reason(rest), rest.pending, proven=False)
            self._carry_out(steps)

    def _played(self, chains: Chains) -> _Stuck:
        room = self._present()
        played = play(room, chains, {}, _migrations_first)
        return _Stuck(room, played.sequence, played.blocked, _moved(played.sequence))

    def _neighbours(self, chains: Chains) -> list[int]:
        """VMs that stay on the nodes of the component and could be moved away and back, the lightest few."""
        nodes = {n for chain in chains.values() for step in chain for n in step.nodes}
        found = [v for v in self.shop.stayers() if int(self.problem.host[v]) in nodes]
        found.sort(key=lambda v: (int(self.problem.weight[v]), v))
        return found[: max(0, _SMALL - len(chains))]

    # -- how it ends ------------------------------------------------------------------------------------------
    def _corrected(self) -> list[Step]:
        corrected, room = self.shop.true_start(self.done)
        self.books.room[:] = room
        return corrected

    def _reason(self, stuck: _Stuck) -> str:
        """Who waits for what, for an operator."""
        problem, sentences = self.problem, []
        shown = sorted(stuck.pending)[:4]
        for v in shown:
            step = stuck.pending[v][0]
            lacking = [(c, amount) for c, amount in step.takes if stuck.room[c] < amount]
            what = " and ".join(
                f"{self.books.name(c)} ({self.books.shown(c, a)} needed, {self.books.shown(c, max(stuck.room[c], 0))} free)"
                for c, a in lacking[:2]
            )
            givers = [w for w, chain in stuck.pending.items() if w != v and chain[0].kind == "migrate" and chain[0].source == step.target]
            until = f" until {_names([problem.vm_name(w) for w in givers])} has left" if givers else ""
            sentences.append(f"{problem.vm_name(v)} waits for {what or 'its turn'}{until}")
        more = f"; and {len(stuck.pending) - len(shown)} more wait" if len(stuck.pending) > len(shown) else ""
        where = "no other node can take one of them meanwhile"
        if any(chain[0].kind == "migrate" for chain in stuck.pending.values()) and not problem.allow_suspend:
            where += ", and the policy does not allow to suspend one (allowSuspend)"
        return f"No safe order: {'; '.join(sentences)}{more}; {where}."


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _moved(steps: Iterable[Step]) -> dict[int, tuple[int, bool]]:
    return {step.vm: (step.target, False) for step in steps if step.vm >= 0 and step.target >= 0}


def _components(chains: Chains, tight: set[int]) -> list[list[int]]:
    """VMs whose actions share a scarce counter, directly or through others."""
    parent: dict[int, int] = {}

    def root(c: int) -> int:
        while parent.setdefault(c, c) != c:
            parent[c] = c = parent[parent[c]]
        return c

    anchor: dict[int, int] = {}
    for v, chain in chains.items():
        mine = [c for step in chain for pairs in (step.takes, step.gives) for c, _ in pairs if c in tight]
        for c in mine:
            parent[root(c)] = root(mine[0])
        if mine:
            anchor[v] = mine[0]
    groups: dict[int, list[int]] = {}
    for v, c in anchor.items():
        groups.setdefault(root(c), []).append(v)
    return list(groups.values())
