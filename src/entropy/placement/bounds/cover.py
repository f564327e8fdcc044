"""Least cost of nodes whose supply covers a total: what every weighing of VMs ends in.

Give each VM a weight and each node a supply, such that no node can hold VMs of more weight than its supply.  Then the nodes in use
supply at least the total weight, and the cheapest nodes that do so bound the cost (the dual of the covering linear programme).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "cover", "cover_scores"]

Floats = npt.NDArray[np.float64]


def cover(total: int, supply: Sequence[int], cost: Sequence[int], available: Sequence[int]) -> int:
    """Least cost of nodes that supply ``total``, exact integers throughout; class k has ``available[k]`` nodes.

    With equal costs the least number of nodes (the largest first); otherwise the optimum of the linear programme, from its dual (the
    price of the node where the cheapest supply ends), rounded up to what sums of these costs can be.  Where even all nodes together
    supply too little, there is no viable configuration and the cost of all of them is returned.
    """
    if total <= 0:
        return 0
    rows = sorted(
        ((min(g, total), c, n) for g, c, n in zip(supply, cost, available, strict=True) if g > 0 and n > 0),
        key=lambda row: (row[1] / row[0], -row[0]),
    )
    missing = total - sum(g * n for g, c, n in rows if c == 0)
    if missing <= 0:
        return 0
    paid = [row for row in rows if row[1] > 0]
    costs = {c for _, c, _ in paid}
    step = math.gcd(*costs) if costs else 1
    if sum(g * n for g, _, n in paid) < missing:
        return sum(c * n for c, n in zip(cost, available, strict=True))
    left, spent = missing, 0
    for g, c, n in paid:
        if g * n >= left:
            if len(costs) == 1:
                return spent + c * -(-left // g)
            # weak duality, at a price of c for g: no rounding of the order above can make it too large
            bound = c * missing - sum(max(c * other - g * price, 0) * count for other, price, count in paid)
            return -(-bound // (g * step)) * step
        left -= g * n
        spent += c * n
    raise AssertionError("all together were enough")


def cover_scores(total: Floats, supply: Floats, cost: Floats, available: Floats) -> Floats:
    """float64[P]: the linear programme's optimum for each of P weighings (``total`` [P], ``supply`` [P, M]), in floating point.

    For choosing among weighings; ``cover`` then proves the best.
    """
    free = cost <= 0
    missing = total - supply[:, free] @ available[free]
    paid, price, count = supply[:, ~free], cost[~free], available[~free]
    if paid.shape[1] == 0:
        return np.zeros(len(total))
    ratio = price / np.maximum(paid, 1e-300)
    order = np.argsort(ratio, axis=1, kind="stable")
    amount = np.take_along_axis(paid * count, order, axis=1)
    upto = np.cumsum(amount, axis=1)
    spent = np.cumsum((price * count)[order], axis=1)
    last = np.minimum((upto < missing[:, None]).sum(axis=1), paid.shape[1] - 1)
    rows = np.arange(len(total))
    over = np.minimum(upto[rows, last] - missing, amount[rows, last])
    score = spent[rows, last] - over * np.take_along_axis(ratio, order, axis=1)[rows, last]
    return np.where(missing > 0, score, 0.0)
