"""Repair: only what is misplaced moves.

The cheapest VMs whose departure ends each overload, VMs that may not stay, members of groups above their limit and VMs that must
start are taken out and placed where most room is left, on nodes that nothing leaves first (such moves wait for nothing).  What finds
no room is settled by the exact model on a neighbourhood that widens until it suffices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.bounds import observed_hosts
from entropy.placement.metric import best_fit, widest_fit
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Problem, positions

__all__ = ["misplaced", "repair"]

Widen = Callable[[Working, Indices], bool]


def misplaced(problem: Problem, cheapest: dict[int, Indices]) -> Indices:
    """VMs to place: cheapest leavers of each node, surplus members of groups, and VMs that run nowhere yet."""
    host = observed_hosts(problem)
    runs = problem.runs_at_end()
    out = {int(v) for vms in cheapest.values() for v in vms} | set(positions(runs & (host < 0)).tolist())
    for limit in problem.limits:
        zones: dict[int, list[int]] = {}
        for v in limit.members:
            if runs[v] and host[v] >= 0 and int(v) not in out:
                zones.setdefault(int(limit.zone_of[host[v]]), []).append(int(v))
        for members in zones.values():
            surplus = len(members) - limit.most
            if surplus > 0:
                leavers = [v for v in members if not problem.held[v]]
                out.update(sorted(leavers, key=lambda v: (int(problem.weight[v]), v))[:surplus])
    return np.array(sorted(out), dtype=np.int32)


def repair(working: Working, cheapest: dict[int, Indices], widen: Widen) -> Indices:
    """Make ``working`` viable; returns the VMs that found no node (none: viable)."""
    problem = working.problem
    vms = misplaced(problem, cheapest)
    working.take_out(vms)
    back_home(working, vms)  # a cheapest set may be larger than needed once others have left
    vms = vms[working.host[vms] < 0]
    if not len(vms):
        return vms
    sources = np.zeros(problem.n_nodes, dtype=np.bool_)
    sources[list(cheapest)] = True
    everywhere, order = np.ones_like(sources), working.largest_first(vms)
    before = working.copy()
    for metric in (widest_fit(problem, everywhere), best_fit(problem, everywhere)):
        # spreading out uses up the large gaps: where it fails, once more from the start, filling gaps instead
        working.host[:], working.free[:] = before.host, before.free
        for open_nodes in (~sources, everywhere):
            left = order[working.host[order] < 0]
            if not working.fit(left, open_nodes, metric):
                return left[:0]
    left = order[working.host[order] < 0]
    if widen(working, left):
        return left[:0]
    return order[working.host[order] < 0]


def back_home(working: Working, vms: Indices) -> None:
    """VMs that are nowhere return to the node where they run now, heaviest first, where everything still fits there."""
    problem = working.problem
    home = observed_hosts(problem)
    for v in vms[np.argsort(-problem.weight[vms], kind="stable")]:
        n = int(home[v])
        if n < 0 or working.host[v] >= 0 or not problem.domains[problem.domain_of[v], n]:
            continue
        if np.all(problem.demand[v] <= working.free[n]) and zone_has_room(working, int(v), n):
            working.put(int(v), n)


def zone_has_room(working: Working, vm: int, node: int) -> bool:
    """Would every group of ``vm`` keep its limit if it ran on ``node``?"""
    limits = working.limits
    for i in range(limits.vm_start[vm], limits.vm_start[vm + 1]):
        g = limits.vm_limits[i]
        zone = limits.zones[limits.scope_of[g]]
        members = limits.limit_members[limits.limit_start[g] : limits.limit_start[g + 1]]
        hosts = working.host[members[members != vm]]
        if int((zone[hosts[hosts >= 0]] == zone[node]).sum()) >= limits.most[g]:
            return False
    return True
