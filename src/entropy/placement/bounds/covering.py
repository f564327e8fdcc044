"""Per node, the least memory whose departure makes what stays fit: a covering knapsack, solved by branch and bound."""

from __future__ import annotations

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.placement.jit import kernel
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["cheapest_covers", "leavers", "must_leave"]

_SEARCH = 20_000
"""Branches per node after which the covering bound falls back to its relaxation."""


def must_leave(problem: Problem) -> tuple[Integers, dict[int, Indices]]:
    """(int64[N] least memory that must leave each node, node -> one cheapest set of VMs whose departure suffices).

    Only nodes where something must leave are in the table.  VMs that may not stay on their node are always in the set.
    """
    return _covers(problem, problem.weight)


def leavers(problem: Problem, price: Floats) -> dict[int, Indices]:
    """The table of ``must_leave``, where a departure costs ``price`` float64[V] (0 or more) beside its memory."""
    fine = min(1024.0, float(1 << 60) / max(float(problem.weight.sum() + price.sum()), 1.0))
    return _covers(problem, np.rint((problem.weight + price) * fine).astype(np.int64))[1]


def _covers(problem: Problem, weight: Integers) -> tuple[Integers, dict[int, Indices]]:
    host = observed_hosts(problem)
    here = positions(host >= 0)
    out = np.zeros(problem.n_nodes, dtype=np.int64)
    excess = -problem.capacity
    for r in range(excess.shape[1]):
        np.add.at(excess[:, r], host[here], problem.demand[here, r])
    driven = np.zeros(problem.n_vms, dtype=np.bool_)
    driven[here] = ~problem.domains[problem.domain_of[here], host[here]] & ~problem.held[here]
    suspect = np.asarray((excess > 0).any(axis=1))
    suspect[host[driven]] = True
    if not suspect.any():
        return out, {}
    nodes = positions(suspect)
    vms = here[suspect[host[here]]]
    vms = vms[np.argsort(host[vms], kind="stable")]
    gone = driven[vms]
    np.subtract.at(excess, host[vms[gone]], problem.demand[vms[gone]])
    free = vms[~gone & ~problem.held[vms]]
    start = np.searchsorted(host[free], np.append(nodes, problem.n_nodes)).astype(np.int64)
    leaves = gone.copy()
    least, chosen = np.zeros(len(nodes), dtype=np.int64), np.zeros(len(free), dtype=np.bool_)
    run = cheapest_covers.on(len(free) * 100)
    run(start, problem.demand[free], weight[free], excess[nodes], _SEARCH, least, chosen)
    out[nodes] = least
    np.add.at(out, host[vms[gone]], weight[vms[gone]])
    leaves[~gone & ~problem.held[vms]] = chosen
    leavers = vms[leaves]
    cut = np.searchsorted(host[leavers], np.append(nodes, problem.n_nodes))
    return out, {int(n): leavers[cut[k] : cut[k + 1]] for k, n in enumerate(nodes)}


@kernel
def cheapest_covers(
    start: Integers, demand: Integers, weight: Integers, excess: Integers, search: int, least: Integers, chosen: Bools
) -> None:
    """For each node k, whose VMs are ``start[k]:start[k + 1]``: the lightest set whose demand covers ``excess[k]`` in every resource.

    ``least[k]`` is a bound on its weight, and the weight itself unless the search was cut short; ``chosen`` the set.  Depth first, VMs by
    weight per unit of excess; the fractional relaxation of all resources summed, each in shares of its excess, prunes.
    """
    n_resources = demand.shape[1]
    longest = 0
    for k in range(len(start) - 1):
        longest = max(longest, start[k + 1] - start[k])
    need = np.zeros(n_resources, dtype=np.int64)
    missing = np.zeros(n_resources, dtype=np.int64)
    state = np.zeros(longest + 1, dtype=np.int8)  # of each depth: 0 not tried, 1 VM taken, 2 VM left
    best_set = np.zeros(longest, dtype=np.bool_)
    for k in range(len(start) - 1):
        first, count = start[k], start[k + 1] - start[k]
        tight = 0
        for r in range(n_resources):
            need[r] = max(excess[k, r], 0)
            tight += need[r] > 0
        if tight == 0:
            continue
        enough, total = True, 0
        for r in range(n_resources):
            have = 0
            for i in range(count):
                have += demand[first + i, r]
            enough = enough and have >= need[r]
        for i in range(count):
            total += weight[first + i]
        if not enough:  # even without all of these, what is held does not fit
            least[k] = total
            chosen[first : first + count] = True
            continue
        gain = np.zeros(count)
        for i in range(count):
            for r in range(n_resources):
                if need[r] > 0:
                    gain[i] += min(demand[first + i, r], need[r]) / need[r]
        order = np.argsort(weight[first : first + count] / np.maximum(gain, 1e-12), kind="mergesort")
        best, root = total + 1, 0.0
        missing[:] = need
        cost, depth, branches = 0, 0, 0
        state[0] = 0
        while depth >= 0 and branches < search:
            if state[depth] == 0:
                branches += 1
                covered = True
                for r in range(n_resources):
                    covered = covered and missing[r] <= 0
                if covered:
                    if cost < best:
                        best = cost
                        best_set[:] = False
                        for d in range(depth):
                            best_set[order[d]] = state[d] == 1
                    depth -= 1
                    continue
                share, bound = 0.0, 0.0
                for r in range(n_resources):
                    if missing[r] > 0:
                        share += missing[r] / need[r]
                for d in range(depth, count):
                    if share <= 0.0:
                        break
                    i = order[d]
                    part = min(gain[i], share)
                    if gain[i] > 0.0:
                        bound += weight[first + i] * (part / gain[i])
                        share -= part
                if branches == 1:
                    root = bound
                # integers, so what is above best - 1 is no better; the factor outweighs rounding
                if share > 1e-9 or cost + bound * (1.0 - 1e-9) > best - 1:
                    depth -= 1
                    continue
                i = order[depth]
                repeated = False
                if depth > 0 and state[depth - 1] == 2:  # no use in taking what is no better than the one left just before
                    j = order[depth - 1]
                    repeated = weight[first + i] >= weight[first + j]
                    for r in range(n_resources):
                        repeated = repeated and demand[first + i, r] <= demand[first + j, r]
                if repeated:
                    state[depth] = 2
                else:
                    state[depth] = 1
                    cost += weight[first + i]
                    for r in range(n_resources):
                        missing[r] -= demand[first + i, r]
                depth += 1
                state[depth] = 0
            elif state[depth] == 1:
                i = order[depth]
                cost -= weight[first + i]
                for r in range(n_resources):
                    missing[r] += demand[first + i, r]
                state[depth] = 2
                depth += 1
                state[depth] = 0
            else:
                depth -= 1
        if best > total:  # cut short before the first set was complete
            best = total
            best_set[:count] = True
        least[k] = best if depth < 0 else min(best, int(np.ceil(root * (1.0 - 1e-9))))
        chosen[first : first + count] = best_set[:count]
