"""A placement as the balancing kernels see it, and their calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from entropy.placement.balance.kernels import Moves, Window, narrow, return_home
from entropy.placement.balance.rules import guarded
from entropy.placement.goals import observed_hosts
from entropy.placement.jit import Kernel, prepare
from entropy.placement.kernels import recount
from entropy.placement.spread import gauge, load_of
from entropy.placement.tables import Tables
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Balancing", "compile_steps"]

_SAMPLE = 24
"""Nodes that one step compares the worst with."""
_LONGEST = 48
"""VMs of a node that one step looks at."""
_BLOCK = 100_000
"""Exchanges looked at, roughly, between two questions whether time is up."""
_DEAR = 8
"""An exchange costs so much more than what ``jit`` counts work in."""
_LONGEST_WAIT = 1_000_000
"""Work that waits for compiled kernels are counted in, at most."""
_UNBOUNDED = 1 << 60
_PASSES = 8


class Balancing:
    """The placement ``host`` int32[V] in the making; ``weighs`` bool[R]: the resources that count."""

    def __init__(self, problem: Problem, host: Indices, movable: Bools, weighs: Bools) -> None:
        self.problem = problem
        self.gauge = gauge(problem)
        self.counts: Bools = self.gauge.counts & weighs
        self.price = np.where(self.counts, self.gauge.unit / self.gauge.full, 0.0)
        mean = float(problem.weight[movable].mean()) if movable.any() else 1.0
        self.moves = Moves(
            movable=movable,
            home=observed_hosts(problem),
            cost=problem.weight / max(mean, 1.0),
            rests=np.zeros(problem.n_vms, dtype=np.int64),
        )
        self._on_a_node = int(movable.sum()) // max(problem.n_nodes, 1) + 1
        self.looked = 0.0
        """Blocks of exchanges that were looked at."""
        self._looks = min(_SAMPLE, problem.n_nodes) * min(self._on_a_node, _LONGEST) ** 2 // 2 + 1
        prepare(problem.n_vms * self._looks)
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

    def inside(self, window: Window) -> bool:
        """Is every node inside ``window``?"""
        return bool(((self.state.free >= window.least) & (self.state.free <= window.most)).all())

    def window(self, low: Integers, high: Integers) -> Window:
        """The window between two levels int64[R]; what does not count is unbounded."""
        capacity = self.problem.capacity
        least = np.where(self.counts, capacity - self.gauge.most(high), -_UNBOUNDED)
        most = np.where(self.counts, capacity - self.gauge.least(low), _UNBOUNDED)
        return Window(least=least, most=most, price=self.price)

    def narrow(self, window: Window, dice: Indices, patience: int) -> tuple[bool, int]:
        """A block of steps towards ``window`` (see ``kernels.narrow``): whether there is more to do, and the patience left."""
        progress = np.zeros(2, dtype=np.int64)
        steps = max(_BLOCK // self._looks, self.problem.n_nodes // 20, 4)
        run = narrow.on(min(steps * (self._looks + len(dice) * self._on_a_node**2 // 8) * _DEAR, _LONGEST_WAIT))
        run(steps, patience, _SAMPLE, _LONGEST, dice, self.state, window, self.moves, progress)
        self.looked += int(progress[0]) / steps
        return bool(progress[0] == steps), patience - int(progress[1])

    def return_home(self, window: Window) -> None:
        """VMs go home where ``window`` allows it, until none can (see ``kernels.return_home``)."""
        problem, moves = self.problem, self.moves
        for _ in range(_PASSES):
            away = positions(moves.movable & (moves.home >= 0) & (self.host != moves.home) & (self.host >= 0))
            order = away[np.argsort(-problem.weight[away], kind="stable")]
            if not return_home.on(len(order) * self._on_a_node)(order, self.state, window, moves, problem.weight):
                return


def compile_steps(problem: Problem) -> tuple[tuple[Kernel[..., Any], Callable[[], object]], ...]:
    """For ``warmup``: the kernels of balancing, and a call of each on ``problem``."""
    count = len(problem.resources)
    made = Balancing(problem, problem.host, np.ones(problem.n_vms, dtype=np.bool_), np.ones(count, dtype=np.bool_))
    window, nobody = made.window(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)), np.zeros(0, dtype=np.int32)
    progress = np.zeros(2, dtype=np.int64)
    return (
        (narrow, lambda: narrow.compiled(0, 1, 1, 1, nobody, made.state, window, made.moves, progress)),
        (return_home, lambda: return_home.compiled(nobody, made.state, window, made.moves, problem.weight)),
    )
