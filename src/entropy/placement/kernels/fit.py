"""The hot loops: fit VMs into nodes under capacities, domains and group limits.

Plain loops over arrays, see ``jit``.  All amounts are integers.  ``host`` and ``free`` are changed in place; -1 is "nowhere".
Group limits come as compressed rows (``limits.LimitArrays``); the members of a VM's groups are counted per zone just before its
nodes are scanned, so that no table of groups x zones is kept.
"""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.limits import LimitArrays
from entropy.placement.metric import Metric
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["fit"]


@kernel
def fit(
    order: Indices,
    host: Indices,
    free: Integers,
    demand: Integers,
    domains: Bools,
    domain_of: Indices,
    open_nodes: Bools,
    metric: Metric,
    limits: LimitArrays,
    tally: Indices,
) -> int:
    """Place each VM of ``order`` on the open node where ``metric`` rates what is left over least.

    Returns how many found no node; their host stays -1.
    """
    vm_start, vm_limits, limit_start, limit_members, scope_of, zones, most = limits
    price, share, spare, scarcest, skew = metric
    left_out = 0
    n_resources = demand.shape[1]
    for v in order:
        for i in range(vm_start[v], vm_start[v + 1]):
            g = vm_limits[i]
            for j in range(limit_start[g], limit_start[g + 1]):
                m = limit_members[j]
                if m != v and host[m] >= 0:
                    tally[i - vm_start[v], zones[scope_of[g], host[m]]] += 1
        best, best_room = -1, 0.0
        for n in range(free.shape[0]):
            if not open_nodes[n] or not domains[domain_of[v], n]:
                continue
            room, fits = 0.0, True
            for r in range(n_resources):
                rest = free[n, r] - demand[v, r]
                if rest < 0:
                    fits = False
                    break
                room += rest * price[n, r]
            if not fits:
                continue
            if skew > 0.0:
                filled = (free[n, scarcest] - demand[v, scarcest]) * share[n, scarcest]
                for r in range(n_resources):
                    if r != scarcest:
                        off = (free[n, r] - demand[v, r]) * share[n, r] - (spare[r] + (1.0 - spare[r]) * filled)
                        room += skew * off if off > 0.0 else -3.0 * skew * off
            if best >= 0 and room >= best_room:
                continue
            for i in range(vm_start[v], vm_start[v + 1]):
                g = vm_limits[i]
                if tally[i - vm_start[v], zones[scope_of[g], n]] >= most[g]:
                    fits = False
                    break
            if fits:
                best, best_room = n, room
        for i in range(vm_start[v], vm_start[v + 1]):
            g = vm_limits[i]
            for j in range(limit_start[g], limit_start[g + 1]):
                m = limit_members[j]
                if m != v and host[m] >= 0:
                    tally[i - vm_start[v], zones[scope_of[g], host[m]]] = 0
        host[v] = best
        if best < 0:
            left_out += 1
            continue
        for r in range(n_resources):
            free[best, r] -= demand[v, r]
    return left_out
