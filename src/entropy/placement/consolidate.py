"""Consolidation by kernels: keep the nodes that hold most, bring everything else there, then empty what can still be emptied.

Keeping the k fullest nodes as they are is what the bound on moved memory assumes, so where the rest fits beside them the placement is
optimal at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.keeping import orders
from entropy.placement.metric import Metric, best_fit, even_fit
from entropy.placement.returning import back_home, bring_home
from entropy.placement.squeeze import squeeze, trades
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["consolidate"]

Rating = Callable[[Problem, Bools], Metric]

_POLISH_ALL = 60_000
"""Up to so many VMs nodes are emptied in every packing, else in the best one only."""
_NEAR = 1.005
"""With more VMs, a packing whose cost is within this factor of the bound is the last one."""
_ROUNDS = 3
"""How often nodes are emptied, while some are."""
_MESSY = 4
"""A packing is squeezed only if so many times the VMs left over are fewer than the trades that are tried."""


def consolidate(
    repaired: Working, kept: Integers, node_cost: Integers, least: int, least_moved: int, rng: np.random.Generator, over: Callable[[], bool]
) -> Working:
    """The best of several packings of ``repaired`` by (cost of nodes in use, moved memory).

    ``kept``: most memory that can stay on each node; ``least`` and ``least_moved``: proven bounds on the cost, and on the moved memory at
    that cost: nothing more is tried once both are met, or ``over()``.
    """
    problem = repaired.problem
    home = repaired.home

    def value(w: Working) -> tuple[int, int]:
        moved = (home >= 0) & (w.host != home)
        return int(node_cost[w.used].sum()), int(problem.weight[moved].sum())

    best, best_value = repaired, value(repaired)
    kept_first = orders(problem, kept, node_cost, least)
    polish_all = problem.n_vms <= _POLISH_ALL
    for order in kept_first:
        for rating in _RATINGS:
            if best_value <= (least, least_moved):
                return best
            if best is not repaired and (over() or (not polish_all and best_value[0] <= _NEAR * least)):
                break
            tried = _pack(repaired, order, node_cost, least, rating)
            if tried is None:
                continue
            if polish_all:
                _empty_more(tried, node_cost)
            bring_home(tried)
            if (found := value(tried)) < best_value:
                best, best_value = tried, found
    if best is repaired or not polish_all:
        tried = best.copy()
        _empty_more(tried, node_cost)
        bring_home(tried)
        if (found := value(tried)) < best_value:
            best, best_value = tried, found
    for order in kept_first:
        best = _squeezed(repaired, best, order, node_cost, least, value, rng, over)
    return best


def _squeezed(
    start: Working,
    best: Working,
    order: Indices,
    node_cost: Integers,
    least: int,
    value: Callable[[Working], tuple[int, int]],
    rng: np.random.Generator,
    over: Callable[[], bool],
) -> Working:
    """Fewer nodes than fitting alone needs: the cost is halved in between the bound and the best known, each time anew."""
    low, high = least, value(best)[0]
    cheapest = max(int(node_cost.min(initial=1)), 1)
    while low < high and not over():
        cost = low if high - low <= 2 * cheapest else (low + high) // 2
        w, keep, left = _fill(start, order, node_cost, cost, _RATINGS[0])
        left = left[w.host[left] < 0]
        steps = trades(start.problem)
        if _MESSY * len(left) <= steps and squeeze(w, left, keep, rng, steps, over):
            bring_home(w)
            high = min(cost, value(w)[0])
            if value(w) < value(best):
                best = w
        else:
            low = cost + cheapest
    return best


_RATINGS: tuple[Rating, ...] = (
    lambda problem, nodes: even_fit(problem, nodes, 0.0),
    lambda problem, nodes: even_fit(problem, nodes, 0.3),
    best_fit,
)
"""How room left over is rated while packing: usable in all resources; small as well; only small."""


def _pack(start: Working, order: Indices, node_cost: Integers, least: int, rating: Rating) -> Working | None:
    """Keep nodes in ``order`` until their cost reaches ``least``, fit all else there, keep more nodes while VMs are left over."""
    problem = start.problem
    w, keep, left = _fill(start, order, node_cost, least, rating)
    rest, stalled = order[~keep[order]], 0
    while len(left := left[w.host[left] < 0]):
        more = _open_more(problem, left, rest, stalled)
        if not more.any():
            return None
        opened, rest, before = rest[more], rest[~more], len(left)
        keep[opened] = True
        back_home(w, left, _mask(problem, opened))
        left = left[w.host[left] < 0]
        w.fit(left, keep, rating(problem, keep))
        stalled = stalled + 1 if (w.host[left] < 0).sum() == before else 0
    return w


def _open_more(problem: Problem, left: Indices, rest: Indices, stalled: int) -> Bools:
    """Which of ``rest``, in its order, to keep too: for each domain of the VMs ``left``, half of what their volume needs, at least one.

    Twice as many for every time (``stalled``) that this helped nobody.
    """
    more = np.zeros(len(rest), dtype=np.bool_)
    rows, which = np.unique(problem.domain_of[left], return_inverse=True)
    for k, row in enumerate(rows):
        allowed = problem.domains[row, rest]
        if not allowed.any():
            continue
        volume = problem.demand[left[which == k]].sum(axis=0)
        needed = volume / np.maximum(problem.capacity[rest[allowed]].mean(axis=0), 1.0)
        count = max(1, int(needed.max(initial=0.0)) // 2) << min(stalled, 20)
        more[np.flatnonzero(allowed & ~more)[: max(count - int((allowed & more).sum()), 0)]] = True
    return more


def _fill(start: Working, order: Indices, node_cost: Integers, cost: int, rating: Rating) -> tuple[Working, Bools, Indices]:
    """Keep nodes in ``order`` until they cost ``cost``, fit all else there: the packing, the nodes kept, and the VMs that had to move."""
    problem = start.problem
    w = start.copy()
    held = np.zeros(problem.n_nodes, dtype=np.bool_)
    held[problem.host[w.runs & problem.held]] = True
    order = order[~held[order]]
    keep = held.copy()
    missing = cost - int(node_cost[held].sum())
    if missing > 0:
        keep[order[: int(np.searchsorted(np.cumsum(node_cost[order]), missing)) + 1]] = True
    left = positions(w.runs & (w.host >= 0) & ~keep[w.host])
    w.take_out(left)
    left = w.largest_first(left)
    w.fit(left, keep, rating(problem, keep))
    return w, keep, left


def _mask(problem: Problem, nodes: Indices) -> Bools:
    mask = np.zeros(problem.n_nodes, dtype=np.bool_)
    mask[nodes] = True
    return mask


def _empty_more(w: Working, node_cost: Integers) -> None:
    """Nodes in use, costliest and least loaded first, are emptied into the others where all their VMs find room."""
    problem = w.problem
    movable = ~problem.held
    for _ in range(_ROUNDS):
        used = w.used
        nodes = positions(used)
        load = ((problem.capacity[nodes] - w.free[nodes]) / np.maximum(problem.capacity[nodes], 1)).sum(axis=1)
        order = nodes[np.lexsort((nodes, load, -node_cost[nodes]))].astype(np.int32)
        if not w.empty(order, movable, used, best_fit(problem, used), chains=True, patience=64 + len(nodes) // 200):
            return
