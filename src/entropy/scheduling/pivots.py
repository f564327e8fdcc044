"""Nodes where a VM could stand while it is in the way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Bools, Indices, Integers, Problem, positions
from entropy.scheduling.rooms import Books, Copy
from entropy.scheduling.steps import Step

__all__ = ["Ground", "Table"]

_ALL = 512
"""Nodes up to which all of them are looked at."""
_LISTED = 256
"""Beyond, so many are: those that the plan leaves most room on at all times."""
_STALE = 64
"""Steps after which they are chosen anew."""


class Table:
    """The room of some ``nodes`` int32[K]: ``free`` now, ``quiet`` all along; int64[K, R]."""

    def __init__(self, nodes: Indices, free: Integers, quiet: Integers) -> None:
        self.nodes, self.free, self.quiet = nodes, free, quiet
        self.row = {n: k for k, n in enumerate(nodes.tolist())}


class Ground:
    """The cluster at rest after everything that has been ordered so far; attempts work on copies of it.

    ``room`` now; ``quiet``: the room that was there all along (what left is not counted, so rarely used nodes stand out).
    ``waits`` bool[V]: what has to change and has not yet.
    """

    def __init__(self, problem: Problem, books: Books, allowed: Bools, waiting: Iterable[int]) -> None:
        self.problem, self.books = problem, books
        self.room, self.quiet = Copy(books.rest), Copy(books.room)
        self.done: list[Step] = []
        self.waits: Bools = np.zeros(problem.n_vms, dtype=np.bool_)
        self.waits[list(waiting)] = True
        self._usable = allowed.any(axis=0)
        self._free, self._quiet = books.table + books.given, books.table.copy()
        self._changed: set[int] = set()
        self._listed: Indices = positions(self._usable)
        self._listed_at = -_STALE

    def carry_out(self, steps: Iterable[Step]) -> None:
        """``steps`` have been ordered, one after another."""
        for step in steps:
            step.carry_out(self.room)
            for counter, amount in step.takes:
                self.quiet[counter] -= amount
                self._changed.add(counter)
            self._changed.update(counter for counter, _ in step.gives)
            if step.vm >= 0:
                self.waits[step.vm] = False
            self.done.append(step)

    @property
    def few(self) -> bool:
        """Are all nodes looked at anyway?"""
        return self.problem.n_nodes <= _ALL

    def listed(self) -> Indices:
        """Nodes worth looking at first."""
        if not self.few and len(self.done) - self._listed_at >= _STALE:
            self._write()
            share = np.where(self._usable, self.share(self._quiet, slice(None)), -np.inf)
            best = np.argpartition(-share, _LISTED)[:_LISTED]
            self._listed, self._listed_at = np.sort(best[np.isfinite(share[best])]).astype(np.int32), len(self.done)
        return self._listed

    def share(self, table: Integers, nodes: Indices | slice) -> npt.NDArray[np.float64]:
        """Per node, the share of its scarcest resource that ``table`` leaves."""
        if not self.books.width:
            return np.ones(len(table))
        return np.asarray((table / np.maximum(self.problem.capacity[nodes], 1)).min(axis=1))

    def table(self, nodes: Indices, room: Copy, quiet: Copy) -> Table:
        """The room of ``nodes`` in an attempt whose counters are copies of this ground's."""
        self._write()
        found = Table(nodes, self._free[nodes], self._quiet[nodes])
        width = self.books.width
        for copy, array in ((room, found.free), (quiet, found.quiet)):
            for counter, left in copy.items():
                if counter < self.books.cells and (k := found.row.get(counter // width, -1)) >= 0:
                    array[k, counter % width] = left
        return found

    def _write(self) -> None:
        """Bring the tables up to date."""
        cells = [counter for counter in self._changed if counter < self.books.cells]
        self._free.reshape(-1)[cells] = [self.room[counter] for counter in cells]
        self._quiet.reshape(-1)[cells] = [self.quiet[counter] for counter in cells]
        self._changed.clear()
