"""Column generation: the linear programme over all sets of VMs that one node can hold (Gilmore and Gomory), and what it proves.

    min  sum of cost x uses   over the patterns of each class of nodes
    s.t. each class of VMs is covered, each class of nodes is used no more often than it has nodes

The master (HiGHS) is over the patterns found so far; its duals are the values at which ``pricing`` looks for better patterns.  What is
proven does not come from the master: for *any* values v of the VM classes, with z(m) an upper bound on what a node of class m can
hold of them,

    sum of count x v  -  sum over m of available(m) x max(0, z(m) - cost(m))

is a bound (Lagrange; scaling v down as far as it helps gives Farley's).  The values are rounded to integers and everything is
recomputed with integers, so the solver's tolerances cannot make a bound too large, and it can be stopped at any time.  Values are
smoothed towards the best found so far (Wentges).  Sources: Gilmore and Gomory, Operations Research 9 (1961); Farley, Operations
Research 38 (1990); Wentges, International Transactions in OR 4 (1997); Vanderbeck, Mathematical Programming 86 (1999).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from entropy.placement.bounds.classes import Classes
from entropy.placement.bounds.cover import Floats
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.linear import INFINITE, Sparse, linear
from entropy.placement.bounds.pricing import best_set
from entropy.problem.problem import Integers

__all__ = ["Columns", "Pool", "generate", "lagrangian", "lattice"]

_UNIT = 1 << 40
"""What the dearest node is worth in the integer values."""
_SMOOTH = 0.6
_FILLED = 150
_ENOUGH = 1e-7
_PIVOT = 2.0
"""Steps of work a pivot takes, for each column."""
_QUICK, _MORE, _THOROUGH = 10_000, 6, 3_000_000
"""Branches of a pricing search: at first; times so many wherever no better pattern was found; at most."""


@dataclass(frozen=True)
class Columns:
    """``bound`` on the cost of nodes taken into use besides those in use anyway, proven; ``relaxed``: the linear programme's optimum so
    far; ``complete``: it was solved to the end; ``pool``: the patterns; ``uses`` how often each is used in the relaxation; ``value``
    float64[K]: what a VM of each class is worth, in costs of the dearest node."""

    bound: int
    relaxed: float
    complete: bool
    pool: Pool
    uses: Floats
    value: Floats


class Pool:
    """Distinct patterns: ``node_class[p]``, ``patterns[p]`` int64[K]."""

    def __init__(self) -> None:
        self.node_class: list[int] = []
        self.patterns: list[Integers] = []
        self._known: set[tuple[int, bytes]] = set()

    def add(self, m: int, pattern: Integers) -> bool:
        """Keep a pattern, unless it is known."""
        key = (m, pattern.tobytes())
        if key in self._known:
            return False
        self._known.add(key)
        self.node_class.append(m)
        self.patterns.append(pattern)
        return True

    def columns(self, k: int, which: Iterable[int]) -> Sparse:
        """The patterns as columns over ``k`` rows for the VM classes and, below them, one for each class of nodes."""
        out = Sparse()
        for p in which:
            held = np.flatnonzero(self.patterns[p])
            out.add([*held.tolist(), k + self.node_class[p]], [*self.patterns[p][held].tolist(), 1.0])
        return out

    def __len__(self) -> int:
        return len(self.patterns)


def lattice(classes: Classes) -> int:
    """What every cost of nodes is a multiple of."""
    return max(math.gcd(*classes.cost.tolist()), 1) if len(classes.cost) else 1


def lagrangian(classes: Classes, value: Integers, upper: list[int], unit: int) -> int:
    """The bound that values (in ``unit``-ths of cost) prove when a node of class m holds at most ``upper[m]``; rounded up to what costs
    can be."""
    total = sum(v * n for v, n in zip(value.tolist(), classes.count.tolist(), strict=True))
    rows = [(z, c * unit, n) for z, c, n in zip(upper, classes.cost.tolist(), classes.available.tolist(), strict=True) if z > 0]
    best = 0
    step = lattice(classes)
    for z, c, _ in rows:
        if c == 0:
            continue
        # values scaled by c / z: a concave function of the scale, whose maximum is at one of these
        proven = c * total - sum(max(c * other - z * price, 0) * n for other, price, n in rows)
        best = max(best, -(-proven // (z * unit * step)) * step)
    return best


def generate(
    classes: Classes,
    pool: Pool,
    effort: Effort,
    *,
    known: int = 0,
    value: Floats | None = None,
    rounds: int = 100_000,
    thorough: int = _THOROUGH,
) -> Columns:
    """Solve the linear programme, from the patterns of ``pool`` on (it is added to), until it is solved, the bound reaches the effort's
    target, or effort or ``rounds`` are spent.  ``known``: a bound proven otherwise; ``value``: values to begin with; ``thorough``: branches
    of the last pricing searches."""
    return _Master(classes, pool, thorough, known, value).run(effort, rounds)


class _Master:
    def __init__(self, classes: Classes, pool: Pool, thorough: int, known: int, value: Floats | None) -> None:
        self.classes, self.pool, self.thorough = classes, pool, thorough
        self.dearest = max(int(classes.cost.max(initial=0)), 1)
        self.unit = max(_UNIT // self.dearest, 1)
        self.loaded = 0
        self.bound, self.proven = known, -1
        self.center = _by_volume(classes, self.dearest) if value is None else value
        self.highs = self._empty()
        if not len(pool):
            for m in range(len(classes.cost)):
                _fill(classes, m, self.center, pool)

    def _empty(self) -> Any:
        """Rows: VM classes to cover, node classes to respect.  Columns: dear stand-ins, so that there always is a solution."""
        count, available = self.classes.count, self.classes.available
        k, m = len(count), len(available)
        stand_ins = Sparse()
        for row in range(k):
            stand_ins.add([row], [1.0])
        lower, upper = np.concatenate((count, np.full(m, -INFINITE))), np.concatenate((np.full(k, INFINITE), available))
        highs = linear(np.full(k, 4.0), np.full(k, INFINITE), lower, upper, stand_ins)
        highs.setOptionValue("presolve", "off")
        return highs

    def run(self, effort: Effort, rounds: int) -> Columns:
        complete = False
        relaxed, uses = float("inf"), np.zeros(0)
        smooth = _SMOOTH
        steps = _QUICK
        for _ in range(rounds):
            value, relaxed, uses = self._solve(effort)
            complete = self._up(relaxed) <= self.bound
            if complete or effort.over or (effort.target is not None and self.bound >= effort.target - self.classes.base):
                break
            mixed = smooth * self.center + (1 - smooth) * value
            before = self.proven
            better, exact = self._price(mixed, value, steps, effort)
            if better:
                if self.proven > before:
                    smooth = _SMOOTH
                continue
            if smooth > 0.0:  # nothing better at the smoothed values: nearer to the master's own
                smooth = smooth - 0.3 if smooth > 0.3 else 0.0
            elif not exact and steps < self.thorough:
                steps = min(steps * _MORE, self.thorough)
            else:
                complete = exact
                break
        return Columns(bound=self.bound, relaxed=relaxed * self.dearest, complete=complete, pool=self.pool, uses=uses, value=self.center)

    def _up(self, relaxed: float) -> int:
        """The least cost that is at least ``relaxed``, with some tolerance."""
        step = lattice(self.classes)
        return math.ceil(relaxed * self.dearest / step - 1e-6) * step

    def _solve(self, effort: Effort) -> tuple[Floats, float, Floats]:
        """(values of the VM classes in costs of the dearest node, optimum, uses of each pattern) of the master."""
        k = len(self.classes.count)
        new = range(self.loaded, len(self.pool))
        if len(new):
            columns = self.pool.columns(k, new)
            cost = self.classes.cost[self.pool.node_class[self.loaded :]] / self.dearest
            top = np.full(len(new), INFINITE)
            starts, index = np.array(columns.starts, dtype=np.int32), np.array(columns.index, dtype=np.int32)
            self.highs.addCols(len(new), cost, np.zeros(len(new)), top, len(index), starts, index, np.array(columns.entry))
            self.loaded = len(self.pool)
        self.highs.run()
        info = self.highs.getInfo()
        effort.spend(_PIVOT * (info.simplex_iteration_count + 1) * (k + len(self.pool)))
        solution = self.highs.getSolution()
        value = np.maximum(np.array(solution.row_dual[:k], dtype=np.float64), 0.0)
        self.node_price = np.maximum(-np.array(solution.row_dual[k:], dtype=np.float64), 0.0)
        return value, float(info.objective_function_value), np.array(solution.col_value[k:], dtype=np.float64)

    def _price(self, mixed: Floats, value: Floats, steps: int, effort: Effort) -> tuple[bool, bool]:
        """Look for patterns at ``mixed`` values; (was one found that improves the master, was every search exact)."""
        classes = self.classes
        whole = np.floor(mixed * self.dearest * self.unit).astype(np.int64)
        upper, exact, improved = [], True, False
        for m in range(len(classes.cost)):
            needed = classes.cost[m] / self.dearest + self.node_price[m] + _ENOUGH
            found = best_set(classes, m, whole, math.floor(needed * self.dearest * self.unit), steps, table=steps > _QUICK)
            upper.append(found.upper)
            effort.spend(found.steps)
            exact &= found.exact
            for pattern in found.patterns:
                if float(pattern @ value) > needed and self.pool.add(m, pattern):
                    improved = True
        proven = lagrangian(classes, whole, upper, self.unit)
        if proven > self.proven:
            self.proven = proven
            self.center = mixed
        self.bound = max(self.bound, proven)
        return improved, exact


def _by_volume(classes: Classes, dearest: int) -> Floats:
    """Values to begin with: the largest share that a VM takes of a node that it fits on, at that node's price."""
    best = np.zeros(len(classes.count))
    for m in np.flatnonzero(classes.cost > 0):
        share = (classes.demand / np.maximum(classes.room[m], 1)).max(axis=1, initial=0.0) * classes.cost[m] / dearest
        share[classes.most[m] == 0] = 0.0
        best = np.where((best == 0) | ((share > 0) & (share < best)), share, best)
    return best


def _fill(classes: Classes, m: int, value: Floats, pool: Pool) -> None:
    """Patterns to begin with: for each class of VMs, a node that is filled with it first, then with the largest that fit."""
    order = np.argsort(-value, kind="stable")
    first = np.flatnonzero(classes.most[m])
    for k in first[np.argsort(-value[first], kind="stable")][:_FILLED]:
        left = classes.room[m].copy()
        pattern = np.zeros(len(value), dtype=np.int64)
        for j in (k, *order):
            need = classes.demand[j]
            takes = need > 0
            most = int((left[takes] // need[takes]).min(initial=int(classes.most[m, j] - pattern[j])))
            if most > 0 and classes.most[m, j] > 0:
                pattern[j] += most
                left -= most * need
            if not left.any():
                break
        pool.add(m, pattern)
