"""Fit VMs into nodes, one after another."""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.kernels.index import Index, arrange, refresh, seek
from entropy.placement.kernels.state import State, arrive
from entropy.placement.metric import Metric
from entropy.problem.problem import Indices, Integers

__all__ = ["fit"]


@kernel
def fit(order: Indices, state: State, metric: Metric, index: Index, failed: Integers) -> int:
    """Place each VM of ``order`` on the open node where ``metric`` rates what is left over least.

    Returns how many found no node; their host stays -1.  ``failed`` int64[D] is scratch: -1, or a VM of the domain that found no room.
    """
    demand, rules = state.demand, state.rules
    n_resources = demand.shape[1]
    arrange(state.free, metric.share, index)
    placed, left_out = 0, 0
    for v in order:
        row = int(state.domain_of[v])
        u = int(failed[row])
        if u >= 0:  # nothing gets roomier: what is as large as one that found no room finds none either
            smaller = False
            for r in range(n_resources):
                if demand[v, r] < demand[u, r]:
                    smaller = True
                    break
            if not smaller:
                left_out += 1
                continue
        n = seek(v, state, metric, index)
        if n < 0:
            left_out += 1
            own = rules.vm_start[v] < rules.vm_start[v + 1] or rules.class_start[v] < rules.class_start[v + 1]
            if not own and not len(rules.set_most) and not len(rules.use_most):
                failed[row] = v  # for want of room only
            continue
        arrive(v, n, state)
        refresh(n, state.free, metric.share, index)
        placed += 1
        if 4 * placed > index.size[0] and index.size[1]:
            arrange(state.free, metric.share, index)  # neighbours are no longer alike
            placed = 0
    return left_out
