"""Depth-first search for the most valuable set of VMs that fits on a node (see ``pricing``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from entropy.placement.jit import Kernel, kernel
from entropy.problem.problem import Integers

__all__ = ["compile_step", "search"]


@kernel
def search(
    worth: Integers,
    size: Integers,
    count: Integers,
    room: Integers,
    surrogate: Integers,
    total: int,
    above: int,
    limit: int,
    found: Integers,
) -> tuple[int, bool, int, int]:
    """(upper bound, was the search complete, steps, number of patterns in ``found``); classes come in descending worth per surrogate size.

    ``found`` int64[F, n] is filled with the last F patterns that were worth more than ``above`` and than those before, the best last.
    """
    n, resources = size.shape
    taken = np.zeros(n, dtype=np.int64)
    left = room.copy()
    surplus = total
    value = 0
    best = above
    kept = 0
    upper = -1
    steps = 0
    level = 0
    forward = True
    while True:
        if forward:
            # surrogate relaxation over the classes from here on that still fit
            steps += 1
            bound = value
            rest = surplus
            for k in range(level, n):
                most = count[k]
                for r in range(resources):
                    if size[k, r] > 0 and left[r] // size[k, r] < most:
                        most = left[r] // size[k, r]
                if most <= 0:
                    continue
                if surrogate[k] * most <= rest:
                    rest -= surrogate[k] * most
                    bound += worth[k] * most
                else:
                    bound += int(worth[k] * (rest / surrogate[k])) + 1  # worth < 2^52: off by less than 1
                    break
            if upper < 0:
                upper = bound
            if bound > best and steps <= limit:
                # down: as many as fit of the next class that fits, then bound again
                moved = False
                while level < n:
                    most = count[level]
                    for r in range(resources):
                        if size[level, r] > 0 and left[r] // size[level, r] < most:
                            most = left[r] // size[level, r]
                    if most > 0:
                        taken[level] = most
                        for r in range(resources):
                            left[r] -= most * size[level, r]
                        surplus -= most * surrogate[level]
                        value += most * worth[level]
                        moved = True
                    level += 1
                    if moved:
                        break
                if not moved or level == n:
                    if value > best:
                        best = value
                        if kept == found.shape[0]:
                            for f in range(kept - 1):
                                found[f] = found[f + 1]
                            kept -= 1
                        found[kept] = taken
                        kept += 1
                    forward = False
            else:
                forward = False
        else:
            # up: one less of the last class taken
            level -= 1
            while level >= 0 and taken[level] == 0:
                level -= 1
            if level < 0 or steps > limit:
                break
            taken[level] -= 1
            for r in range(resources):
                left[r] += size[level, r]
            surplus += surrogate[level]
            value -= worth[level]
            level += 1
            forward = True
    complete = steps <= limit
    if complete:
        upper = best
    return max(upper, best), complete, steps, kept


def compile_step() -> tuple[Kernel[Any, Any], Callable[[], object]]:
    """The kernel, and what compiles it for the types it is called with."""
    one, square = np.ones(1, dtype=np.int64), np.ones((1, 1), dtype=np.int64)
    return search, lambda: search.compiled(one, square, one, one, one, 1, 0, 10, square.copy())
