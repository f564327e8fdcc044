"""What the way to a placement must respect beside what scheduling counts itself: domains on the way.

Who enters anywhere on the way enters the zone that the plan gathers his group in (see ``problem.togetherness``: a group that is kept now
never leaves its zone).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from entropy.placement.narrowing import Narrowing
from entropy.problem.matching import dearest_matching
from entropy.problem.problem import Indices, Problem, Together
from entropy.problem.togetherness import zones_that_hold

__all__ = ["on_the_way"]


def on_the_way(problem: Problem, host: Indices) -> Problem:
    """``problem`` for scheduling the way to ``host`` int32[V] (where each VM runs, or its image lies, at the end)."""
    ends = np.where(problem.runs_at_end(), host, -1).astype(np.int32)
    groups = [group for group in problem.together if group.continuous]
    if not groups:
        return problem
    paths = Narrowing(replace(problem, domain_of=problem.path_of))
    _gather(paths, groups, ends)
    narrowed = paths.problem()
    return replace(problem, domains=narrowed.domains, path_of=narrowed.domain_of)


def _gather(paths: Narrowing, groups: list[Together], ends: Indices) -> None:
    families: dict[int, list[Together]] = {}
    for k, group in enumerate(groups):
        families.setdefault(group.family if group.family >= 0 else -1 - k, []).append(group)
    for family in families.values():
        family = [group for group in family if (ends[group.members] >= 0).any()]
        for group, zone in zip(family, _zones(family, ends, paths.nodes), strict=True):
            if zone >= 0:
                mask = np.zeros(paths.nodes, dtype=np.bool_)
                mask[group.zone_nodes[group.zone_start[zone] : group.zone_start[zone + 1]]] = True
                paths.narrow(group.members, mask, ("zone", mask.tobytes()))


def _zones(family: list[Together], ends: Indices, nodes: int) -> Indices:
    """A zone for each group, all different, -1 for none."""
    if not family:
        return np.zeros(0, dtype=np.int32)
    worth = np.full((len(family), max(len(group.zone_start) for group in family) - 1), -1, dtype=np.int64)
    for k, group in enumerate(family):
        there = ends[group.members]
        hold = zones_that_hold(group, there[there >= 0], nodes)
        worth[k, : len(hold)] = np.where(hold, 1, -1)
    return dearest_matching(worth)
