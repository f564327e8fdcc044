"""Which nodes a packing keeps first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from entropy.placement.bounds import usable_nodes
from entropy.problem.problem import Indices, Integers, Problem, positions

__all__ = ["orders", "sizes_of"]

_SIZES = 64
"""Sizes of nodes that are told apart; more of them are rounded."""
_CHUNK = 50
"""Nodes of one size are taken in so many portions of what is still needed."""


def sizes_of(capacity: Integers) -> npt.NDArray[np.int64]:
    """int64[N]: nodes of one size (nearly one, where there are many sizes) have one number."""
    if not len(capacity) or not capacity.shape[1] or (capacity == capacity[:1]).all():
        return np.zeros(len(capacity), dtype=np.int64)
    sizes, size = np.unique(capacity, axis=0, return_inverse=True)
    if len(sizes) > _SIZES:
        _, size = np.unique(np.round(2 * np.log2(np.maximum(capacity, 1))), axis=0, return_inverse=True)
    return size.astype(np.int64).reshape(-1)


def orders(problem: Problem, kept: Integers, node_cost: Integers, least: int) -> list[Indices]:
    """The fullest first; where nodes differ, also those with most room for their cost, and a mixture that suits all resources at once.

    That whose first nodes, for the cost ``least``, offer most of what is needed comes first; of two that keep the same
    nodes one is left out.
    """
    nodes = positions(usable_nodes(problem))
    kept, cost, capacity = kept[nodes], node_cost[nodes], problem.capacity[nodes]
    alike = len(np.unique(cost)) <= 1
    fullest = nodes[np.lexsort((nodes, -kept) if alike else (nodes, -kept, cost))]
    if alike and (capacity == capacity[:1]).all():
        return [fullest]
    size = (capacity / np.maximum(problem.capacity.mean(axis=0), 1.0)).min(axis=1, initial=np.inf)
    roomiest = nodes[np.lexsort((nodes, -kept, -size / np.maximum(cost, 1)))]
    needed = np.maximum(problem.demand[problem.runs_at_end()].sum(axis=0).astype(np.float64), 1.0)
    found: dict[bytes, tuple[float, Indices]] = {}
    for order in (fullest, roomiest, nodes[_mixture(problem, kept, cost, capacity)]):
        first = np.sort(order[: int(np.searchsorted(np.cumsum(node_cost[order]), least)) + 1])
        offered = float((problem.capacity[first].sum(axis=0) / needed).min(initial=1.0))
        found.setdefault(first.tobytes(), (-offered, order))
    return [order for _, order in sorted(found.values(), key=lambda pair: pair[0])]


def _mixture(problem: Problem, kept: Integers, cost: Integers, capacity: Integers) -> npt.NDArray[np.int64]:
    """Portions of the size that helps most, for its cost, with what is still needed: the fractional cover of all resources by
    multiplicative weights (Plotkin, Shmoys and Tardos 1995), so that none runs short at the end.  Of one size the fullest first.
    """
    size = sizes_of(capacity)
    queues = [np.flatnonzero(size == k) for k in range(int(size.max(initial=0)) + 1)]
    queues = [q[np.lexsort((q, -kept[q], cost[q]))] for q in queues]
    mean = np.array([capacity[q].mean(axis=0) for q in queues])
    price = np.array([max(float(cost[q].mean()), 1.0) for q in queues])
    needed = problem.demand[problem.runs_at_end()].sum(axis=0).astype(np.float64)
    relevant = needed > 0
    left, taken, order = needed.copy(), np.zeros(len(queues), dtype=np.int64), []
    while (left > 0).any():
        open_queues = [k for k, q in enumerate(queues) if taken[k] < len(q)]
        if not open_queues:
            break
        weight = np.zeros_like(left)
        weight[relevant] = np.maximum(left[relevant] / needed[relevant], 0.0) ** 8 / needed[relevant]
        k = max(open_queues, key=lambda k: (float(mean[k] @ weight / price[k]), -k))
        enough = float((left / np.maximum(mean[k], 1.0)).max())
        portion = queues[k][taken[k] : taken[k] + max(int(enough / _CHUNK), 1)]
        order.append(portion)
        taken[k] += len(portion)
        left -= capacity[portion].sum(axis=0)
    roomy = np.argsort(-(mean[:, relevant] / needed[relevant]).sum(axis=1) / price, kind="stable")
    order.extend(queues[k][taken[k] :] for k in roomy)
    return np.concatenate(order).astype(np.int64)
