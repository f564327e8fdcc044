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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Problem, State
from entropy.scheduling.detours import Situation, find_detour
from entropy.scheduling.rooms import Books, first_lacking, settle
from entropy.scheduling.search import Job, Move, search
from entropy.scheduling.steps import Changes, Maker, Step, may_enter
from entropy.scheduling.timetable import Chains, Priority, play, scarce, urgent_first
from entropy.scheduling.unorderable import Unorderable

__all__ = ["arrange"]

_SMALL = 10
"""VMs that have to move, up to which a component is searched with detours."""
_MIDDLE = 30
"""... up to which it is searched for an order without detours."""
_STATES = 6_000
"""States looked at in one search of a component, about half a second."""
_ALL_STATES = 24_000
"""States looked at in all searches of components of one call."""
_PROOF_STATES = 10_000
"""States looked at in the search that may end in a proof."""
_PROOF_MOVERS, _PROOF_NODES = 14, 14
"""Largest problem on which a proof by search is attempted."""
_WAVERING = 4
"""VMs whose consumption is not their demand, up to which each set of them is tried as those that leave and come back."""
_PIVOTS = 6
"""Pivot nodes outside the component that a search considers, where there are many nodes."""

_Count = Callable[[int, int], int]


def arrange(problem: Problem, books: Books, maker: Maker, changes: Changes) -> list[Step]:
    """A sequence of all actions but the shutdowns, safe when carried out one at a time; detours included.

    Raises ``Unorderable``.
    """
    room = list(books.room)
    played = play(room, changes.chains, changes.startups, urgent_first)
    if not played.blocked:
        return played.sequence
    return _Arranger(problem, books, maker, changes).arrange(played.sequence, set(played.blocked))


