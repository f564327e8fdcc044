"""Loops behind the exchange bound: the dearest arrivals that fit into a room, and each node's best exchange at given prices.

All amounts are integers.  Room is looked up on a grid: level k of a resource stands for k of its units, what arrives is rounded down to
whole units, and so is the room.  A sum of rounded parts is never above the rounded sum, so whatever fits in truth fits on the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.jit import kernel
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
    rent: Integers,
    scale: int,
    enumerated: int,
    value: Integers,
    kept: Bools,
    used: Bools,
    arrivals: Indices,
) -> None:
    """Per node, the exchange that is worth most: who stays, and which classes arrive.

    A VM that stays is worth ``scale`` x its weight + the price of its class, an arrival its price; a node in use costs ``rent[n]``.
    ``value[n]``: that worth, no less than the true maximum; ``kept`` bool[M], ``used`` bool[N] and ``arrivals`` int32[N, C]: how.
    Up to ``enumerated`` residents their subsets are enumerated, in exact amounts; more go through the grid, rounded down.
    """
    start, demand, weight, class_of, room, profile, forced = residents
    levels, unit = table
    n_resources = len(levels)
    cells = worth.shape[1]
    stride = np.ones(n_resources, dtype=np.int64)
    for r in range(n_resources - 2, -1, -1):
        stride[r] = stride[r + 1] * levels[r + 1]
    left = np.zeros(n_resources, dtype=np.int64)
    at = np.zeros(n_resources, dtype=np.int64)
    filled = np.zeros(cells, dtype=np.int64)
    most = 0
    for n in range(len(room)):
        if start[n + 1] - start[n] > enumerated:
            most = max(most, start[n + 1] - start[n])
    taken = np.zeros((most, cells if most else 0), dtype=np.bool_)
    for n in range(len(room)):
        first, count = start[n], start[n + 1] - start[n]
        whole = 0
        for r in range(n_resources):
            left[r] = room[n, r]
            whole += min(max(room[n, r], 0) // unit[r], levels[r] - 1) * stride[r]
        best, best_set, best_cell = -1, 0, 0
        worths = worth[profile[n]]
        if count <= enumerated:
            gain, chosen = 0, 0
            for step in range(1 << count):
                if step:  # Gray code: subsets in an order in which neighbours differ by one VM
                    i, bit = 0, step
                    while bit & 1 == 0:
                        bit >>= 1
                        i += 1
                    v = first + i
                    sign = -1 if (chosen >> i) & 1 else 1
                    chosen ^= 1 << i
                    gain += sign * (scale * weight[v] + price[class_of[v]])
                    for r in range(n_resources):
                        left[r] -= sign * demand[v, r]
                cell, fits = 0, True
                for r in range(n_resources):
                    if left[r] < 0 and chosen:
                        fits = False
                        break
                    cell += min(max(left[r], 0) // unit[r], levels[r] - 1) * stride[r]
                if fits and gain + worths[cell] > best:
                    best, best_set, best_cell = gain + worths[cell], chosen, cell
            for i in range(count):
                kept[first + i] = (best_set >> i) & 1 == 1
        else:
            filled[:] = worths
            for i in range(count):
                v, back = first + i, 0
                gain = scale * weight[v] + price[class_of[v]]
                for r in range(n_resources):
                    back += (demand[v, r] // unit[r]) * stride[r]
                at[:] = levels - 1
                for cell in range(cells - 1, -1, -1):
                    fits = True
                    for r in range(n_resources):
                        if at[r] < demand[v, r] // unit[r]:
                            fits = False
                            break
                    taken[i, cell] = fits and filled[cell - back] + gain > filled[cell]
                    if taken[i, cell]:
                        filled[cell] = filled[cell - back] + gain
                    for r in range(n_resources - 1, -1, -1):
                        at[r] -= 1
                        if at[r] >= 0:
                            break
                        at[r] = levels[r] - 1
            best, best_cell = filled[whole], whole
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
