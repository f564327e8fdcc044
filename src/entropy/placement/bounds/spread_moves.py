"""Least moved memory of a placement whose spread is no larger than a given one.

A small spread is a narrow window of levels: the highest is at most the highest possible lowest one plus the spread, the lowest at least the
lowest possible highest one less the spread (``bounds.spread``).  Whatever a node has above the window must leave it, the VMs that free most
for their memory first, the last one in part (the relaxation of a covering knapsack); whatever it lacks must come to it.  Every VM that
leaves or comes has moved, so the larger of the two sums over the nodes is a bound.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds.spread import level_bounds
from entropy.placement.goals import Goals, observed_hosts
from entropy.placement.metric import Floats
from entropy.placement.spread import gauge
from entropy.problem.problem import Indices, Integers, Problem, positions

__all__ = ["moved_bound_within", "within_spread"]

_NOISE = 1e-9
"""What floating point may overstate, as a share."""


def within_spread(problem: Problem, goals: Goals, primary: int) -> tuple[Integers, Integers]:
    """(int64[N, R] least, int64[N, R] most load of each node in every viable placement of a weighted spread of at most ``primary``).

    Where nothing is known: 0, and the node's capacity.
    """
    high, low = level_bounds(problem)
    measure, weight = gauge(problem), goals.resource_weight
    least_spread = np.maximum(high - low, 0) * weight
    left = np.maximum(primary - (int(least_spread.sum()) - least_spread), 0)
    widest = np.where(weight > 0, left // np.maximum(weight, 1), 0)
    counts = measure.counts & (weight > 0)
    most = np.where(counts, np.minimum(measure.most(low + widest), problem.capacity), problem.capacity)
    least = np.where(counts, measure.least(np.maximum(high - widest, 0)), 0)
    return least, most


def moved_bound_within(problem: Problem, goals: Goals, primary: int) -> int:
    """No viable placement with a weighted spread of at most ``primary`` moves less memory."""
    least, most = within_spread(problem, goals, primary)
    home = observed_hosts(problem)
    here = positions(home >= 0)
    driven = here[~problem.domains[problem.domain_of[here], home[here]] & ~problem.held[here]]
    here = np.setdiff1d(here, driven)
    load = np.zeros_like(problem.capacity)
    np.add.at(load, home[here], problem.demand[here])
    leaving = np.zeros(problem.n_nodes)
    coming = 0.0
    free = here[~problem.held[here]]
    arrivals = positions(problem.runs_at_end() & (home < 0))
    for r in range(len(problem.resources)):
        leaving = np.maximum(leaving, _cheapest(problem, home, free, r, load[:, r] - most[:, r]))
        missing = int(np.maximum(least[:, r] - load[:, r], 0).sum()) - int(problem.demand[arrivals, r].sum())
        movers = np.concatenate((free, driven))
        movers = movers[problem.demand[movers, r] > 0]
        if missing > 0 and len(movers):
            coming = max(coming, missing * float((problem.weight[movers] / problem.demand[movers, r]).min()))
    gone = int(problem.weight[driven].sum())
    return max(gone + _rounded(float(leaving.sum())), _rounded(coming))


def _rounded(amount: float) -> int:
    return int(np.ceil(amount * (1 - _NOISE) - _NOISE))


def _cheapest(problem: Problem, home: Indices, vms: Indices, r: int, excess: Integers) -> Floats:
    """float64[N]: least memory of (parts of) ``vms`` on each node that add up to its ``excess`` of resource ``r``."""
    demand = problem.demand[:, r]
    vms = vms[(demand[vms] > 0) & (excess[home[vms]] > 0)]
    if not len(vms):
        return np.zeros(problem.n_nodes)
    rate = problem.weight[vms] / demand[vms]
    order = np.lexsort((rate, home[vms]))
    vms, rate, at = vms[order], rate[order], home[vms[order]]
    size = demand[vms]
    total = np.cumsum(size) - size
    first = np.flatnonzero(np.concatenate(([True], at[1:] != at[:-1])))
    before = total - np.repeat(total[first], np.diff(np.append(first, len(vms))))
    taken = np.clip(excess[at] - before, 0, size)
    return np.asarray(np.bincount(at, taken * rate, minlength=problem.n_nodes), dtype=np.float64)
