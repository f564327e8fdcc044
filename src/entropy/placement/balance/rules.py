"""The problem as balancing sees it: rules that kernels do not follow, and soft ones, made such that they cannot come to harm.

What is kept stays kept, and no soft rule is broken further, whatever moves: a soft limit admits nobody beyond it, as a hard one; a group
that is together stays in the zone that holds most of it, and whoever is where a preference wants him stays there.  That forbids more than
the rules do; the exact search over neighbourhoods knows no such narrowing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from entropy.placement.narrowing import Narrowing
from entropy.problem.problem import Bools, Indices, Problem, Together

__all__ = ["guarded"]


def guarded(problem: Problem, host: Indices) -> Problem:
    """``problem`` in which every placement that the kernels reach from ``host`` int32[V] breaks soft rules no more than ``host`` does."""
    narrowing = Narrowing(problem)
    for k, group in enumerate(problem.together):
        zone = _zone(group, host, problem.n_nodes)
        members = group.members[host[group.members] >= 0]
        narrowing.narrow(members[zone[host[members]]], zone, ("together", k))
    for k, wish in enumerate(problem.preferences):
        members = wish.members[host[wish.members] >= 0]
        narrowing.narrow(members[wish.mask[host[members]]], wish.mask, ("preference", k))
    return replace(
        narrowing.problem(),
        limits=tuple(replace(limit, weight=0) for limit in problem.limits),
        together=(),
        disjoint=tuple(replace(rule, weight=0) for rule in problem.disjoint),
        set_limits=tuple(replace(limit, weight=0) for limit in problem.set_limits),
        usage_limits=tuple(replace(limit, weight=0) for limit in problem.usage_limits),
        preferences=(),
    )


def _zone(group: Together, host: Indices, nodes: int) -> Bools:
    """bool[N]: the zone that holds most members."""
    members = group.members[host[group.members] >= 0]
    best, within = np.zeros(nodes, dtype=np.bool_), -1
    for a, b in zip(group.zone_start[:-1], group.zone_start[1:], strict=True):
        mask = np.zeros(nodes, dtype=np.bool_)
        mask[group.zone_nodes[a:b]] = True
        if (count := int(mask[host[members]].sum())) > within:
            best, within = mask, count
    return best
