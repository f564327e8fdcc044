"""Who gets which: the assignment problem, by shortest augmenting paths (Jonker & Volgenant 1987, with potentials after Kuhn's method)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["all_different", "dearest_matching"]


def all_different(choices: Sequence[Bools]) -> bool:
    """Can each have one of its choices bool[Z], nobody the same as another?"""
    worth = np.full((len(choices), max((len(choice) for choice in choices), default=0)), -1, dtype=np.int64)
    for k, choice in enumerate(choices):
        worth[k, : len(choice)] = np.where(choice, 1, -1)
    return bool((dearest_matching(worth) >= 0).all())


def dearest_matching(worth: Integers) -> Indices:
    """int32[G]: a different column for each row of ``worth`` int64[G, Z], the sum of what they are worth the greatest; -1 for none.

    A negative worth means never; a row for which nothing is left has none.  As many rows as possible are not asked for: a row is left
    out where that is worth more.  Ties are settled by the lowest column.
    """
    rows, columns = worth.shape
    cost = np.zeros((rows, columns + rows), dtype=np.int64)  # a column of its own for each row that goes without
    cost[:, :columns] = np.where(worth < 0, 1, -worth)
    cost[:, columns:] = np.where(np.eye(rows, dtype=np.bool_), 0, 1)
    total = columns + rows
    price, rent = np.zeros(rows + 1, dtype=np.int64), np.zeros(total + 1, dtype=np.int64)
    owner = np.full(total + 1, rows, dtype=np.int64)  # the last column is where each path starts
    far = int(np.iinfo(np.int64).max)
    for row in range(rows):
        owner[total] = row
        column, best, back = total, np.full(total, far, dtype=np.int64), np.full(total, total, dtype=np.int64)
        seen = np.zeros(total + 1, dtype=np.bool_)
        while True:
            seen[column] = True
            at = int(owner[column])
            slack = cost[at] - price[at] - rent[:total]
            nearer = ~seen[:total] & (slack < best)
            best[nearer], back[nearer] = slack[nearer], column
            reachable = np.where(seen[:total], far, best)
            following = int(np.argmin(reachable))
            step = int(reachable[following])
            price[owner[seen]] += step
            rent[seen] -= step
            best[~seen[:total]] -= step
            column = following
            if owner[column] == rows:
                break
        while column != total:
            previous = int(back[column])
            owner[column] = owner[previous]
            column = previous
        owner[total] = rows
    out = np.full(rows, -1, dtype=np.int32)
    for column in range(columns):
        if owner[column] < rows and worth[owner[column], column] >= 0:
            out[owner[column]] = column
    return out