def _as_used(_demand: int, consumption: int) -> int:
    return consumption


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
        self.allowed = may_enter(problem)
        self.room = list(books.room)
        self.done: list[Step] = []
        self.quiet = list(books.room)  # the room that was there all along: what left is not counted, so rarely used nodes stand out
        self.states_left = _ALL_STATES

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
        early, core, late = _split(chains)
        if len(core) > _MIDDLE:
            return None
        room = self._present()
        for step in early:
            settle(room, step.takes, step.gives)
        zones = {n for chain in core.values() for step in chain for n in step.nodes}
        pivots = self._pivots(room, core, zones) if len(core) <= _SMALL else []
        jobs = [self._job(v, chain, pivots) for v, chain in core.items()]
        jobs += [self._stayer(v, pivots, max) for v in others]
        found = search(self.books, room, jobs, states=min(_STATES, self.states_left), leave_goal=False)
        self.states_left -= found.states
        if found.moves is None:
            return None
        return self._completed(early, self._steps(found.moves, core), late)

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
        if problem.n_nodes <= _PROOF_NODES:
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

    def _job(self, v: int, chain: Sequence[Step], pivots: Iterable[int]) -> Job:
        first = chain[0]
        running = first.kind == "migrate"
        here = self.books.gives(v, first.source, observed=True) if running else ()
        entered = self.allowed[self.problem.path_of[v]]
        return Job(
            vm=v,
            start=first.source if running else -1,
            goal=first.target,
            at_start=here,
            counted=here,
            weight=int(self.problem.weight[v]),
            pivots=tuple(n for n in pivots if entered[n]) if running else (),
            vanishes=len(chain) > 1,
            suspendable=False,
        )

    def _stayer(self, v: int, pivots: Iterable[int], count: _Count, *, suspendable: bool = False, leaves: bool = False) -> Job:
        """A VM that may be moved away and back (``leaves``: has to be).

        What it counts until it first leaves depends on whether it ever will: its consumption if so, else its demand.
        ``count(demand, consumption)`` is what the search shall count: the larger is always safe.
        """
        node = int(self.problem.host[v])
        counted = self.books.takes(v, node)
        used = self.books.gives(v, node, observed=True)
        entered = self.allowed[self.problem.path_of[v]]
        return Job(
            vm=v,
            start=node,
            goal=node,
            at_start=tuple((c, count(a, b)) for (c, a), (_, b) in zip(counted, used, strict=True)),
            counted=counted,
            weight=int(self.problem.weight[v]),
            pivots=tuple(n for n in pivots if entered[n]),
            suspendable=suspendable,
            optional=not leaves,
        )

    def _steps(self, moves: Sequence[Move], chains: Chains) -> list[Step]:
        """A search's moves as actions."""
        steps: list[Step] = []
        moved: set[int] = set()
        for move in moves:
            v = move.vm
            first = v in self.changes.chains and v not in moved  # what was thought to stay counts its demand; see _true_start
            moved.add(v)
            vanishes = v in chains and len(chains[v]) > 1 and move.target == chains[v][0].target
            match move.kind:
                case "migrate":
                    steps.append(self.maker.migrate(v, move.source, move.target, observed=first))
                case "suspend":
                    steps.append(self.maker.suspend(v, move.source, observed=first))
                case "enter":
                    steps.append(chains[v][0] if move.source < 0 else self.maker.resume(v, move.source, move.target))
            if vanishes:
                steps.append(self.maker.suspend(v, move.target, observed=False))
        self.books.fill(self.room)
        return steps

    # -- detours ----------------------------------------------------------------------------------------
    def _released(self, stuck: _Stuck, *, suspend: bool) -> tuple[list[Step], _Stuck]:
        """Detour by detour until nothing waits any more, or nothing helps."""
        room, at = list(stuck.room), dict(stuck.at)
        self.books.fill(room)
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
                now = Situation(room, quiet, pending, at, returning)
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
        whole, proven = self._search_everything()
        if whole is not None:
            self.room, self.quiet, self.done = list(self.books.room), list(self.books.room), []
            self._carry_out(whole)
            return
        if not self.problem.allow_suspend or proven:
            raise Unorderable(self._reason(rest), rest.pending, proven=proven or self._nothing_moves())
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
        found = [v for v in self._stayers() if int(self.problem.host[v]) in nodes]
        found.sort(key=lambda v: (int(self.problem.weight[v]), v))
        return found[: max(0, _SMALL - len(chains))]

    def _stayers(self) -> list[int]:
        """VMs that end where they run, and could be moved away and back."""
        problem = self.problem
        runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING) & problem.migratable & ~problem.held
        runs[list(self.changes.chains)] = False
        back = runs.nonzero()[0]
        home = self.allowed[problem.path_of[back], problem.host[back]]
        return [int(v) for v in back[home]]

    def _search_everything(self) -> tuple[list[Step] | None, bool]:
        """(an order from the very beginning with whatever may move, is it proven that there is none)."""
        problem = self.problem
        early, core, late = _split(self.changes.chains)
        stayers = self._stayers()
        if problem.n_nodes > _PROOF_NODES or len(core) + len(stayers) > _PROOF_MOVERS:
            return None, False
        room = list(self.books.room)
        for step in early:
            settle(room, step.takes, step.gives)
        startups = list(self.changes.startups.values())
        nodes = range(problem.n_nodes)
        movers = [self._with_suspend(self._job(v, chain, nodes)) for v, chain in core.items()]
        wavering = [v for v in stayers if (problem.consumption[v] != problem.demand[v]).any()]

        def attempt(count: _Count, others: Sequence[int], leaving: Collection[int] = ()) -> tuple[list[Step] | None, bool]:
            jobs = movers + [self._stayer(v, nodes, count, suspendable=problem.allow_suspend, leaves=v in leaving) for v in others]
            found = search(self.books, room, jobs, states=_PROOF_STATES)
            if found.moves is None:
                return None, found.exhausted
            steps = [*startups, *early, *self._steps(found.moves, core), *late]
            return (steps if self._is_safe(steps) else None), False

        found, exhausted = attempt(max, stayers)
        if found is None and exhausted and wavering:
            found, exhausted = attempt(min, stayers)
            if found is None and not exhausted and len(wavering) <= _WAVERING:
                exhausted = True
                for leaving in (set(c) for k in range(1, len(wavering) + 1) for c in combinations(wavering, k)):
                    others = [v for v in stayers if v in leaving or v not in wavering]
                    found, every = attempt(_as_used, others, leaving)
                    exhausted &= every
                    if found is not None:
                        break
        return found, found is None and exhausted and not self._more_pivots()

    def _with_suspend(self, job: Job) -> Job:
        return replace(job, suspendable=self.problem.allow_suspend and job.start >= 0)

    def _more_pivots(self) -> bool:
        """Could nodes that are to be shut down, which the problem excludes, serve as pivots until then?"""
        return bool(self.changes.shutdowns)

    def _is_safe(self, steps: Sequence[Step]) -> bool:
        corrected, room = self._true_start(steps)
        for step in corrected:
            if first_lacking(room, step.takes) >= 0:
                return False
            settle(room, step.takes, step.gives)
        return True

    def _nothing_moves(self) -> bool:
        """From the beginning, all stops and suspends done, can no VM at all be moved anywhere?"""
        problem, width = self.problem, self.books.width
        early, core, _ = _split(self.changes.chains)
        stayers = self._stayers()
        if self._more_pivots() or (problem.allow_suspend and (core or stayers)):
            return False
        if any(chain[0].kind != "migrate" or len(chain) > 1 for chain in core.values()):
            return False
        room = list(self.books.room)
        for step in early:
            settle(room, step.takes, step.gives)
        free = np.array(room[: problem.n_nodes * width], dtype=np.int64).reshape(problem.capacity.shape)
        if stayers:
            spare = np.maximum(problem.demand[stayers] - problem.consumption[stayers], 0)
            np.add.at(free, problem.host[stayers], spare)
        for v in (*core, *stayers):
            fits = (free >= problem.demand[v]).all(axis=1) & self.allowed[problem.path_of[v]]
            fits[problem.host[v]] = False
            for n in fits.nonzero()[0].tolist():
                takes = self.books.takes(v, n, int(problem.host[v]))
                self.books.fill(room)
                if first_lacking(room, takes[width:]) < 0:
                    return False
        return True

    # -- how it ends ------------------------------------------------------------------------------------------
    def _corrected(self) -> list[Step]:
        corrected, room = self._true_start(self.done)
        self.books.room[:] = room
        return corrected

    def _true_start(self, steps: Sequence[Step]) -> tuple[list[Step], list[int]]:
        """``steps`` and the room at the beginning, with VMs that were thought to stay counted as those that they are: they use
        their consumption where they are observed until they first leave."""
        room = list(self.books.room)
        moved: set[int] = set(self.changes.chains)
        corrected = []
        for step in steps:
            if step.vm >= 0 and step.vm not in moved:
                moved.add(step.vm)
                v, onto = step.vm, step.target if step.kind == "migrate" else -1
                gives = self.books.gives(v, step.source, True, onto)
                self.books.fill(room)
                for (counter, amount), (_, used) in zip(self.books.takes(v, step.source)[: self.books.width], gives, strict=False):
                    room[counter] += amount - used
                step = replace(step, gives=gives)
            corrected.append(step)
        return corrected, room

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
            sentences.append(f"{problem.vm_name(v)} waits for {what}{until}")
        more = f"; and {len(stuck.pending) - len(shown)} more wait" if len(stuck.pending) > len(shown) else ""
        where = "no other node can take one of them meanwhile"
        if any(chain[0].kind == "migrate" for chain in stuck.pending.values()) and not problem.allow_suspend:
            where += ", and the policy does not allow to suspend one (allowSuspend)"
        return f"No safe order: {'; '.join(sentences)}{more}; {where}."


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _moved(steps: Iterable[Step]) -> dict[int, tuple[int, bool]]:
    return {step.vm: (step.target, False) for step in steps if step.vm >= 0 and step.target >= 0}


def _split(chains: Mapping[int, Sequence[Step]]) -> tuple[list[Step], dict[int, Sequence[Step]], list[Step]]:
    """(what only gives and comes first, what has to be ordered, what only takes for good and comes last)."""
    early = [chain[0] for chain in chains.values() if not chain[0].takes and len(chain) == 1]
    late = [chain[0] for chain in chains.values() if chain[0].kind in ("run", "resume") and len(chain) == 1]
    apart = {step.vm for step in (*early, *late)}
    return early, {v: chain for v, chain in chains.items() if v not in apart}, late


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
