"""Per node, the least memory whose departure makes what stays fit: a covering knapsack, solved by branch and bound."""

from __future__ import annotations

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Indices, Integers, Problem, positions

__all__ = ["must_leave"]

_SEARCH = 4_000
"""Branches per node after which the covering bound falls back to its relaxation."""


def must_leave(problem: Problem) -> tuple[Integers, dict[int, Indices]]:
    """(int64[N] least memory that must leave each node, node -> one cheapest set of VMs whose departure suffices).

    Only nodes where something must leave are in the table.  VMs that may not stay on their node are always in the set.
    """
    host = observed_hosts(problem)
    here = positions(host >= 0)
    out = np.zeros(problem.n_nodes, dtype=np.int64)
    cheapest: dict[int, Indices] = {}
    load = np.zeros_like(problem.capacity)
    np.add.at(load, host[here], problem.demand[here])
    banned = ~problem.domains[problem.domain_of[here], host[here]] & ~problem.held[here]
    suspects = set(positions((load > problem.capacity).any(axis=1)).tolist()) | set(host[here[banned]].tolist())
    driven = set(here[banned].tolist())
    by_node = here[np.argsort(host[here], kind="stable")]
    starts = np.searchsorted(host[by_node], np.arange(problem.n_nodes + 1))
    for n in sorted(suspects):
        vms = by_node[starts[n] : starts[n + 1]]
        gone = np.array([v for v in vms if int(v) in driven], dtype=np.int32)
        rest = np.array([v for v in vms if int(v) not in driven and not problem.held[v]], dtype=np.int32)
        excess = load[n] - problem.capacity[n] - problem.demand[gone].sum(axis=0)
        bound, chosen = _cheapest_cover(problem.demand[rest], problem.weight[rest], excess)
        out[n] = int(problem.weight[gone].sum()) + bound
        cheapest[n] = np.concatenate((gone, rest[chosen])).astype(np.int32)
    return out, cheapest


def _cheapest_cover(demand: Integers, weight: Integers, excess: Integers) -> tuple[int, list[int]]:
    """(bound on the weight, positions) of the lightest set whose demand covers ``excess`` in every resource.

    Depth-first branch and bound over VMs by weight per unit of excess; the relaxation of the worst resource prunes.  The bound is the
    weight itself unless the search was cut short.
    """
    need = np.maximum(excess, 0)
    if not need.any():
        return 0, []
    if (demand.sum(axis=0) < need).any():  # even without all of these: what is held does not fit
        return int(weight.sum()), list(range(len(weight)))
    tight = [r for r in range(len(need)) if need[r] > 0]
    gain = sum(np.minimum(demand[:, r], need[r]) / need[r] for r in tight)
    order = np.lexsort((np.arange(len(weight)), weight / np.maximum(gain, 1e-12)))
    rows = [[int(demand[i, r]) for r in tight] for i in order]
    costs = [int(weight[i]) for i in order]
    floor = max(_fractional(rows, costs, k, int(need[r])) for k, r in enumerate(tight))
    best_cost, best_set = sum(costs) + 1, list(range(len(costs)))
    remaining = [[sum(row[k] for row in rows[i:]) for k in range(len(tight))] for i in range(len(rows) + 1)]
    stack: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]] = [(0, 0, tuple(int(need[r]) for r in tight), ())]
    branches = 0
    while stack and branches < _SEARCH:
        branches += 1
        i, cost, missing, chosen = stack.pop()
        if cost >= best_cost:
            continue
        if all(m <= 0 for m in missing):
            best_cost, best_set = cost, list(chosen)
            continue
        if i == len(rows) or any(m > left for m, left in zip(missing, remaining[i], strict=True)):
            continue
        stack.append((i + 1, cost, missing, chosen))
        stack.append((i + 1, cost + costs[i], tuple(m - d for m, d in zip(missing, rows[i], strict=True)), (*chosen, i)))
    proven = floor if stack else best_cost
    return min(proven, best_cost), sorted(int(order[i]) for i in best_set)


def _fractional(rows: list[list[int]], costs: list[int], k: int, need: int) -> int:
    paid = 0.0
    for i in sorted((i for i in range(len(rows)) if rows[i][k] > 0), key=lambda i: costs[i] / rows[i][k]):
        take = min(need, rows[i][k])
        paid += costs[i] * take / rows[i][k]
        need -= take
        if need <= 0:
            break
    return int(np.ceil(paid - 1e-6))
