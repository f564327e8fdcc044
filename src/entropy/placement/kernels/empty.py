"""Emptying nodes into the others."""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.kernels.chains import house, undo
from entropy.placement.kernels.index import Index, arrange, refresh
from entropy.placement.kernels.state import State, leave
from entropy.placement.metric import Metric
from entropy.problem.problem import Bools, Indices

__all__ = ["empty_nodes"]


@kernel
def empty_nodes(
    nodes: Indices,
    size: Indices,
    movable: Bools,
    state: State,
    metric: Metric,
    index: Index,
    log: Indices,
    chains: bool,
    patience: int,
) -> int:
    """Empty each of ``nodes`` in turn into the other open ones where all its VMs find room; else leave it.  How many were emptied.

    ``size`` int32[V]: rank of each VM, the largest first.  With ``chains`` a VM may displace smaller ones.  Ends after ``patience``
    failures in a row.  An emptied node is no longer open.
    """
    emptied, failures = 0, 0
    arrange(state.free, metric.share, index)
    for home in nodes:
        if failures >= patience:
            break
        index.open[home] = False
        refresh(home, state.free, metric.share, index)
        logged, ok = 0, True
        while state.first[home] >= 0:
            v, best = int(state.first[home]), -1
            while v >= 0:
                if not movable[v]:
                    ok = False
                if best < 0 or size[v] < size[best]:
                    best = v
                v = int(state.after[v])
            if not ok or logged >= len(log):
                ok = False
                break
            leave(best, state)
            log[logged, 0], log[logged, 1] = best, home
            logged += 1
            longer = house(best, chains, state, movable, metric, index, log, logged)
            if longer < 0:
                ok = False
                break
            logged = longer
        if ok:
            emptied += 1
            failures = 0
            continue
        undo(0, logged, state, metric.share, index, log)
        index.open[home] = True
        refresh(home, state.free, metric.share, index)
        failures += 1
    return emptied
