"""Least cost of the nodes in use: what must run needs so much of each resource, and each node brings at most its capacity.

Nodes that must be in use anyway (a VM is held there) come first, then the cheapest room.
"""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Bools, Integers, Problem, positions

__all__ = ["node_bound", "usable_nodes"]


def usable_nodes(problem: Problem) -> Bools:
    """bool[N]: nodes that some VM may run on at the end."""
    runs = problem.runs_at_end()
    usable = np.zeros(problem.n_nodes, dtype=np.bool_)
    for row in np.unique(problem.domain_of[runs]):
        usable |= problem.domains[row]
    held = runs & problem.held
    usable[problem.host[held]] = True
    return usable


def node_bound(problem: Problem, node_cost: Integers) -> int:
    """Least total ``node_cost`` of the nodes in use at the end.

    Volume argument per resource.  With equal costs it counts nodes (the k largest must hold the demand); with different costs it is
    the fractional covering bound, rounded up.
    """
    runs = problem.runs_at_end()
    if not runs.any():
        return 0
    usable = usable_nodes(problem)
    forced = np.zeros(problem.n_nodes, dtype=np.bool_)
    forced[problem.host[runs & problem.held]] = True
    base = int(node_cost[forced].sum())
    best = base
    others = positions(usable & ~forced)
    needed = problem.demand[runs].sum(axis=0)
    for r in range(len(problem.resources)):
        missing = int(needed[r]) - int(problem.capacity[forced, r].sum())
        if missing > 0:
            best = max(best, base + _cover(problem.capacity[others, r], node_cost[others], missing))
    if best == 0:  # something runs, so some node is in use
        best = int(node_cost[usable].min()) if usable.any() else 0
    return best


def _cover(capacity: Integers, cost: Integers, missing: int) -> int:
    if len(np.unique(cost)) <= 1:
        total = np.cumsum(np.sort(capacity)[::-1])
        count = int(np.searchsorted(total, missing)) + 1
        return int(cost[0]) * count if len(cost) else 0
    order = np.argsort(cost / np.maximum(capacity, 1), kind="stable")
    paid = 0.0
    for n in order:
        take = min(missing, int(capacity[n]))
        paid += float(cost[n]) * take / max(int(capacity[n]), 1)
        missing -= take
        if missing <= 0:
            break
    return int(np.ceil(paid - 1e-6))
