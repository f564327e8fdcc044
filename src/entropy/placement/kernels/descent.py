"""Moves undone: a VM returns to the node where it runs now, which costs nothing."""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.kernels.index import Index, arrange, refresh, seek
from entropy.placement.kernels.state import State, admits, arrive, leave
from entropy.placement.metric import Metric
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["descend", "go_home"]

_TRIED = 6
"""VMs of a node that are asked in turn to make room."""


@kernel
def go_home(vms: Indices, home: Indices, enter: Bools, state: State) -> int:
    """Each of ``vms`` returns to ``home`` where that is a node of ``enter`` and admits it; how many did."""
    returned = 0
    for v in vms:
        n, was = int(home[v]), int(state.host[v])
        if n < 0 or was == n or not enter[n]:
            continue
        if was >= 0:
            leave(v, state)
        if admits(v, n, state):
            arrive(v, n, state)
            returned += 1
        elif was >= 0:
            arrive(v, was, state)
    return returned


@kernel
def descend(vms: Indices, home: Indices, weight: Integers, movable: Bools, state: State, metric: Metric, index: Index, passes: int) -> int:
    """Moved VMs return home, also where a cheaper one must make room: one that has moved anyway, or one that is lighter.

    The one that makes room goes to another open node, the place just left included (a swap).  ``vms``: the moved ones, heaviest first;
    gone through at most ``passes`` times, while something is gained.  Returns the memory that no longer moves.
    """
    arrange(state.free, metric.share, index)
    gained = 0
    for _ in range(passes):
        before = gained
        for v in vms:
            n, was = int(home[v]), int(state.host[v])
            if was == n or was < 0 or not index.open[n] or not state.domains[state.domain_of[v], n]:
                continue
            leave(v, state)
            refresh(was, state.free, metric.share, index)
            won = _return(v, n, home, weight, movable, state, metric, index)
            if won < 0:
                arrive(v, was, state)
                refresh(was, state.free, metric.share, index)
            else:
                gained += won
        if gained == before:
            break
    return gained


@kernel
def _return(v: int, n: int, home: Indices, weight: Integers, movable: Bools, state: State, metric: Metric, index: Index) -> int:
    """VM v, which is nowhere, goes home to node n; what that gains, -1 if it cannot be had for less than it is worth."""
    free, demand, share = state.free, state.demand, metric.share
    if admits(v, n, state):
        arrive(v, n, state)
        refresh(n, free, share, index)
        return int(weight[v])
    last_cost, last = -1, -1  # cheapest first, ties by index
    for _ in range(_TRIED):
        best, best_cost = -1, weight[v]
        u = int(state.first[n])
        while u >= 0:
            cost = 0 if home[u] != n else weight[u]
            later = cost > last_cost or (cost == last_cost and u > last)
            if movable[u] and later and (cost < best_cost or (best >= 0 and cost == best_cost and u < best)):
                enough = True
                for r in range(demand.shape[1]):
                    if free[n, r] + demand[u, r] < demand[v, r]:
                        enough = False
                        break
                if enough:
                    best, best_cost = u, cost
            u = int(state.after[u])
        if best < 0:
            return -1
        last_cost, last = best_cost, best
        leave(best, state)
        if admits(v, n, state):
            arrive(v, n, state)
            refresh(n, free, share, index)
            to = int(home[best])
            if to < 0 or to == n or not index.open[to] or not admits(best, to, state):
                to = seek(best, state, metric, index)
            if to >= 0:
                arrive(best, to, state)
                refresh(to, free, share, index)
                return int(weight[v]) - int(best_cost) + (int(weight[best]) if to == home[best] else 0)
            leave(v, state)
        arrive(best, n, state)
        refresh(n, free, share, index)
    return -1
