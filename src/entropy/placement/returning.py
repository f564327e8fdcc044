"""VMs go back to where they run now: the move that costs nothing."""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds import observed_hosts
from entropy.placement.working import Working
from entropy.problem.problem import Indices

__all__ = ["back_home", "zone_has_room"]


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
