"""From actions in no order to a sequence that is safe one action at a time, with detours where there is no other way.

1. List scheduling with the forecast durations.  Nearly always that is all.
2. What is blocked is taken apart into components that share no scarce counter.  A component is tried with other priorities,
   then, if it is small, searched exhaustively (least memory moved), else released detour by detour.  Of a large one, what could
   start is taken as ordered, and what waits is taken apart again: it is many knots far from each other.
3. What is still blocked is searched again, now with VMs that need not move at all; then, where the policy allows it, VMs are
   suspended and resumed.
4. ``Unorderable``.  It is proven if the exhaustive search over everything that may move has seen every state, or if from the
   beginning no VM at all can be moved anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from entropy.problem.problem import Indices, positions
from entropy.scheduling.contention import Division
from entropy.scheduling.detours import Situation, find_detour
from entropy.scheduling.effort import Effort
from entropy.scheduling.jobs import Workshop, split
from entropy.scheduling.pivots import Ground
from entropy.scheduling.proof import nothing_moves, search_everything
from entropy.scheduling.rooms import Copy, Readable
from entropy.scheduling.search import search
from entropy.scheduling.steps import Step, scarce
from entropy.scheduling.timetable import Chains, Priority, play, urgent_first
from entropy.scheduling.unorderable import Unorderable

__all__ = ["Arranged", "arrange"]

_SMALL = 10
"""VMs that have to move, up to which a component is searched with detours."""
_MIDDLE = 30
"""... up to which it is searched for an order without detours."""
_LARGE = 20_000
"""... up to which other priorities are tried."""
_WAITING = 300
"""VMs that wait in the end, up to which a component is released detour by detour before it is taken apart."""
_LOOKED = 75_000
"""Moves looked at in one search of a component, about a quarter of a second."""
_FEW_NODES = 14
"""Nodes up to which a search considers all of them as pivots."""
_PIVOTS = 6
"""Pivot nodes outside the component that a search considers, where there are many nodes."""


@dataclass(frozen=True)
class Arranged:
    """``steps``: a sequence that is safe when carried out one at a time.  It holds ``all`` of the plan, or all but what is in bulk.

    ``room``: the room at the very beginning, with VMs that make a detour counted as what they are.  ``shop`` keeps the books of it.
    """

    steps: list[Step]
    room: Readable
    shop: Workshop
    all: bool = False


def arrange(shop: Workshop, division: Division, afresh: Callable[[], Workshop], effort: Effort) -> Arranged:
    """A sequence of all actions but the shutdowns and those in bulk, safe when carried out one at a time; detours included.

    ``afresh`` gives books and actions in which nothing is in bulk.  Raises ``Unorderable``.
    """
    room = Copy(shop.books.room)
    played = play(room, division.chains, shop.changes.startups, urgent_first)
    groups = _components(division.chains, division.scarce)
    part = {v: k for k, group in enumerate(groups) for v in group}
    steps = sorted(played.sequence, key=lambda step: part.get(step.vm, step.vm if step.vm < 0 else len(part)))
    if not played.blocked:
        return Arranged(steps, shop.books.room, shop)
    return _Arranger(shop, division, afresh, effort).arrange(steps, groups, played.blocked)


def _longest_first(chains: Chains, _room: Readable) -> dict[int, tuple[float, ...]]:
    return {v: (-chain[0].seconds, v) for v, chain in chains.items()}


def _migrations_first(chains: Chains, room: Readable) -> dict[int, tuple[float, ...]]:
    keys = urgent_first(chains, room)
    return {v: (float(chain[0].kind in ("run", "resume")), *keys[v]) for v, chain in chains.items()}


def _smallest_first(chains: Chains, _room: Readable) -> dict[int, tuple[float, ...]]:
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

    room: Copy
    done: list[Step]
    pending: dict[int, list[Step]]


class _Arranger:
    def __init__(self, shop: Workshop, division: Division, afresh: Callable[[], Workshop], effort: Effort) -> None:
        self.shop, self.division, self.afresh, self.effort = shop, division, afresh, effort
        self.problem, self.books = shop.problem, shop.books
        self.ground = Ground(shop.problem, shop.books, shop.allowed, division.chains)

    def arrange(self, sequence: Sequence[Step], components: Sequence[list[int]], blocked: Chains) -> Arranged:
        """``sequence`` was found, ``blocked`` could not start."""
        chains = self.division.chains
        groups = [g for g in components if not blocked.keys().isdisjoint(g)]
        large = {v for g in groups if len(g) > _LARGE and all(chains[v][0].kind not in ("run", "resume") for v in g) for v in g}
        again = {v for group in groups for v in group} - large
        self.ground.carry_out(step for step in sequence if step.vm not in again)
        waiting: list[Chains] = [{v: chains[v] for v in group} for group in groups if group[0] not in large]
        for group in (g for g in groups if g[0] in large):
            waiting += self._untied({v: blocked[v] for v in group if v in blocked})
        waiting.sort(key=_size)
        while waiting:
            asked = sum(map(len, waiting))
            still: list[Chains] = []
            for k, chosen in enumerate(waiting):
                if self.effort.over:
                    self._give_up([*still, *waiting[k:]])
                still += self._solve(chosen)
            if sum(map(len, still)) == asked:
                if (whole := self._last_attempts(still)) is not None:
                    return whole
                break
            waiting = sorted(still, key=_size)
        corrected, room = self.shop.true_start(self.ground.done)
        return Arranged(corrected, room, self.shop)

    # -- one component -------------------------------------------------------------------------------
    def _solve(self, chains: Chains) -> list[Chains]:
        """What is left of a component: nothing, the whole, or (of a large one) the knots in it."""
        stuck: list[_Stuck] = []
        for priority, reserve in _VARIANTS if len(chains) <= _LARGE else _VARIANTS[:1]:
            room = Copy(self.ground.room)
            played = play(room, chains, {}, priority, reserve=reserve)
            if not played.blocked:
                self.ground.carry_out(played.sequence)
                return []
            stuck.append(_Stuck(room, played.sequence, played.blocked))
        if (found := self._searched(chains, ())) is not None:
            self.ground.carry_out(found)
            return []
        best = min(stuck, key=lambda s: sum(int(self.problem.weight[v]) + 1 for v in s.pending))
        if len(best.pending) > _WAITING and len(best.pending) < len(chains):
            self.ground.carry_out(best.done)
            return self._knots(best.pending)
        released, rest = self._released(best, suspend=False)
        if rest.pending:
            return [chains]
        self.ground.carry_out(released)
        return []

    def _untied(self, pending: Chains) -> list[Chains]:
        """What is left of a large component when all that could start is done: nothing, or the knots in it."""
        if len(pending) <= _WAITING:
            stuck = _Stuck(Copy(self.ground.room), [], {v: list(chain) for v, chain in pending.items()})
            released, rest = self._released(stuck, suspend=False)
            if not rest.pending:
                self.ground.carry_out(released)
                return []
        return self._knots(pending)

    def _knots(self, pending: Chains) -> list[Chains]:
        """What waits now, at rest, taken apart."""
        scarce_now = scarce(pending.values(), self.ground.room)
        return [{v: pending[v] for v in group} for group in _components(pending, scarce_now)]

    def _searched(self, chains: Chains, others: Sequence[int]) -> list[Step] | None:
        """An order of a small component with the least memory moved, or ``None``."""
        early, core, late = split(chains)
        if len(core) > _MIDDLE:
            return None
        room = Copy(self.ground.room)
        for step in early:
            step.carry_out(room)
        zones = {n for chain in core.values() for step in chain for n in step.nodes}
        pivots = self._pivots(room, core, zones) if len(core) <= _SMALL else []
        jobs = [self.shop.job(v, chain, pivots) for v, chain in core.items()]
        jobs += [self.shop.stayer(v, pivots, max) for v in others]
        found = search(self.books, room, jobs, most=self.effort.looks(_LOOKED), leave_goal=False)
        self.effort.spend(found.looked)
        if found.moves is None:
            return None
        return self._completed(early, self.shop.steps(found.moves, core), late)

    def _completed(self, early: list[Step], middle: list[Step], late: list[Step]) -> list[Step] | None:
        room = Copy(self.ground.room)
        steps = [*early, *middle, *late]
        for step in steps:
            if step.lacking(room) >= 0:
                return None
            step.carry_out(room)
        return steps

    def _pivots(self, room: Copy, core: Collection[int], near: set[int]) -> list[int]:
        """Nodes worth standing on: those of the component, and the emptiest others; those to be preferred last."""
        problem, ground = self.problem, self.ground
        if problem.n_nodes <= _FEW_NODES:
            everywhere = np.arange(problem.n_nodes, dtype=np.int32)
            quiet = ground.share(ground.table(everywhere, room, Copy(ground.quiet)).quiet, everywhere)
            return sorted(range(problem.n_nodes), key=lambda n: (n not in near, quiet[n]))
        best = self._emptiest(ground.listed(), room, core, near)
        if not best and not ground.few:
            best = self._emptiest(np.arange(problem.n_nodes, dtype=np.int32), room, core, near)
        return [*sorted(near), *best]

    def _emptiest(self, nodes: Indices, room: Copy, core: Collection[int], near: set[int]) -> list[int]:
        problem, table = self.problem, self.ground.table(nodes, room, Copy(self.ground.quiet))
        vms = list(core)
        takes_one = (table.free >= problem.demand[vms].min(axis=0)).all(axis=1)
        takes_one &= self.shop.allowed[np.unique(problem.path_of[vms])][:, nodes].any(axis=0)
        takes_one[[table.row[n] for n in near if n in table.row]] = False
        rows = positions(takes_one)
        quiet = self.ground.share(table.quiet[rows], nodes[rows])
        found: list[int] = nodes[rows][np.lexsort((nodes[rows], quiet))[-_PIVOTS:]].tolist()
        return found

    # -- detours ----------------------------------------------------------------------------------------
    def _released(self, stuck: _Stuck, *, suspend: bool) -> tuple[list[Step], _Stuck]:
        """Detour by detour until nothing waits any more, or nothing helps."""
        room, quiet = stuck.room.twin(), Copy(self.ground.quiet)
        pending = {v: list(chain) for v, chain in stuck.pending.items()}
        steps: list[Step] = []
        moved: set[int] = set()
        returning: set[int] = set()

        def follow(sequence: Iterable[Step]) -> None:
            for step in sequence:
                steps.append(step)
                moved.add(step.vm)
                for counter, amount in step.takes:
                    quiet[counter] -= amount

        follow(stuck.done)
        while pending and not self.effort.over:
            ahead = {v: chain for v, chain in pending.items() if v not in returning}
            played = play(room, ahead or pending, {}, urgent_first)
            follow(played.sequence)
            pending = played.blocked | ({v: pending[v] for v in returning if v in pending} if ahead else {})
            if not pending:
                break
            returning &= pending.keys()
            detour = None
            if ahead:
                now = Situation(room, quiet, pending, moved, returning)
                detour = find_detour(self.shop, self.ground, now, suspend=False)
                if detour is None and suspend:
                    detour = find_detour(self.shop, self.ground, now, suspend=True)
            if detour is None:
                played = play(room, pending, {}, urgent_first)
                follow(played.sequence)
                pending = played.blocked
                if not played.sequence:
                    break
                continue
            for step in detour.steps:
                step.carry_out(room)
            follow(detour.steps)
            pending |= detour.then
            returning |= detour.back
        return steps, _Stuck(room, steps, pending)

    # -- the last attempts ----------------------------------------------------------------------------------
    def _last_attempts(self, components: Sequence[Chains]) -> Arranged | None:
        """Everything that is left; the whole plan, where it was ordered anew.  Raises ``Unorderable``."""
        chains = {v: chain for component in components for v, chain in component.items()}
        steps, rest = self._released(self._played(chains), suspend=False)
        if not rest.pending:
            self.ground.carry_out(steps)
            return None
        if (found := self._searched(chains, self._neighbours(chains))) is not None:
            self.ground.carry_out(found)
            return None
        if self.effort.over:
            self._give_up(components)
        shop = self.afresh()
        whole, proven = search_everything(shop, self.effort)
        if whole is not None:
            return Arranged(*shop.true_start(whole), shop, all=True)
        if not self.problem.allow_suspend or proven:
            raise Unorderable(self._reason(rest), rest.pending, proven=proven or nothing_moves(shop))
        for component in components:
            steps, rest = self._released(self._played(component), suspend=True)
            if rest.pending:
                raise Unorderable(self._reason(rest), rest.pending, proven=False)
            self.ground.carry_out(steps)
        return None

    def _played(self, chains: Chains) -> _Stuck:
        room = Copy(self.ground.room)
        played = play(room, chains, {}, _migrations_first)
        return _Stuck(room, played.sequence, played.blocked)

    def _neighbours(self, chains: Chains) -> list[int]:
        """VMs that stay on the nodes of the component and could be moved away and back, the lightest few."""
        most = _SMALL - len(chains)
        if most <= 0:
            return []
        near = np.zeros(self.problem.n_nodes, dtype=np.bool_)
        near[[n for chain in chains.values() for step in chain for n in step.nodes]] = True
        stayers = self.shop.stayers()
        found: list[int] = stayers[near[self.problem.host[stayers]]].tolist()
        return sorted(found, key=lambda v: (int(self.problem.weight[v]), v))[:most]

    # -- how it ends ------------------------------------------------------------------------------------------
    def _give_up(self, components: Sequence[Chains]) -> NoReturn:
        """The time is over."""
        pending = [v for component in components for v in component]
        reason = f"{self._reason(self._played(components[0]))} The time to look for one is over."
        raise Unorderable(reason, pending, proven=False)

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
            ) or " and ".join(self.books.name(c) for c in step.asks if stuck.room[c] < 0)
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


def _size(chains: Chains) -> tuple[int, list[int]]:
    return len(chains), sorted(chains)


def _components(chains: Chains, tight: Collection[int]) -> list[list[int]]:
    """VMs whose actions share a scarce counter, directly or through others."""
    parent = {counter: counter for counter in tight}
    anchor: dict[int, int] = {}

    def root(c: int) -> int:
        while (up := parent[c]) != c:
            parent[c] = c = parent[up]
        return c

    for v, chain in chains.items():
        first = -1
        for step in chain:
            for counter in step.counters():
                if counter not in parent or counter == first:
                    continue
                if first < 0:
                    anchor[v] = first = counter
                elif (a := root(counter)) != (b := root(first)):
                    parent[a] = b
    groups: dict[int, list[int]] = {}
    for v, c in anchor.items():
        groups.setdefault(root(c), []).append(v)
    return list(groups.values())
