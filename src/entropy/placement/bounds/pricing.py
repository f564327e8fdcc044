"""The most valuable set of VMs that one node can hold: a bounded knapsack in several dimensions, exactly.

By dynamic programming over the room where that is small in the units of the demands; otherwise by depth-first search in the order of
value per surrogate size (the resources weighed by the duals of the knapsack's linear relaxation), pruned by the surrogate relaxation
over the VMs that still fit.  A search that is cut short still gives an upper bound.  Values are integers, and so are all comparisons.
Source: Kellerer, Pferschy and Pisinger, "Knapsack Problems" (2004), sections 7.2 and 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from entropy.placement.bounds.classes import Classes
from entropy.placement.bounds.knapsack import search
from entropy.placement.bounds.linear import INFINITE, Sparse, linear
from entropy.problem.problem import Bools, Integers

__all__ = ["Best", "best_set"]

_CELLS, _MANY_CELLS = 300_000, 40_000_000
"""Cells of the table (room x pieces) up to which dynamic programming is used: at once, and where the search was cut short."""
_STATES = 100_000
_BRANCH = 30
"""Elementary steps of a branch."""
_KEPT = 16
_PLAIN, _PAIRS = 20_000, 500
"""Branches up to which the uncompiled search will do, and what it counts as: so many VM-node pairs for each class of VMs."""
_SURROGATE = float(1 << 50)


@dataclass(frozen=True)
class Best:
    """``upper``: no set is worth more; ``exact``: no lower bound than this is valid; ``patterns`` int64[P, K]: sets found, the best last;
    ``steps`` of work."""

    upper: int
    exact: bool
    patterns: Integers
    steps: int


def best_set(classes: Classes, m: int, value: Integers, above: int, limit: int, *, table: bool = False) -> Best:
    """Best set for a node of class ``m`` when each VM of class k is worth ``value[k]`` (integers, 0 or more; sums below 2^52).

    Only sets worth more than ``above`` (0 or more) are of interest: ``upper`` is at least that.  ``limit``: branches after which the
    search is cut short; ``table``: then use dynamic programming, if the table is not too large.
    """
    n = len(value)
    useful = np.flatnonzero((value > 0) & (classes.most[m] > 0))
    if not len(useful):
        return Best(above, True, np.zeros((0, n), dtype=np.int64), 1)
    size, count, room, worth = classes.demand[useful], classes.most[m, useful], classes.room[m], value[useful]
    binding = np.flatnonzero((size * count[:, None]).sum(axis=0) > room)
    if not len(binding):
        return Best(max(int(worth @ count), above), True, _spread(count[None, :], useful, n), 1)
    size, room = np.ascontiguousarray(size[:, binding]), room[binding]
    states = float(np.prod(room.astype(np.float64) + 1))
    cells = states * float(np.ceil(np.log2(count + 1)).sum())
    if states > _STATES or cells > _CELLS:
        found = _searched(worth, size, count, room, above, limit)
        if found.exact or not table or states > _STATES or cells > _MANY_CELLS:
            return replace(found, patterns=_spread(found.patterns, useful, n))
    best, pattern = _table(worth, size, count, room)
    return Best(max(best, above), True, _spread(pattern[None, :], useful, n), 1 + int(cells) // 10)


def _searched(worth: Integers, size: Integers, count: Integers, room: Integers, above: int, limit: int) -> Best:
    weigh = _whole(_duals(worth, size, count, room), room)
    surrogate = size @ weigh
    order = np.lexsort((np.arange(len(worth)), -(worth / np.maximum(surrogate, 1e-9))))
    found = np.zeros((_KEPT, len(worth)), dtype=np.int64)
    twin = search.compiled if limit > _PLAIN else search.on(_PAIRS * len(worth))
    upper, exact, steps, kept = twin(
        worth[order], size[order], count[order], room, surrogate[order], int(weigh @ room), above, limit, found
    )
    patterns = np.zeros((kept, len(worth)), dtype=np.int64)
    patterns[:, order] = found[:kept]
    return Best(int(upper), bool(exact), patterns, int(steps) * _BRANCH)


def _spread(patterns: Integers, useful: Integers, n: int) -> Integers:
    out = np.zeros((len(patterns), n), dtype=np.int64)
    out[:, useful] = patterns
    return out


def _table(worth: Integers, size: Integers, count: Integers, room: Integers) -> tuple[int, Integers]:
    """Dynamic programming: each class in pieces of 1, 2, 4, ... VMs; the choices are kept to read the pattern back."""
    best = np.zeros(tuple(int(c) + 1 for c in room), dtype=np.int64)
    pieces: list[tuple[int, int, Bools]] = []
    for k in range(len(worth)):
        left, times = int(count[k]), 1
        while left > 0:
            take = min(times, left)
            left -= take
            times *= 2
            need = size[k] * take
            if (need > room).any():
                continue
            target = best[tuple(slice(int(d), None) for d in need)]
            source = best[tuple(slice(None, int(c - d) + 1) for c, d in zip(room, need, strict=True))] + int(worth[k]) * take
            better = source > target
            pieces.append((k, take, better))
            np.copyto(target, source, where=better)
    pattern = np.zeros(len(worth), dtype=np.int64)
    at = room.copy()
    for k, take, better in reversed(pieces):
        need = size[k] * take
        if (at >= need).all() and better[tuple(at - need)]:
            pattern[k] += take
            at = at - need
    return int(best.max()), pattern


def _duals(worth: Integers, size: Integers, count: Integers, room: Integers) -> npt.NDArray[np.float64]:
    """What a unit of each resource is worth in the linear relaxation."""
    r = size.shape[1]
    scale = np.maximum(room.astype(np.float64), 1.0)
    columns = Sparse()
    for row in (size / scale).tolist():
        columns.add(range(r), row)
    highs = linear(-worth / max(float(worth.max()), 1.0), count, np.full(r, -INFINITE), room / scale, columns)
    highs.run()
    return np.maximum(-np.array(highs.getSolution().row_dual, dtype=np.float64), 0.0) / scale


def _whole(price: npt.NDArray[np.float64], room: Integers) -> Integers:
    """Prices as integers (any are valid) such that surrogate sizes stay exact."""
    total = float(price @ room)
    if total <= 0:
        return np.ones(len(price), dtype=np.int64)
    return np.asarray(np.floor(price * (_SURROGATE / total)), dtype=np.int64)
