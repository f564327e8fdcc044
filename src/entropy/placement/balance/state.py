"""A placement as the balancing kernels see it, and their calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entropy.placement.balance.kernels import Moves, Window, narrow, return_home
from entropy.placement.balance.rules import guarded
from entropy.placement.goals import observed_hosts
from entropy.placement.kernels import recount
from entropy.placement.spread import gauge, load_of
from entropy.placement.tables import Tables
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Balancing", "Effort"]

_LONGEST = 48
"""VMs of a node that one step looks at."""
_UNBOUNDED = 1 << 60
_PASSES = 8


@dataclass(frozen=True)
class Effort:
    """Of one pass: most steps, nodes given up before it ends, partners looked at in a step."""

    steps: int
    patience: int
    sample: int


class Balancing:
    """The placement ``host`` int32[V] in the making; ``weighs`` bool[R]: the resources that count."""

    def __init__(self, problem: Problem, host: Indices, movable: Bools, weighs: Bools) -> None:
        self.problem = problem
        self.gauge = gauge(problem)
        self.counts: Bools = self.gauge.counts & weighs
        self.price = np.where(self.counts, self.gauge.unit / self.gauge.full, 0.0)
        mean = float(problem.weight[movable].mean()) if movable.any() else 1.0
        self.moves = Moves(movable=movable, home=observed_hosts(problem), cost=problem.weight / max(mean, 1.0))
        self.host: Indices = host.copy()
        self.state = Tables(guarded(problem, host)).state(self.host, np.empty_like(problem.capacity))
        self.reset(host)

    def reset(self, host: Indices) -> None:
        """Start again from ``host`` int32[V], which breaks no soft rule more than the first placement did."""
        self.host[:] = host
        self.state.free[:] = self.problem.capacity - load_of(self.problem, host)
        recount.on(self.problem.n_vms)(self.state)

    @property
    def load(self) -> Integers:
        return np.asarray(self.problem.capacity - self.state.free)

    def extremes(self) -> tuple[Integers, Integers]:
        """Highest and lowest level, per resource."""
        return self.gauge.extremes(self.load)

    def window(self, low: Integers, high: Integers) -> Window:
        """The window between two levels int64[R]; what does not count is unbounded."""
        capacity = self.problem.capacity
        least = np.where(self.counts, capacity - self.gauge.most(high), -_UNBOUNDED)
        most = np.where(self.counts, capacity - self.gauge.least(low), _UNBOUNDED)
        return Window(least=least, most=most, price=self.price)

    def narrow(self, window: Window, dice: Indices, effort: Effort) -> tuple[int, int]:
        """Bring every node inside ``window`` (see ``kernels.narrow``): (steps done, nodes given up)."""
        progress = np.zeros(2, dtype=np.int64)
        run = narrow.on(20_000)
        run(effort.steps, effort.patience, effort.sample, _LONGEST, dice, self.state, window, self.moves, progress)
        return int(progress[0]), int(progress[1])

    def return_home(self, window: Window) -> None:
        """VMs go home where ``window`` allows it, until none can (see ``kernels.return_home``)."""
        problem, moves = self.problem, self.moves
        for _ in range(_PASSES):
            away = positions(moves.movable & (moves.home >= 0) & (self.host != moves.home) & (self.host >= 0))
            order = away[np.argsort(-problem.weight[away], kind="stable")]
            if not return_home.on(len(order) * 50)(order, self.state, window, moves, problem.weight):
                return
