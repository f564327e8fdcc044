"""What a search or a detour works with: movable VMs as jobs, moves as actions, and the true room at the beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Indices, Problem, State, positions
from entropy.scheduling.rooms import Books, Copy
from entropy.scheduling.search import Job, Move
from entropy.scheduling.steps import Changes, Maker, Step, may_enter

__all__ = ["Count", "Workshop", "split"]

Count = Callable[[int, int], int]
"""(demand, consumption) -> what a VM that may be moved away and back counts until it is."""


def split(chains: Mapping[int, Sequence[Step]]) -> tuple[list[Step], dict[int, Sequence[Step]], list[Step]]:
    """(what only gives and comes first, what has to be ordered, what only takes for good and comes last)."""
    early = [chain[0] for chain in chains.values() if not chain[0].takes and len(chain) == 1]
    late = [chain[0] for chain in chains.values() if chain[0].kind in ("run", "resume") and len(chain) == 1]
    apart = {step.vm for step in (*early, *late)}
    return early, {v: chain for v, chain in chains.items() if v not in apart}, late


class Workshop:
    """One call's problem, counters, actions and who may enter where, and what is made of them."""

    def __init__(self, problem: Problem, books: Books, maker: Maker, changes: Changes) -> None:
        self.problem, self.books, self.maker, self.changes = problem, books, maker, changes
        self.allowed = may_enter(problem)
        self._by_node: tuple[Indices, npt.NDArray[np.int64]] | None = None

    def stayers(self) -> Indices:
        """VMs that end where they run, and could be moved away and back."""
        problem = self.problem
        runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING) & problem.migratable & ~problem.held
        runs &= ~self.changes.differs
        back = positions(runs)
        return back[self.allowed[problem.path_of[back], problem.host[back]]]

    def residents(self, node: int) -> Indices:
        """The VMs that run now and run on ``node`` at the end, by index."""
        if self._by_node is None:
            problem, host = self.problem, self.changes.host
            runs = positions((problem.state == State.RUNNING) & (problem.goal == State.RUNNING))
            order = runs[np.argsort(host[runs], kind="stable")]
            self._by_node = order, np.searchsorted(host[order], np.arange(problem.n_nodes + 1))
        order, first = self._by_node
        return order[first[node] : first[node + 1]]

    def job(self, v: int, chain: Sequence[Step], pivots: Iterable[int]) -> Job:
        """A VM that has to move, from where it is observed."""
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

    def stayer(self, v: int, pivots: Iterable[int], count: Count, *, suspendable: bool = False, leaves: bool = False) -> Job:
        """A VM that may be moved away and back (``leaves``: has to be).

        What it counts until it first leaves depends on whether it ever will: its consumption if so, else its demand.
        ``count(demand, consumption)`` is what the search shall count: the larger is always safe.
        """
        node = int(self.problem.host[v])
        counted = self.books.gives(v, node, observed=False)
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

    def steps(self, moves: Sequence[Move], chains: Mapping[int, Sequence[Step]]) -> list[Step]:
        """A search's moves as actions."""
        steps: list[Step] = []
        moved: set[int] = set()
        for move in moves:
            v = move.vm
            first = bool(self.changes.differs[v]) and v not in moved  # what was thought to stay counts its demand; see true_start
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
        return steps

    def true_start(self, steps: Sequence[Step]) -> tuple[list[Step], Copy]:
        """``steps`` and the room at the beginning, with VMs that were thought to stay counted as those that they are: they use
        their consumption where they are observed until they first leave."""
        room = Copy(self.books.room)
        moved: set[int] = set()
        corrected = []
        for step in steps:
            if step.vm >= 0 and step.vm not in moved and not self.changes.differs[step.vm]:
                moved.add(step.vm)
                v, onto = step.vm, step.target if step.kind == "migrate" else -1
                gives = self.books.gives(v, step.source, True, onto)
                for (counter, amount), (_, used) in zip(self.books.takes(v, step.source)[: self.books.width], gives, strict=False):
                    room[counter] += amount - used
                step = replace(step, gives=gives)
            corrected.append(step)
        return corrected, room

    def is_safe(self, steps: Sequence[Step]) -> bool:
        """From the very beginning, one at a time, with what every VM truly counts."""
        corrected, room = self.true_start(steps)
        for step in corrected:
            if step.lacking(room) >= 0:
                return False
            step.carry_out(room)
        return True
