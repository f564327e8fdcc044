"""Balancing: the window between the lowest and the highest level is narrowed as long as every node can be brought inside.

Each end of the window, in each resource, is brought part of the way to its bound; where some node cannot follow, less of it is asked, and
finally nothing.  As a node inside the window is left alone, the early, wide windows cost few moves.  At last, VMs go home as far as the
window that was reached allows it, once from what was found and once anew from the start.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.balance.kernels import Window
from entropy.placement.balance.state import Balancing
from entropy.placement.bounds.spread import level_bounds
from entropy.placement.goals import Goals, value_of
from entropy.placement.metric import Floats
from entropy.placement.spread import load_of
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Integers, positions

__all__ = ["balance"]

_LEAST_PART = 1 / 40
"""An end of the window that cannot be narrowed by this part of what is left to gain stays where it is."""
_PATIENCE = 24
_WIDENINGS = 16
_LOSS = 0.8
"""Of what one end of the window gains, the share that the others may lose in all."""
_LEAST_BLOCK = 1 / 64
"""Of a block's work, what a call of the kernels costs at least."""
_DICE = 4096
"""Most nodes that one node is compared with before it is given up."""


def balance(working: Working, goals: Goals, over: Callable[[], bool], rng: np.random.Generator) -> Working:
    """The placement ``working``, which is viable, balanced: never worse in ``goals`` than it was.  It is not changed itself."""
    search = _Search(working, goals, over, rng)
    search.run()
    return search.answer()


class _Search:
    def __init__(self, working: Working, goals: Goals, over: Callable[[], bool], rng: np.random.Generator) -> None:
        self.working, self.goals, self.rng = working, goals, rng
        self._ask, self._asked, self._over = over, 1.0, False  # asked at once
        problem = self.problem = working.problem
        self.weighs: Bools = goals.resource_weight > 0
        movable = working.runs & ~problem.held & (working.host >= 0)
        self.state = Balancing(problem, working.host, movable, self.weighs)
        self.nodes: Indices = positions(problem.domains[np.unique(problem.domain_of[movable])].any(axis=0) if movable.any() else np.False_)
        self.high_bound, self.low_bound = level_bounds(problem)
        self.weight: Floats = np.concatenate((goals.resource_weight, goals.resource_weight)).astype(np.float64)
        self.best = working.host
        self.best_key = goals.key(value_of(problem, goals, working.host))

    def over(self) -> bool:
        """Is time up?  Passed on once a block of steps was done since: every question counts as a block's work."""
        self._asked += _LEAST_BLOCK
        if self._asked + self.state.looked >= 1.0:
            self._asked = self.state.looked = 0.0
            self._over = self._over or self._ask()
        return self._over

    def run(self) -> None:
        if not self.weighs.any() or len(self.nodes) < 2:
            return
        for patience in (_PATIENCE, 4 * _PATIENCE, 16 * _PATIENCE):
            self.narrow(patience)
            self.barter(patience)
            self.keep()
            if self.over():
                return
        self.shorten()
        if self.goals.exchange is not None:
            self.widen()

    # -- the window --------------------------------------------------------------------------------------------------------------------

    def excess(self) -> Integers:
        """int64[2R]: how far each end of the window is from its bound: high ends, then low ends."""
        high, low = self.state.extremes()
        return np.maximum(np.concatenate((high - self.high_bound, self.low_bound - low)), 0)

    def window(self, excess: Integers) -> Window:
        half = len(excess) // 2
        return self.state.window(self.low_bound - excess[half:], self.high_bound + excess[:half])

    def narrow(self, patience: int) -> None:
        """Narrow the window until no end gives way any more."""
        part = np.where(self.weight > 0, 0.5 if self.goals.exchange is None else 0.2, 0.0)  # small steps, where each is weighed
        excess = self.excess()
        while not self.over():
            active = (part >= _LEAST_PART) & (excess > 0)
            if not active.any():
                return
            gap = excess * self.weight
            widest = float(gap[active].max())
            wanted = np.where(active, np.minimum(excess, np.floor(widest * (1 - part) / np.maximum(self.weight, 1e-9))), excess)
            wanted = wanted.astype(np.int64)
            before = self.state.host.copy()
            if self.reach(self.window(wanted), patience):
                if self.goals.exchange is not None:
                    self.keep()  # what comes may cost more than it gains
                excess = self.excess()
                continue
            found = self.excess()
            late = active & (found > wanted)
            if float((np.minimum(found, excess) * self.weight).sum()) < float(gap.sum()) and not (found > excess).any():
                excess = found
            else:
                self.state.reset(before)
            part[late] /= 2
            if not late.any():  # time is up
                return

    def barter(self, patience: int) -> None:
        """Narrow one end of the window at the expense of the others, while they lose less than it gains."""
        excess, weighs = self.excess(), self.weight > 0
        others = max(int(weighs.sum()) - 1, 1)
        for part in (0.5, 0.25):
            for end in np.argsort(-excess * self.weight, kind="stable"):
                gain = excess[end] * self.weight[end] * part
                if gain < 1 or self.over():
                    continue
                wanted = excess.copy()
                wanted[weighs] += (gain * _LOSS / others / self.weight[weighs]).astype(np.int64)
                wanted[end] = excess[end] - int(gain / self.weight[end])
                before = self.state.host.copy()
                self.reach(self.window(wanted), patience)
                if float((self.excess() * self.weight).sum()) < float((excess * self.weight).sum()):
                    excess = self.excess()
                else:
                    self.state.reset(before)

    def reach(self, window: Window, patience: int) -> bool:
        """Bring every node inside ``window``; false when time, or ``patience`` with steps for the worse, is at an end before."""
        more = True
        while more and patience and not self.over():
            dice = self.rng.permutation(self.nodes)[:_DICE].astype(np.int32)
            more, patience = self.state.narrow(window, dice, patience)
        return self.state.inside(window)

    # -- moved memory ------------------------------------------------------------------------------------------------------------------

    def home(self) -> None:
        """VMs go home where the window as it is now allows it."""
        high, low = self.state.extremes()
        self.state.return_home(self.state.window(low, high))

    def keep(self) -> None:
        self.home()
        key = self.goals.key(value_of(self.problem, self.goals, self.state.host))
        if key < self.best_key:
            self.best, self.best_key = self.state.host.copy(), key

    def shorten(self) -> None:
        """The window that was reached, anew from the start."""
        self.state.reset(self.best)
        wanted = self.window(self.excess())
        self.state.reset(self.working.host)
        if self.reach(wanted, _PATIENCE):
            self.keep()

    def widen(self) -> None:
        """The way back: where moved memory has a price, VMs go home as the window is opened again, step by step."""
        start = self.state.host.copy()
        self.state.reset(self.working.host)
        widest = self.excess()
        self.state.reset(start)
        narrow = self.excess()
        for step in range(1, _WIDENINGS + 1):
            if self.over():
                return
            opened = narrow + np.maximum(widest - narrow, 0) * step**2 // _WIDENINGS**2
            self.state.return_home(self.window(opened))
            self.keep()

    def answer(self) -> Working:
        w = self.working.copy()
        w.host[:] = self.best
        w.free[:] = self.problem.capacity - load_of(self.problem, self.best)
        return w
