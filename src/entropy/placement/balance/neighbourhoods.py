"""Where to look for a smaller spread: the nodes at one end of it, all of them where they are few, and nodes to exchange VMs with."""

from __future__ import annotations

import numpy as np

from entropy.placement.goals import Goals
from entropy.placement.spread import gauge, load_of
from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["balance_neighbourhood"]


def balance_neighbourhood(problem: Problem, goals: Goals, host: Indices, open_nodes: Bools, rng: np.random.Generator, size: int) -> Indices:
    """Up to ``size`` of ``open_nodes`` bool[N], for the placement ``host`` int32[V]; none where there is no spread.

    A spread shrinks only when every node at one end of it is mended: of these all are taken that there is room for, the furthest out
    first; the rest are from the other end and from anywhere, half and half.  Resources are chosen by their share of the weighted spread.
    """
    measure = gauge(problem)
    load = load_of(problem, host)
    level, (high, low) = measure.level(load), measure.extremes(load)
    share = ((high - low) * goals.resource_weight).astype(np.float64)
    if size < 2 or share.sum() <= 0:
        return np.zeros(0, dtype=np.int32)
    r = int(rng.choice(len(share), p=share / share.sum()))
    nodes = positions(open_nodes & measure.counts[:, r])
    order = nodes[np.lexsort((rng.random(len(nodes)), level[nodes, r]))]
    if rng.random() < 0.5:
        order = order[::-1]
    ends = np.count_nonzero(level[order, r] == level[order[0], r]) if len(order) else 0
    near = int(np.clip(ends, 1, max(size * 2 // 3, 1)))
    other = max((size - near) // 2, 1)
    middle = order[near : len(order) - other]
    some = rng.choice(middle, min(max(size - near - other, 0), len(middle)), replace=False)
    return np.unique(np.concatenate((order[:near], order[near:][-other:], some))).astype(np.int32)
