"""Emptying nodes into the others."""

from __future__ import annotations

from entropy.placement.jit import kernel
from entropy.placement.limits import LimitArrays
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["empty_nodes"]


@kernel
def empty_nodes(
    nodes: Indices,
    node_start: Indices,
    node_vms: Indices,
    movable: Bools,
    host: Indices,
    free: Integers,
    demand: Integers,
    domains: Bools,
    domain_of: Indices,
    used: Bools,
    price: Floats,
    limits: LimitArrays,
) -> int:
    """Empty each node of ``nodes`` in turn into the other used ones, best fit, where all its VMs find room; else leave it.

    ``node_vms[node_start[k]:node_start[k + 1]]`` are the VMs of ``nodes[k]``, largest first.  Returns how many were emptied.
    """
    vm_start, vm_limits, limit_start, limit_members, scope_of, zones, most = limits
    emptied = 0
    n_resources = demand.shape[1]
    for k in range(len(nodes)):
        home = nodes[k]
        placed, ok = node_start[k], True
        for p in range(node_start[k], node_start[k + 1]):
            v = node_vms[p]
            best, best_room = -1, 0.0
            if movable[v]:
                for n in range(free.shape[0]):
                    if n == home or not used[n] or not domains[domain_of[v], n]:
                        continue
                    room, fits = 0.0, True
                    for r in range(n_resources):
                        rest = free[n, r] - demand[v, r]
                        if rest < 0:
                            fits = False
                            break
                        room += rest * price[n, r]
                    if not fits or (best >= 0 and room >= best_room):
                        continue
                    for i in range(vm_start[v], vm_start[v + 1]):
                        g = vm_limits[i]
                        z, there = zones[scope_of[g], n], 0
                        for j in range(limit_start[g], limit_start[g + 1]):
                            m = limit_members[j]
                            if m != v and host[m] >= 0 and zones[scope_of[g], host[m]] == z:
                                there += 1
                        if there >= most[g]:
                            fits = False
                            break
                    if fits:
                        best, best_room = n, room
            if best < 0:
                ok = False
                break
            host[v] = best
            for r in range(n_resources):
                free[best, r] -= demand[v, r]
                free[home, r] += demand[v, r]
            placed = p + 1
        if ok:
            used[home] = False
            emptied += 1
            continue
        for p in range(node_start[k], placed):
            v = node_vms[p]
            for r in range(n_resources):
                free[host[v], r] += demand[v, r]
                free[home, r] -= demand[v, r]
            host[v] = home
    return emptied
