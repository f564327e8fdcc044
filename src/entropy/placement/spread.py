"""Spread: how far the most and the least loaded node are apart, per resource, as a share of capacity."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["MILLION", "spread"]

MILLION = 1_000_000
"""Shares of capacity are counted in millionths."""


def spread(problem: Problem, host: Indices) -> Integers:
    """int64[R]: highest less lowest load over the nodes that may run VMs at the end, in millionths of capacity, rounded.

    A node that offers nothing of a resource does not count for it.
    """
    load = np.zeros_like(problem.capacity)
    placed = np.flatnonzero(host >= 0)
    np.add.at(load, host[placed], problem.demand[placed])
    counts = problem.power & ~problem.untouchable & np.array([not n.maintenance for n in problem.cluster.nodes], dtype=np.bool_)
    out = np.zeros(len(problem.resources), dtype=np.int64)
    for r in range(len(out)):
        nodes = counts & (problem.capacity[:, r] > 0)
        if nodes.any():
            share = load[nodes, r] / problem.capacity[nodes, r]
            out[r] = round(float(share.max() - share.min()) * MILLION)
    return out
