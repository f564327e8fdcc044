"""Loops behind the exchange bound: the dearest arrivals that fit into a room, and each node's best exchange at given prices.

All amounts are integers.  Room is looked up on a grid: level k of a resource stands for k of its units, what arrives is rounded down to
whole units, and so is the room.  A sum of rounded parts is never above the rounded sum, so whatever fits in truth fits on the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["Residents", "Table", "arrival_table", "best_exchanges"]


class Table(NamedTuple):
    """Cells of the grid, the last resource running fastest: ``levels`` int64[R] how many per resource, ``unit`` int64[R] their size."""

    levels: Integers
    unit: Integers


class Residents(NamedTuple):
    """Who may stay where: VMs of node n are ``start[n]:start[n + 1]``, M in all.

    start  int64[N + 1]
    demand int64[M, R], weight int64[M], class_of int64[M]
    room   int64[N, R]  capacity less what is held there
    profile int64[N]    row of the arrival tables that holds for the node
    forced bool[N]      in use whatever happens (something is held there)
    """

    start: Integers
    demand: Integers
    weight: Integers
    class_of: Integers
    room: Integers
    profile: Integers
    forced: Bools


@kernel
def arrival_table(levels: Integers, size: Integers, price: Integers, allowed: Bools, worth: Integers, choice: Indices) -> None:
    """Unbounded knapsack: ``worth[cell]`` is the most that arrivals of allowed classes fetch in a room of that cell.

    ``size`` int64[C, R] in units, none all zero; ``choice[cell]``: the class that came last, or -1 - r: as with one level less of r.
    """
    n_resources = len(levels)
    stride = np.ones(n_resources, dtype=np.int64)
    for r in range(n_resources - 2, -1, -1):
        stride[r] = stride[r + 1] * levels[r + 1]
    offset = np.zeros(len(price), dtype=np.int64)
    for c in range(len(price)):
        for r in range(n_resources):
            offset[c] += size[c, r] * stride[r]
    at = np.zeros(n_resources, dtype=np.int64)
    for cell in range(len(worth)):
        best, how = 0, -1
        for r in range(n_resources):
            if at[r] > 0 and worth[cell - stride[r]] >= best:
                best, how = worth[cell - stride[r]], -1 - r
        for c in range(len(price)):
            if not allowed[c]:
                continue
            fits = True
            for r in range(n_resources):
                if size[c, r] > at[r]:
                    fits = False
                    break
            if fits and worth[cell - offset[c]] + price[c] > best:
                best, how = worth[cell - offset[c]] + price[c], c
        worth[cell] = best
        choice[cell] = how
        for r in range(n_resources - 1, -1, -1):
            at[r] += 1
            if at[r] < levels[r]:
                break
            at[r] = 0


@kernel
def best_exchanges(
    residents: Residents,
    table: Table,
    size: Integers,
    price: Integers,
    worth: Integers,
    choice: Indices,
    density: Floats,
    rent: Integers,
    scale: int,
    search: int,
    value: Integers,
    kept: Bools,
    used: Bools,
    arrivals: Indices,
) -> int:
    """Per node, the exchange that is worth most: who stays, and which classes arrive.  Returns the steps it took.

    A VM that stays is worth ``scale`` x its weight + the price of its class, an arrival its price; a node in use costs ``rent[n]``.
    ``density`` float64[P, K, R]: room is worth at most any ``density[p, k]`` x room.
    ``value[n]``: that worth, no less than the true maximum; ``kept`` bool[M], ``used`` bool[N] and ``arrivals`` int32[N, C]: how.

    Sets of VMs that leave are searched depth first, in exact amounts, pruned by what room can be worth at most; after ``search`` sets
    of one node the search ends, and its VMs go through the grid, rounded down, where that takes no longer.
    """
    start, demand, weight, class_of, room, profile, forced = residents
    levels, unit = table
    n_resources = len(levels)
    cells = worth.shape[1]
    stride = np.ones(n_resources, dtype=np.int64)
    for r in range(n_resources - 2, -1, -1):
        stride[r] = stride[r + 1] * levels[r + 1]
    longest = 0
    for n in range(len(room)):
        longest = max(longest, start[n + 1] - start[n])
    left = np.zeros(n_resources, dtype=np.int64)
    rate = np.zeros(n_resources)
    gain = np.zeros(longest, dtype=np.int64)
    key = np.zeros(longest)
    hope = np.zeros(longest + 1)
    rest = np.zeros((longest + 1, n_resources), dtype=np.int64)
    path = np.zeros(longest + 1, dtype=np.int64)
    best_path = np.zeros(longest + 1, dtype=np.int64)
    filled = np.zeros(0, dtype=np.int64)
    at = np.zeros(n_resources, dtype=np.int64)
    taken = np.zeros((0, 0), dtype=np.bool_)
    steps = 0
    for n in range(len(room)):
        first, count = start[n], start[n + 1] - start[n]
        worths = worth[profile[n]]
        whole = 0
        for r in range(n_resources):
            left[r] = room[n, r]
            whole += min(max(room[n, r], 0) // unit[r], levels[r] - 1) * stride[r]
        total = 0
        for i in range(count):
            v = first + i
            gain[i] = scale * weight[v] + price[class_of[v]]
            total += gain[i]
            for r in range(n_resources):
                left[r] -= demand[v, r]
        # rates at which room is worth no more than it says: by the resource that limits arrivals most, and by what is short here
        least, tightest = np.inf, 0
        for k in range(density.shape[1]):
            bound = 0.0
            for r in range(n_resources):
                bound += density[profile[n], k, r] * max(room[n, r], 0)
            if bound < least:
                least, tightest = bound, k
        short, lack = -1, 0.0
        for r in range(n_resources):
            rate[r] = density[profile[n], tightest, r]
            if left[r] < 0 and -left[r] / max(room[n, r], 1) > lack:
                short, lack = r, -left[r] / max(room[n, r], 1)
        if short >= 0:
            for i in range(count):
                key[i] = gain[i] / demand[first + i, short] if demand[first + i, short] > 0 else np.inf
            missing = -left[short]
            for i in np.argsort(key[:count]):
                missing -= demand[first + i, short]
                if missing <= 0:
                    if key[i] < np.inf:
                        rate[short] = max(rate[short], key[i])
                    break
        for i in range(count):
            key[i] = gain[i]
            for r in range(n_resources):
                key[i] -= rate[r] * demand[first + i, r]
        order = np.argsort(key[:count], kind="mergesort")
        hope[count] = 0.0
        rest[count, :] = 0
        for d in range(count - 1, -1, -1):
            hope[d] = hope[d + 1] + max(-key[order[d]], 0.0)
            for r in range(n_resources):
                rest[d, r] = rest[d + 1, r] + demand[first + order[d], r]
        best, best_depth, best_cell = -1, -1, 0
        depth, following, looked, fresh = 0, 0, 0, True
        while looked < search:
            if fresh:
                looked += 1
                cell, fits = 0, True
                for r in range(n_resources):
                    if left[r] < 0 and depth < count:
                        fits = False
                        break
                    cell += min(max(left[r], 0) // unit[r], levels[r] - 1) * stride[r]
                if fits and total + worths[cell] > best:
                    best, best_depth, best_cell = total + worths[cell], depth, cell
                    best_path[:depth] = path[:depth]
            fresh = following < count
            if fresh:
                bound = hope[following + 1] - key[order[following]]
                for r in range(n_resources):
                    bound += rate[r] * left[r]
                    fresh = fresh and left[r] + rest[following, r] >= 0
                slack = 1e-9 * (abs(bound) + gain[order[following]] + hope[0] + 1.0)
                fresh = fresh and (best < 0 or bound + slack > best - total)
            if not fresh and following == 0 and depth == 0 and best < 0 and count > 0:
                # what is held does not fit: all leave, as far as that helps
                for d in range(count):
                    path[d] = d
                    total -= gain[order[d]]
                    for r in range(n_resources):
                        left[r] += demand[first + order[d], r]
                depth, following, fresh = count, count, True
                continue
            if fresh:
                i = order[following]
                total -= gain[i]
                for r in range(n_resources):
                    left[r] += demand[first + i, r]
                path[depth] = following
                depth += 1
                following += 1
            elif depth == 0:
                break
            else:
                depth -= 1
                i = order[path[depth]]
                total += gain[i]
                for r in range(n_resources):
                    left[r] -= demand[first + i, r]
                following = path[depth] + 1
                while following < count:  # it stays, so whoever frees no more and is worth no less stays as well
                    j = order[following]
                    worse = gain[j] >= gain[i]
                    for r in range(n_resources):
                        worse = worse and demand[first + j, r] <= demand[first + i, r]
                    if not worse:
                        break
                    following += 1
        steps += 8 * looked
        for i in range(count):
            kept[first + i] = best >= 0
        for d in range(best_depth):
            kept[first + order[best_path[d]]] = False
        if looked >= search:  # cut short: the best of what is found and of what each open branch may still hold
            ceiling = best
            while True:
                if fresh or following < count:
                    bound, ours = hope[following], 0.0
                    if not fresh:
                        bound, ours = hope[following + 1] - key[order[following]], gain[order[following]] * 1.0
                    for r in range(n_resources):
                        bound += rate[r] * left[r]
                    slack = 1e-9 * (abs(bound) + ours + hope[0] + 1.0)
                    ceiling = max(ceiling, total + int(np.ceil(bound + slack)))
                fresh = False
                if depth == 0:
                    break
                depth -= 1
                i = order[path[depth]]
                total += gain[i]
                for r in range(n_resources):
                    left[r] -= demand[first + i, r]
                following = path[depth] + 1
            best = ceiling
        if looked >= search and cells * count <= 16 * search:
            if len(filled) == 0:
                filled, taken = np.zeros(cells, dtype=np.int64), np.zeros((longest, cells), dtype=np.bool_)
            steps += cells * count
            filled[:] = worths
            for i in range(count):
                v, back = first + i, 0
                for r in range(n_resources):
                    back += (demand[v, r] // unit[r]) * stride[r]
                at[:] = levels - 1
                for cell in range(cells - 1, -1, -1):
                    fits = True
                    for r in range(n_resources):
                        if at[r] < demand[v, r] // unit[r]:
                            fits = False
                            break
                    taken[i, cell] = fits and filled[cell - back] + gain[i] > filled[cell]
                    if taken[i, cell]:
                        filled[cell] = filled[cell - back] + gain[i]
                    for r in range(n_resources - 1, -1, -1):
                        at[r] -= 1
                        if at[r] >= 0:
                            break
                        at[r] = levels[r] - 1
            best, best_cell = min(best, filled[whole]), whole
            for i in range(count - 1, -1, -1):
                kept[first + i] = taken[i, best_cell]
                if taken[i, best_cell]:
                    for r in range(n_resources):
                        best_cell -= (demand[first + i, r] // unit[r]) * stride[r]
        used[n] = forced[n] or best > rent[n]
        value[n] = best - rent[n] if used[n] else 0
        arrivals[n, :] = 0
        if not used[n]:
            for i in range(count):
                kept[first + i] = False
            continue
        cell = best_cell
        while cell > 0:
            how = choice[profile[n], cell]
            if how < 0:
                cell -= stride[-1 - how]
            else:
                arrivals[n, how] += 1
                for r in range(n_resources):
                    cell -= size[how, r] * stride[r]
    return steps
