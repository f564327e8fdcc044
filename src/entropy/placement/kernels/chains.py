"""Ejection chains: a VM that finds no room takes the place of a smaller one, which goes elsewhere (Glover 1996)."""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.kernels.index import Index, nearest, refresh, seek
from entropy.placement.kernels.state import State, admits, arrive, leave
from entropy.placement.metric import Floats, Metric
from entropy.problem.problem import Bools, Indices

__all__ = ["house", "undo"]

DEPTH = 3
"""VMs that one newcomer may displace, each by the one before."""
_TRIED = 3
"""VMs of a node that are tried in turn."""


@kernel
def house(v: int, chains: bool, state: State, movable: Bools, metric: Metric, index: Index, log: Indices, logged: int) -> int:
    """Place VM v, which is nowhere; where it finds no room and ``chains`` are wanted, by displacing others.

    ``log`` int32[L, 2] is given (VM, node it was on, -1 for nowhere) of each move, from ``logged`` on.  Returns the length of the log,
    or -1: no place, and nothing was changed.
    """
    began = logged
    while True:
        if logged >= len(log):
            break
        n = seek(v, state, metric, index)
        if n >= 0:
            arrive(v, n, state)
            refresh(n, state.free, metric.share, index)
            log[logged, 0], log[logged, 1] = v, -1
            return logged + 1
        if not chains or logged - began >= 2 * DEPTH or logged + 2 > len(log):
            break
        u = _displace(v, state, movable, metric, index, log, logged)
        if u < 0:
            break
        logged += 2
        v = u
    undo(began, logged, state, metric.share, index, log)
    return -1


@kernel
def _displace(v: int, state: State, movable: Bools, metric: Metric, index: Index, log: Indices, logged: int) -> int:
    """VM v takes the place of a smaller one, best of one that finds room at once; that one, now nowhere, or -1.  Two log entries."""
    demand, free, share = state.demand, state.free, metric.share
    n_resources = demand.shape[1]
    found = nearest(v, state, share, index)
    smallest, at, smallest_size = -1, -1, 0.0
    for k in range(found):
        n = int(index.near[k])
        mine = 0.0
        for r in range(n_resources):
            mine += demand[v, r] * share[n, r]
        floor = 0.0  # sizes tried so far on this node
        for _ in range(_TRIED):
            best, best_size = -1, mine
            u = int(state.first[n])
            while u >= 0:
                if movable[u]:
                    size, enough = 0.0, True
                    for r in range(n_resources):
                        size += demand[u, r] * share[n, r]
                        if free[n, r] + demand[u, r] < demand[v, r]:
                            enough = False
                            break
                    if enough and floor < size < best_size:
                        best, best_size = u, size
                u = int(state.after[u])
            if best < 0:
                break
            floor = best_size
            leave(best, state)
            if admits(v, n, state):
                arrive(v, n, state)
                refresh(n, free, share, index)
                if seek(best, state, metric, index) >= 0:
                    log[logged, 0], log[logged, 1] = best, n
                    log[logged + 1, 0], log[logged + 1, 1] = v, -1
                    return best
                leave(v, state)
                if smallest < 0 or best_size < smallest_size:
                    smallest, at, smallest_size = best, n, best_size
            arrive(best, n, state)
            refresh(n, free, share, index)
    if smallest < 0:
        return -1
    leave(smallest, state)
    arrive(v, at, state)
    refresh(at, free, share, index)
    log[logged, 0], log[logged, 1] = smallest, at
    log[logged + 1, 0], log[logged + 1, 1] = v, -1
    return smallest


@kernel
def undo(began: int, logged: int, state: State, share: Floats, index: Index, log: Indices) -> None:
    """Take back the moves of the log from ``began`` on, the last first; a VM that came from nowhere is nowhere again."""
    for k in range(logged - 1, began - 1, -1):
        v, was = int(log[k, 0]), int(log[k, 1])
        if state.host[v] >= 0:
            refresh(leave(v, state), state.free, share, index)
        if was >= 0:
            arrive(v, was, state)
            refresh(was, state.free, share, index)
