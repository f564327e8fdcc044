"""Group limits as compressed rows, with the members of each: the form that balancing reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.rules import scopes
from entropy.problem.problem import Indices, Problem

__all__ = ["LimitArrays", "limit_arrays"]


class LimitArrays(NamedTuple):
    """Groups of VM v: ``vm_limits[vm_start[v]:vm_start[v + 1]]``; members of group g likewise.

    ``zones[scope_of[g], n]`` is the zone of node n in the scope of group g; at most ``most[g]`` members in one zone.
    """

    vm_start: Indices
    vm_limits: Indices
    limit_start: Indices
    limit_members: Indices
    scope_of: Indices
    zones: Indices
    most: Indices


def limit_arrays(problem: Problem) -> LimitArrays:
    """The problem's group limits, for kernels; only members that run at the end count."""
    runs = problem.runs_at_end()
    members = [g.members[runs[g.members]] for g in problem.limits]
    flat = np.concatenate(members) if members else np.zeros(0, dtype=np.int32)
    which = np.repeat(np.arange(len(members), dtype=np.int32), [len(x) for x in members])
    order = np.argsort(flat, kind="stable")
    zones, scope_of = scopes([g.zone_of for g in problem.limits], problem.n_nodes)
    return LimitArrays(
        vm_start=np.searchsorted(flat[order], np.arange(problem.n_vms + 1)).astype(np.int32),
        vm_limits=which[order],
        limit_start=np.concatenate(([0], np.cumsum([len(x) for x in members], dtype=np.int64))).astype(np.int32),
        limit_members=flat,
        scope_of=scope_of,
        zones=zones,
        most=np.array([g.most for g in problem.limits], dtype=np.int32),
    )
