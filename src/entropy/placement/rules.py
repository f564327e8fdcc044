"""Hard rules as compressed rows, the form that kernels read (``kernels.state`` counts with them)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["Rules", "rule_arrays", "scopes"]


class Rules(NamedTuple):
    """Group limits, disjoint classes, limits of sets and of nodes in use; only hard ones, and only VMs that run at the end.

    Limits of VM v: ``vm_limits[vm_start[v]:vm_start[v + 1]]``; ``zones[scope_of[g], n]`` is the zone of node n for limit g, at most
    ``most[g]`` members in one zone.  Each limit and zone has a counter, number ``base[g] + zone``.
    Classes of VM v: rows ``class_start[v]:class_start[v + 1]``; counter ``all_base[row] + n`` counts the VMs on node n that the rule
    concerns, counter ``own_base[row] + n`` those of v's own class; they must be equal.
    Sets of node n: ``node_sets[set_start[n]:set_start[n + 1]]``, with ``amount`` int64[S, V] and ``set_most``; sets of which only so
    many nodes may be in use likewise: ``node_uses``, ``use_start``, ``use_most``.
    ``ruled``: the VMs that have counters; ``counters``: how many are counted at once, at most.
    """

    vm_start: Indices
    vm_limits: Indices
    scope_of: Indices
    zones: Indices
    most: Integers
    base: Integers
    class_start: Indices
    all_base: Integers
    own_base: Integers
    set_start: Indices
    node_sets: Indices
    amount: Integers
    set_most: Integers
    use_start: Indices
    node_uses: Indices
    use_most: Integers
    ruled: Indices
    counters: int


def rule_arrays(problem: Problem) -> Rules:
    """The problem's hard rules, for kernels."""
    runs = problem.runs_at_end()
    limits = [g for g in problem.limits if not g.weight]
    zones, scope_of = scopes([g.zone_of for g in limits], problem.n_nodes)
    base = _ends(g.zones for g in limits)
    vm_start, vm_limits = _by_first([g.members[runs[g.members]] for g in limits], problem.n_vms)
    class_start, all_base, own_base = _classes(problem, int(base[-1]))
    sets = [s for s in problem.set_limits if not s.weight]
    set_start, node_sets = _by_first([s.nodes for s in sets], problem.n_nodes)
    uses = [u for u in problem.usage_limits if not u.weight]
    use_start, node_uses = _by_first([u.nodes for u in uses], problem.n_nodes)
    ruled = np.flatnonzero((np.diff(vm_start) > 0) | (np.diff(class_start) > 0)).astype(np.int32)
    return Rules(
        vm_start=vm_start,
        vm_limits=vm_limits,
        scope_of=scope_of,
        zones=zones,
        most=np.array([g.most for g in limits], dtype=np.int64),
        base=base,
        class_start=class_start,
        all_base=all_base,
        own_base=own_base,
        set_start=set_start,
        node_sets=node_sets,
        amount=np.stack([s.amount for s in sets]).astype(np.int64) if sets else np.zeros((0, 0), dtype=np.int64),
        set_most=np.array([s.most for s in sets], dtype=np.int64),
        use_start=use_start,
        node_uses=node_uses,
        use_most=np.array([u.most for u in uses], dtype=np.int64),
        ruled=ruled,
        counters=len(vm_limits) + 2 * len(all_base),
    )


def _classes(problem: Problem, first: int) -> tuple[Indices, Integers, Integers]:
    """Rows of ``Rules``: where each VM's begin, and the first counter of the rule and of the class; counters from ``first`` on."""
    runs = problem.runs_at_end()
    members, all_base, own_base = [], [], []
    for rule in problem.disjoint:
        if rule.weight:
            continue
        concerned = np.flatnonzero((rule.class_of >= 0) & runs).astype(np.int32)
        _, number = np.unique(rule.class_of[concerned], return_inverse=True)
        members.append(concerned)
        all_base.append(np.full(len(concerned), first, dtype=np.int64))
        own_base.append(first + (1 + number.astype(np.int64)) * problem.n_nodes)
        first += (2 + int(number.max(initial=0))) * problem.n_nodes
    vms = np.concatenate(members) if members else np.zeros(0, dtype=np.int32)
    order = np.argsort(vms, kind="stable")
    start = np.searchsorted(vms[order], np.arange(problem.n_vms + 1)).astype(np.int32)
    rows = np.concatenate(all_base) if all_base else np.zeros(0, dtype=np.int64)
    own = np.concatenate(own_base) if own_base else np.zeros(0, dtype=np.int64)
    return start, rows[order], own[order]


def scopes(zone_of_limit: Sequence[Indices], n_nodes: int) -> tuple[Indices, Indices]:
    """(the distinct scopes int32[S, N], which of them each is); most limits share the same array."""
    by_id: dict[int, int] = {}
    by_content: dict[bytes, int] = {}
    table: list[Indices] = []
    which = []
    for zone_of in zone_of_limit:
        if id(zone_of) not in by_id:
            by_id[id(zone_of)] = by_content.setdefault(zone_of.tobytes(), len(table))
            if by_id[id(zone_of)] == len(table):
                table.append(zone_of)
        which.append(by_id[id(zone_of)])
    zones = np.stack(table).astype(np.int32) if table else np.zeros((1, n_nodes), dtype=np.int32)
    return np.ascontiguousarray(zones), np.array(which, dtype=np.int32)


def _by_first(rows: Sequence[npt.NDArray[np.int32]], size: int) -> tuple[Indices, Indices]:
    """``rows[k]`` lists things 0..size-1: (where each thing's begin, the k it is in)."""
    things = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    which = np.repeat(np.arange(len(rows), dtype=np.int32), [len(r) for r in rows])
    order = np.argsort(things, kind="stable")
    start = np.searchsorted(things[order], np.arange(size + 1)).astype(np.int32)
    return start, which[order]


def _ends(lengths: Iterable[int]) -> Integers:
    """0 and the running sums."""
    return np.concatenate(([0], np.cumsum(list(lengths), dtype=np.int64))).astype(np.int64)
