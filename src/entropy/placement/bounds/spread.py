"""Least spread: how low the highest level can be, and how high the lowest, per resource, by pouring the load like water.

What must stay (``held``) is the ground; the rest is poured over it.  A highest level h is possible only if the room below it, a multiple
of the greatest common divisor of the demands on each node, takes everything; a lowest level l only if everything suffices to fill each
node up to it.  Sharper where it applies: the largest VM stands somewhere whole; of m k + 1 VMs on m nodes k + 1 share one; beside j nodes
that the j largest VMs fill, only the rest is left for all others; and VMs that may use only some nodes are poured over those alone.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.goals import Goals
from entropy.placement.spread import Gauge, gauge
from entropy.problem.problem import Bools, Integers, Problem, positions

__all__ = ["level_bounds", "spread_bound"]

_MOST_SETS = 64
"""Domains that are looked at one by one: those that matter most."""
_MOST_CELLS = 100_000_000
"""Cells of the table of domains and nodes that may be looked at in all."""
_EMPTY = 1 << 60


def spread_bound(problem: Problem, goals: Goals) -> int:
    """No viable placement has a smaller weighted sum of spreads (``goals.value_of``, balance)."""
    high, low = level_bounds(problem)
    return int((np.maximum(high - low, 0) * goals.resource_weight).sum())


def level_bounds(problem: Problem) -> tuple[Integers, Integers]:
    """(int64[R] no placement has a lower highest level, int64[R] nor a higher lowest level), in millionths."""
    pools = [_Pool(problem, r) for r in range(len(problem.resources))]
    return (
        np.array([pool.lowest_high() for pool in pools], dtype=np.int64),
        np.array([pool.highest_low() for pool in pools], dtype=np.int64),
    )


class _Pool:
    """One resource: the nodes that count, the ground on them, and what is poured."""

    def __init__(self, problem: Problem, r: int) -> None:
        measure = gauge(problem)
        runs = problem.runs_at_end()
        held = runs & problem.held & (problem.host >= 0)
        moves = positions(runs & ~problem.held & (problem.demand[:, r] > 0))
        ground = np.bincount(problem.host[held], problem.demand[held, r], problem.n_nodes).astype(np.int64)
        every = measure.counts[:, r]
        self.unit, self.every = int(measure.unit[r]), positions(every)
        self.measure = Gauge(counts=measure.counts[every, r : r + 1], unit=measure.unit[r : r + 1], full=measure.full[every, r : r + 1])
        self.ground: Integers = ground[every]
        self.room: Integers = np.maximum(problem.capacity[every, r] - self.ground, 0)
        self.items: Integers = np.sort(problem.demand[moves, r])[::-1]
        self.grain = max(int(np.gcd.reduce(self.items, initial=0)), 1)
        # volumes by domain: a VM that may also go where nothing is measured need not be poured at all
        rows, at = np.unique(problem.domain_of[moves], return_inverse=True)
        demand = problem.demand[moves, r]
        self.volume = np.array([demand[at == k].sum() for k in range(len(rows))], dtype=np.int64)
        self.largest = np.array([demand[at == k].max() for k in range(len(rows))], dtype=np.int64)
        domains = problem.domains[rows] & (problem.capacity[:, r] > 0)
        self.inside: Bools = np.asarray(~(domains & ~every).any(axis=1))
        self.rows: Bools = domains[:, every]

    def level(self, load: Integers) -> Integers:
        return self.measure.level(load[:, None])[:, 0]

    def sets(self) -> list[Bools]:
        """The sets of nodes that are looked at: all; the domains that hold most volume; all but these."""
        everywhere = np.ones(len(self.ground), dtype=np.bool_)
        most = min(_MOST_SETS, _MOST_CELLS // max(self.rows.size, 1))
        chosen = np.argsort(-self.volume, kind="stable")[:most]
        return [everywhere, *(row for k in chosen for row in (self.rows[k], ~self.rows[k]) if 0 < row.sum() < len(row))]

    def lowest_high(self) -> int:
        if not len(self.ground):
            return 0
        best = int(self.level(self.ground).max())
        large = positions(self.inside)
        for k in large[np.argsort(-self.largest[large], kind="stable")][:_MOST_SETS]:
            best = max(best, self._lowest_level_with(int(self.largest[k]), self.rows[k]))
        enterable = np.asarray(self.rows[self.inside].any(axis=0))
        if self.inside.all() and (m := int(enterable.sum())):
            tops = np.concatenate(([0], np.cumsum(self.items)))
            for k in range(1, (len(self.items) - 1) // m + 1):
                last = m * k + 1  # of the largest m k + 1 some node has k + 1, at least as much as the smallest of these
                best = max(best, self._lowest_level_with(int(tops[last] - tops[last - k - 1]), enterable))
        for nodes in self.sets():
            volume = int(self.volume[self.inside & ~(self.rows & ~nodes).any(axis=1)].sum())
            best = self._lowest_that_holds(volume, nodes, best)
        return best

    def _lowest_level_with(self, load: int, nodes: Bools) -> int:
        """The least level that a node of ``nodes`` has with ``load`` on its ground."""
        level = self.level(self.ground + load)[nodes & (self.room >= load)]
        return int(level.min()) if len(level) else 0

    def _lowest_that_holds(self, volume: int, nodes: Bools, at_least: int) -> int:
        """The least level below which ``nodes`` have room for ``volume``; ``at_least`` if that has."""

        def holds(level: int) -> bool:
            most = self.measure.most(np.array([level]))[:, 0]
            room = np.minimum(np.maximum(most - self.ground, 0), self.room)[nodes]
            return bool(sum((room // self.grain * self.grain).tolist()) >= volume)  # Python's integers: room may be anything

        if volume <= 0 or holds(at_least):
            return at_least
        low, high = at_least, max(int(self.level(self.ground + self.room)[nodes].max(initial=0)), at_least)
        if not holds(high):
            return at_least  # nothing fits at all: not for this bound to say
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def highest_low(self) -> int:
        if not len(self.ground):
            return 0
        reach = np.zeros(len(self.ground), dtype=np.int64)
        for row, volume in zip(self.rows, self.volume, strict=True):
            reach[row] += volume
        best = int(self.level(self.ground + np.minimum(reach, self.room)).min())
        few = len(self.items) // len(self.ground)  # some node has no more of them
        best = min(best, int(self.level(self.ground + int(self.items[:few].sum())).max()))
        for k, nodes in enumerate(self.sets()):
            touching = (self.rows & nodes).any(axis=1)
            volume = int(self.volume[touching].sum())
            items = self.items if k == 0 else self.items[:0]
            best = self._highest_that_fills(volume, items, nodes, best)
        return best

    def _highest_that_fills(self, volume: int, items: Integers, nodes: Bools, at_most: int) -> int:
        """The highest level up to which ``volume``, of which ``items`` are parts, fills ``nodes``; ``at_most`` if that is filled."""
        parts = np.concatenate(([0], np.cumsum(items[: int(nodes.sum())])))

        def fills(level: int) -> bool:
            need = np.maximum(self.measure.least(np.array([level]))[:, 0] - self.ground, 0)[nodes]
            need = -(-need // self.grain) * self.grain
            if float(need.sum(dtype=np.float64)) > 4.0 * max(volume, 1):
                return False  # and no sum below leaves the range
            left = int(need.sum()) - np.concatenate(([0], np.cumsum(np.sort(need)[::-1])))[: len(parts)]
            return bool((left <= volume - parts).all())

        if fills(at_most):
            return at_most
        low, high = 0, at_most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fills(middle) else (low, middle)
        return low
