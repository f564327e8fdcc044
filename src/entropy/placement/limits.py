"""Group limits as compressed rows, the form that kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.problem.problem import GroupLimit, Indices, Problem

__all__ = ["LimitArrays", "limit_arrays", "tally_for"]


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
    scopes: dict[bytes, int] = {}
    zones: list[Indices] = []
    members = [g.members[runs[g.members]] for g in problem.limits]
    scope_of = [_scope(g, scopes, zones) for g in problem.limits]
    of_vm: list[list[int]] = [[] for _ in range(problem.n_vms)]
    for g, vms in enumerate(members):
        for v in vms:
            of_vm[v].append(g)
    return LimitArrays(
        vm_start=_starts([len(x) for x in of_vm]),
        vm_limits=np.array([g for x in of_vm for g in x], dtype=np.int32),
        limit_start=_starts([len(x) for x in members]),
        limit_members=np.concatenate(members) if members else np.zeros(0, dtype=np.int32),
        scope_of=np.array(scope_of, dtype=np.int32),
        zones=np.stack(zones) if zones else np.zeros((1, problem.n_nodes), dtype=np.int32),
        most=np.array([g.most for g in problem.limits], dtype=np.int32),
    )


def tally_for(limits: LimitArrays) -> Indices:
    """Scratch space of ``kernels.fit``: int32[most groups of one VM, most zones], zero."""
    groups = int(np.diff(limits.vm_start).max(initial=0))
    return np.zeros((max(groups, 1), int(limits.zones.max(initial=0)) + 1), dtype=np.int32)


def _scope(limit: GroupLimit, scopes: dict[bytes, int], zones: list[Indices]) -> int:
    key = limit.zone_of.tobytes()
    if key not in scopes:
        scopes[key] = len(zones)
        zones.append(limit.zone_of)
    return scopes[key]


def _starts(lengths: list[int]) -> Indices:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int32)
