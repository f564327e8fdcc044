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
from entropy.problem.togetherness import counts

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
    there = host[group.members]
    mask = np.zeros(nodes, dtype=np.bool_)
    if len(within := counts(group, there[there >= 0], nodes)):
        zone = int(within.argmax())
        mask[group.zone_nodes[group.zone_start[zone] : group.zone_start[zone + 1]]] = True
    return mask
