"""Spread in the exact model: per resource, the highest level less the lowest, over the nodes that count (``placement.spread``).

Nodes of one size share a variable for their largest and one for their smallest load, so that the large coefficients which turn loads
into levels stand in one row a size.  Both ends are held at their proven bounds, which the relaxation would not see by itself.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from entropy.placement.bounds.spread import level_bounds
from entropy.placement.exact.assignment import Assignment
from entropy.placement.exact.sheet import Expression, Sheet, sum_of
from entropy.placement.spread import MILLION, gauge
from entropy.problem.problem import Integers, positions

__all__ = ["spread_goal"]

_LARGEST = 1 << 59
"""Rows stay below, so that CP-SAT's sums stay within 63 bits."""


def spread_goal(sheet: Sheet, pairs: Assignment, weight: Integers) -> Expression:
    """The sum over resources of ``weight`` int64[R] x (highest - lowest level).

    Exact, unless loads times a million leave 63 bits: then the rows are divided and rounded such that the goal is at most the true one.
    """
    problem = pairs.problem
    measure = gauge(problem)
    high_bound, low_bound = level_bounds(problem)
    fixed = np.zeros_like(problem.capacity)
    staying = positions(pairs.fixed >= 0)
    np.add.at(fixed, pairs.fixed[staying], problem.demand[staying])
    level = measure.level(fixed)
    inside = pairs.column_of >= 0
    goal = Expression(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    for r in positions(weight > 0):
        nodes = positions(measure.counts[:, r])
        if len(nodes) < 2:
            continue
        outside = level[nodes[~inside[nodes]], r]
        here = nodes[inside[nodes]]
        most = int(max(measure.level(np.maximum(problem.capacity, fixed))[nodes, r].max(), high_bound[r]))
        high, low = sheet.integer(most), sheet.integer(max(int(low_bound[r]), 0))
        sheet.at_least(_one(high), int(max(high_bound[r], outside.max(initial=0))))
        if len(outside):
            sheet.at_most(_one(low), int(outside.min()))
        for full in np.unique(measure.full[here, r]):
            alike = here[measure.full[here, r] == full]
            loads = [_load(pairs, int(n), int(r), int(fixed[n, r])) for n in alike]
            _levels(sheet, loads, int(measure.unit[r]) * MILLION, int(full), high, low, int(max(problem.capacity[alike, r].max(), 0)))
        goal = goal.plus(sum_of(np.array([high, low]), np.array([weight[r], -weight[r]])))
    return goal


def _one(variable: int) -> Expression:
    return sum_of(np.array([variable], dtype=np.int64))


def _load(pairs: Assignment, node: int, r: int, staying: int) -> Expression:
    demand = pairs.problem.demand[:, r]
    here = np.flatnonzero((pairs.node == node) & (demand[pairs.vm] > 0))
    return sum_of(pairs.ids[here], demand[pairs.vm[here]], staying)


def _levels(sheet: Sheet, loads: list[Expression], scale: int, full: int, high: int, low: int, capacity: int) -> None:
    """``low`` <= floor(load x ``scale`` / ``full``) <= ``high`` for each of ``loads``, none of them above ``capacity`` or what stays."""
    most = max(capacity, *(load.constant for load in loads))
    largest, smallest = sheet.integer(most), sheet.integer(most)
    for load in loads:
        sheet.at_most(load.plus(_one(largest).times(-1)), 0)
        sheet.at_least(load.plus(_one(smallest).times(-1)), 0)
    common = gcd(scale, full)
    a, b, rest = scale // common, full // common, (full - 1) // common
    shift = 1
    while (a // shift) * most > _LARGEST or (b // shift) * MILLION > _LARGEST:
        shift *= 2
    up = shift - 1
    # scale x largest <= full x high + full - 1, and full x low <= scale x smallest; divided by ``shift``, rounded the harmless way
    sheet.at_most(sum_of(np.array([largest, high]), np.array([a // shift, -((b + up) // shift)])), (rest + up) // shift)
    sheet.at_most(sum_of(np.array([low, smallest]), np.array([b // shift, -((a + up) // shift)])), 0)
