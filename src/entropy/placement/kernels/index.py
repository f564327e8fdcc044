"""An index over free capacity: the cost of placing a VM does not grow with the number of nodes.

Nodes lie in an order in which neighbours have similar room (a Z-order curve over the two scarcest resources, Morton 1966, among nodes
of one size); sixteen neighbours are a block, eight blocks a block of the next level, and so on.  Each block knows the most
room in it per resource, so a search never enters a block in which nothing fits, and the range of room in it, from which follows how
good its nodes can be at best: branch and bound, best block first, ended once ``RATED`` nodes have been compared.
A node is found if and only if one exists.  Few nodes (``SCAN``), and VMs that may use few, are looked at one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.kernels.state import State, allows, fits
from entropy.placement.metric import Floats, Metric
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["BLOCK", "FAN", "RATED", "SCAN", "Index", "arrange", "nearest", "refresh", "seek"]

SCAN = 512
"""Up to so many nodes there is no tree: all are looked at."""
RATED = 48
"""Nodes with room that a search compares, at most."""
NEAR = 12
"""Nodes that ``nearest`` returns, at most."""
BLOCK = 16
"""Nodes in a block of the lowest level."""
FAN = 8
"""Blocks in a block of the next level."""
_CELLS = 128
"""Steps in which room is counted for the order of nodes."""
_DIGIT = 2048
"""Digits of the sort; two make up the number of a node on the curve."""
_LEAVES = 32
"""Blocks that ``nearest`` looks into, at most."""


class Index(NamedTuple):
    """``open`` bool[N]: the nodes that may be entered.  ``order`` lists them, ``place`` int32[N] says where in it each is; ``size``: how
    many, and whether there is a tree.

    Blocks of level l are ``level[l]`` to ``level[l + 1]``, ``most`` int64[blocks, R] the most room in each, ``low`` and ``high`` its range
    as a share of the node's capacity, ``share_low`` and ``share_high`` that of 1/capacity.  ``kind`` int64[N] groups nodes of one size;
    ``axes``: the two scarcest resources.  ``stack``, ``bounds``, ``near``, ``short``: scratch space.
    """

    open: Bools
    order: Indices
    place: Indices
    size: Integers
    level: Integers
    most: Integers
    low: Floats
    high: Floats
    share_low: Floats
    share_high: Floats
    kind: Integers
    axes: Integers
    stack: Integers
    bounds: Floats
    near: Integers
    short: Floats


@kernel
def arrange(free: Integers, share: Floats, index: Index) -> None:
    """List the open nodes anew, neighbours alike, and fill the tree."""
    n_nodes, n_resources = free.shape
    index.place[:] = -1
    size = 0
    for n in range(n_nodes):
        if index.open[n]:
            index.order[size] = n
            size += 1
    tree = size > SCAN and n_resources > 0
    index.size[0], index.size[1] = size, tree
    if tree:
        _sort(free, share, index)
    for p in range(size):
        index.place[index.order[p]] = p
    if not tree:
        return
    for level in range(len(index.level) - 1):
        for i in range(index.level[level], index.level[level + 1]):
            _summarise(level, i, free, share, index)


@kernel
def _cell(n: int, free: Integers, share: Floats, index: Index) -> int:
    """Number of node n on the curve."""
    key = 0
    for a in range(2):
        r = index.axes[a]
        cell = min(max(int(free[n, r] * share[n, r] * _CELLS), 0), _CELLS - 1)
        for bit in range(7):
            key += ((cell >> bit) & 1) << (2 * bit + 1 - a)
    return int(index.kind[n]) * _CELLS * _CELLS + key


@kernel
def _sort(free: Integers, share: Floats, index: Index) -> None:
    """The list of open nodes along the curve, by counting, the lower digit first (a stable radix sort)."""
    size = index.size[0]
    digits = np.empty(size, dtype=np.int64)
    other = np.empty(size, dtype=np.int32)
    starts = np.zeros(_DIGIT + 1, dtype=np.int64)
    for power in range(2):
        starts[:] = 0
        for p in range(size):
            key = _cell(index.order[p], free, share, index)
            digits[p] = key // _DIGIT if power else key % _DIGIT
            starts[digits[p] + 1] += 1
        for d in range(_DIGIT):
            starts[d + 1] += starts[d]
        for p in range(size):
            other[starts[digits[p]]] = index.order[p]
            starts[digits[p]] += 1
        index.order[:size] = other


@kernel
def _summarise(level: int, i: int, free: Integers, share: Floats, index: Index) -> bool:
    """Block i of ``level`` from what is in it; did anything change?"""
    n_resources = free.shape[1]
    changed = False
    k = i - index.level[level]
    for r in range(n_resources):
        most, low, high, share_low, share_high = -1, np.inf, -np.inf, np.inf, -np.inf
        if level == 0:
            for p in range(k * BLOCK, min((k + 1) * BLOCK, index.size[0])):
                n = int(index.order[p])
                if index.open[n]:
                    part, room = share[n, r], free[n, r] * share[n, r]
                    most = max(most, free[n, r])
                    low, high = min(low, room), max(high, room)
                    share_low, share_high = min(share_low, part), max(share_high, part)
        else:
            below = index.level[level - 1]
            for c in range(below + k * FAN, min(below + (k + 1) * FAN, index.level[level])):
                most = max(most, index.most[c, r])
                low, high = min(low, index.low[c, r]), max(high, index.high[c, r])
                share_low, share_high = min(share_low, index.share_low[c, r]), max(share_high, index.share_high[c, r])
        if most != index.most[i, r] or low != index.low[i, r] or high != index.high[i, r]:
            changed = True
        index.most[i, r] = most
        index.low[i, r] = low
        index.high[i, r] = high
        index.share_low[i, r] = share_low
        index.share_high[i, r] = share_high
    return changed


@kernel
def refresh(n: int, free: Integers, share: Floats, index: Index) -> None:
    """The room on node n, or whether it is open, has changed."""
    if not index.size[1] or index.place[n] < 0:
        return
    k = index.place[n] // BLOCK
    for level in range(len(index.level) - 1):
        if not _summarise(level, index.level[level] + k, free, share, index):
            return
        k //= FAN


@kernel
def rate(v: int, n: int, free: Integers, demand: Integers, metric: Metric) -> float:
    """``Metric`` of what VM v would leave over on node n."""
    worth, share, spare, scarcest, skew = metric
    n_resources = demand.shape[1]
    total = 0.0
    if skew > 0.0:
        filled = (free[n, scarcest] - demand[v, scarcest]) * share[n, scarcest]
        for r in range(n_resources):
            rest = (free[n, r] - demand[v, r]) * share[n, r]
            total += worth[r] * rest
            if r != scarcest:
                off = rest - (spare[r] + (1.0 - spare[r]) * filled)
                total += skew * off if off > 0.0 else -3.0 * skew * off
        return total
    for r in range(n_resources):
        total += worth[r] * ((free[n, r] - demand[v, r]) * share[n, r])
    return total


@kernel
def least_rate(v: int, i: int, demand: Integers, metric: Metric, index: Index) -> float:
    """No node of block i is rated lower for VM v (but for rounding)."""
    worth, _, spare, scarcest, skew = metric
    total = 0.0
    least = max(index.low[i, scarcest] - demand[v, scarcest] * index.share_high[i, scarcest], 0.0)
    most = index.high[i, scarcest] - demand[v, scarcest] * index.share_low[i, scarcest]
    for r in range(demand.shape[1]):
        low = max(index.low[i, r] - demand[v, r] * index.share_high[i, r], 0.0)
        high = index.high[i, r] - demand[v, r] * index.share_low[i, r]
        total += worth[r] * (low if worth[r] >= 0.0 else high)
        if skew > 0.0 and r != scarcest:
            above = low - (spare[r] + (1.0 - spare[r]) * most)
            below = high - (spare[r] + (1.0 - spare[r]) * least)
            if above > 0.0:
                total += skew * above
            elif below < 0.0:
                total -= 3.0 * skew * below
    return total


@kernel
def seek(v: int, state: State, metric: Metric, index: Index) -> int:
    """The open node for VM v, which is nowhere, that the metric rates lowest, or nearly; -1 if none admits it."""
    row = int(state.domain_of[v])
    if state.sparse[row]:
        return _scan(v, state.row_nodes[state.row_start[row] : state.row_start[row + 1]], state, metric, index)
    if not index.size[1]:
        return _scan(v, index.order[: index.size[0]], state, metric, index)
    return _descend(v, state, metric, index)


@kernel
def _scan(v: int, nodes: Indices, state: State, metric: Metric, index: Index) -> int:
    free, demand, allowed = state.free, state.demand, state.domains[state.domain_of[v]]
    best, best_rate = -1, 0.0
    for n in nodes:
        if index.open[n] and allowed[n] and fits(v, n, free, demand):
            rated = rate(v, n, free, demand, metric)
            if (best < 0 or rated < best_rate) and allows(v, n, state):
                best, best_rate = n, rated
    return best


@kernel
def _descend(v: int, state: State, metric: Metric, index: Index) -> int:
    free, demand, allowed = state.free, state.demand, state.domains[state.domain_of[v]]
    stack, bounds, most, level = index.stack, index.bounds, index.most, index.level
    n_resources = demand.shape[1]
    best, best_rate, compared = -1, 0.0, 0
    top = 1
    stack[0, 0], stack[0, 1] = level[-1] - 1, len(level) - 2
    bounds[0] = -np.inf
    while top:
        top -= 1
        i, at = stack[top, 0], stack[top, 1]
        if best >= 0 and (compared >= RATED or bounds[top] >= best_rate):
            continue
        k = i - level[at]
        if at == 0:
            for p in range(k * BLOCK, min((k + 1) * BLOCK, index.size[0])):
                n = int(index.order[p])
                if index.open[n] and allowed[n] and fits(v, n, free, demand):
                    compared += 1
                    rated = rate(v, n, free, demand, metric)
                    if (best < 0 or rated < best_rate or (rated == best_rate and n < best)) and allows(v, n, state):
                        best, best_rate = n, rated
            continue
        bottom = top
        for c in range(min(level[at - 1] + (k + 1) * FAN, level[at]) - 1, level[at - 1] + k * FAN - 1, -1):
            room = True
            for r in range(n_resources):
                if most[c, r] < demand[v, r]:
                    room = False
                    break
            if not room:
                continue
            bound = least_rate(v, c, demand, metric, index)
            q = top  # the lowest bound on top of the stack
            while q > bottom and bounds[q - 1] < bound:
                stack[q, 0], stack[q, 1], bounds[q] = stack[q - 1, 0], stack[q - 1, 1], bounds[q - 1]
                q -= 1
            stack[q, 0], stack[q, 1], bounds[q] = c, at - 1, bound
            top += 1
    return best


@kernel
def shortage(v: int, n: int, free: Integers, demand: Integers, share: Floats) -> float:
    """How much room VM v lacks on node n: the sum over resources, as shares of its capacity."""
    total = 0.0
    for r in range(demand.shape[1]):
        if demand[v, r] > free[n, r]:
            total += (demand[v, r] - max(free[n, r], 0)) * share[n, r]
    return total


@kernel
def nearest(v: int, state: State, share: Floats, index: Index) -> int:
    """The open nodes of v's domain where it lacks least room, least first, into ``index.near``; how many, ``NEAR`` at most."""
    free, demand, allowed = state.free, state.demand, state.domains[state.domain_of[v]]
    row = int(state.domain_of[v])
    found = 0
    if state.sparse[row] or not index.size[1]:
        nodes = index.order[: index.size[0]]
        if state.sparse[row]:
            nodes = state.row_nodes[state.row_start[row] : state.row_start[row + 1]]
        for n in nodes:
            if index.open[n] and allowed[n]:
                found = _nearer(n, shortage(v, n, free, demand, share), found, index)
        return found
    stack, bounds, level = index.stack, index.bounds, index.level
    top, leaves = 1, 0
    stack[0, 0], stack[0, 1] = level[-1] - 1, len(level) - 2
    bounds[0] = 0.0
    while top:
        top -= 1
        i, at = stack[top, 0], stack[top, 1]
        if found and (leaves >= _LEAVES or (found == NEAR and bounds[top] >= index.short[found - 1])):
            continue
        k = i - level[at]
        if at == 0:
            leaves += 1
            for p in range(k * BLOCK, min((k + 1) * BLOCK, index.size[0])):
                n = int(index.order[p])
                if index.open[n] and allowed[n]:
                    found = _nearer(n, shortage(v, n, free, demand, share), found, index)
            continue
        bottom = top
        for c in range(min(level[at - 1] + (k + 1) * FAN, level[at]) - 1, level[at - 1] + k * FAN - 1, -1):
            if index.share_low[c, 0] == np.inf:
                continue  # no open node in it
            bound = 0.0
            for r in range(demand.shape[1]):
                if demand[v, r] > index.most[c, r]:
                    bound += (demand[v, r] - max(index.most[c, r], 0)) * index.share_low[c, r]
            q = top
            while q > bottom and bounds[q - 1] < bound:
                stack[q, 0], stack[q, 1], bounds[q] = stack[q - 1, 0], stack[q - 1, 1], bounds[q - 1]
                q -= 1
            stack[q, 0], stack[q, 1], bounds[q] = c, at - 1, bound
            top += 1
    return found


@kernel
def _nearer(n: int, lacks: float, found: int, index: Index) -> int:
    """Insert node n into the sorted list of ``nearest``; its new length."""
    if found == NEAR:
        if lacks >= index.short[found - 1]:
            return found
        found -= 1
    q = found
    while q > 0 and index.short[q - 1] > lacks:
        index.near[q], index.short[q] = index.near[q - 1], index.short[q - 1]
        q -= 1
    index.near[q], index.short[q] = n, lacks
    return found + 1
