"""Spread: how far the most and the least loaded node are apart, per resource, as a share of what a node may give.

Which nodes count: all that can be given work at the end, that is online, not under maintenance, not quarantined or untouchable, and
offering some of the resource.  All that runs there counts, VMs that must stay too.  A node's *level* is its load over its capacity times
overcommit, in millionths, rounded down; the spread is the highest level less the lowest, so two equal nodes never differ by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Bools, Indices, Integers, Problem

__all__ = ["MILLION", "Gauge", "gauge", "load_of", "spread"]

MILLION = 1_000_000
"""Shares of capacity are counted in millionths."""

_UNITS = (1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 256, 512, 1000, 1024, 10**4, 10**5, 10**6)
_WHOLE = 1e-6
_LARGEST = 1 << 53
"""Loads and capacities stay below, so that a thousand times a remainder fits into 64 bits."""
_MOST_LEVEL = 10**12
"""A level is cut here, at a million times the capacity."""


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """How load is measured.

    ``counts`` bool[N, R]; ``unit`` int64[R] what a load of the problem's arrays is multiplied by; ``full`` int64[N, R] the load, in these
    finer units, that fills the node (at least 1).  The arrays' own capacities are rounded down to what sums of demands can reach, which
    is right for what fits and wrong for shares: hence the finer units.
    """

    counts: Bools
    unit: Integers
    full: Integers

    def level(self, load: Integers) -> Integers:
        """int64[N, R]: the level of each node under ``load`` int64[N, R]; exact (long division, three decimals at a time)."""
        fine = load * self.unit
        whole, rest = np.divmod(fine, self.full)
        thousandths, rest = np.divmod(rest * 1000, self.full)
        return np.asarray(np.minimum(whole, _MOST_LEVEL // MILLION) * MILLION + thousandths * 1000 + rest * 1000 // self.full)

    def extremes(self, load: Integers) -> tuple[Integers, Integers]:
        """(int64[R] highest, int64[R] lowest level); 0 where no node counts."""
        level = self.level(load)
        some = self.counts.any(axis=0)
        high = np.where(self.counts, level, -1).max(axis=0, initial=-1)
        low = np.where(self.counts, level, np.iinfo(np.int64).max).min(axis=0, initial=np.iinfo(np.int64).max)
        return np.where(some, high, 0), np.where(some, low, 0)

    def most(self, level: Integers) -> Integers:
        """int64[N, R]: the largest load at which each node's level is at most ``level`` int64[R]."""
        return self._scaled(level + 1, -1)

    def least(self, level: Integers) -> Integers:
        """int64[N, R]: the smallest load at which each node's level is at least ``level`` int64[R]."""
        return self._scaled(level, self.unit - 1)

    def _scaled(self, level: Integers, plus: int | Integers) -> Integers:
        """Loads of the problem's units: (smallest fine load that reaches ``level``, + ``plus``) / unit, rounded down."""
        whole, rest = np.divmod(np.minimum(level, _MOST_LEVEL), MILLION)
        # level x full / million, rounded up, in two steps that stay within 64 bits
        high, low = np.divmod(rest * (self.full // 1000), 1000)
        exact = low * 1000 + rest * (self.full % 1000)
        fine = _times(whole, self.full) + high - (-exact // MILLION)
        return np.asarray((fine + plus) // self.unit)


def _times(whole: Integers, full: Integers) -> Integers:
    """``whole x full``, cut where it would leave the range."""
    return np.asarray(np.where(whole > (1 << 60) // full, 1 << 60, whole * np.minimum(full, (1 << 60) // np.maximum(whole, 1))))


def gauge(problem: Problem) -> Gauge:
    """The problem's gauge, made once a problem."""
    known = problem.__dict__.get(_KEY)
    if known is None:
        known = problem.__dict__[_KEY] = _gauge(problem)  # as functools.cached_property keeps a frozen dataclass's values
    return known


_KEY = "_gauge of placement.spread"


def _gauge(problem: Problem) -> Gauge:
    nodes = problem.power & ~problem.untouchable & ~problem.maintenance
    counts = nodes[:, None] & (problem.offered > 0)
    exact = problem.offered * problem.scale
    total = problem.demand[problem.runs_at_end()].sum(axis=0)
    unit = np.ones(len(problem.resources), dtype=np.int64)
    for r in range(len(unit)):
        unit[r] = _finest(exact[counts[:, r], r], int(total[r]))
    full = np.clip(np.rint(exact * unit), 1, _LARGEST).astype(np.int64)
    return Gauge(counts=counts, unit=unit, full=full)


def _finest(capacity: npt.NDArray[np.float64], total: int) -> int:
    """The smallest factor that makes the capacities whole, or else the largest that keeps all in range."""
    room = _LARGEST / max(total, float(np.minimum(capacity, max(total, 1)).max(initial=1.0)), 1.0)
    usable = [u for u in _UNITS if u <= room] or [1]
    for u in usable:
        fine = capacity * u
        if np.all(np.abs(fine - np.rint(fine)) <= np.maximum(_WHOLE, 4 * np.finfo(np.float64).eps * fine)):
            return u
    return usable[-1]


def load_of(problem: Problem, host: Indices) -> Integers:
    """int64[N, R]: what runs on each node under ``host`` int32[V]."""
    load = np.zeros((problem.n_nodes, len(problem.resources)), dtype=np.int64)
    placed = np.flatnonzero(host >= 0)
    order = placed[np.argsort(host[placed], kind="stable")]
    if len(order):
        at = host[order]
        starts = np.flatnonzero(np.concatenate(([True], at[1:] != at[:-1])))
        load[at[starts]] = np.add.reduceat(problem.demand[order], starts, axis=0)
    return load


def spread(problem: Problem, host: Indices) -> Integers:
    """int64[R]: highest less lowest level over the nodes that count, in millionths."""
    high, low = gauge(problem).extremes(load_of(problem, host))
    return np.asarray(high - low)
