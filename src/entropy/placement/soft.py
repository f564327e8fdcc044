"""Soft violation: what the soft rules that a placement breaks cost; and problems in which they are hard, or are not asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from entropy.placement.matching import dearest_matching
from entropy.placement.narrowing import Narrowing
from entropy.problem.problem import Indices, Integers, Problem, Together

__all__ = ["hardened", "soft_violation", "without_soft"]


class _Weighed(Protocol):
    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=_Weighed)


def soft_violation(problem: Problem, host: Indices) -> int:
    """Sum over the soft primitives of weight x how far each is broken by ``host`` int32[V] (see each primitive).

    Only VMs that run at the end count, wherever ``host`` has the images of others.
    """
    cost, host = 0, np.where(problem.runs_at_end(), host, -1).astype(np.int32)
    for limit in problem.limits:
        if limit.weight:
            zones = limit.zone_of[_hosts(host, limit.members)]
            cost += limit.weight * int(np.maximum(np.bincount(zones) - limit.most, 0).sum()) if len(zones) else 0
    cost += _apart(problem, host)
    for rule in problem.disjoint:
        if rule.weight:
            concerned = np.flatnonzero((rule.class_of >= 0) & (host >= 0))
            pairs = np.unique(np.stack((host[concerned], rule.class_of[concerned]), axis=1), axis=0)
            cost += rule.weight * (len(pairs) - len(np.unique(pairs[:, 0])))
    for capacity in problem.set_limits:
        if capacity.weight:
            total = int(capacity.amount[np.isin(host, capacity.nodes)].sum())
            cost += capacity.weight * max(total - capacity.most, 0)
    for usage in problem.usage_limits:
        if usage.weight:
            cost += usage.weight * max(int(np.isin(usage.nodes, host).sum()) - usage.most, 0)
    for preference in problem.preferences:
        cost += preference.weight * int((~preference.mask[_hosts(host, preference.members)]).sum())
    return cost


def _hosts(host: Indices, members: Indices) -> Indices:
    there = host[members]
    return there[there >= 0]


def _apart(problem: Problem, host: Indices) -> int:
    """What VMs outside of their group's zone cost: the best zone, or where a family wants different ones, the best choice of these."""
    cost = 0
    families: dict[int, list[tuple[Together, Integers]]] = {}
    for group in problem.together:
        if group.weight or group.family >= 0:
            hosts = _hosts(host, group.members)
            inside = _counts(group, hosts)
            if group.family >= 0:
                families.setdefault(group.family, []).append((group, inside))
                cost += group.weight * len(hosts)
            else:
                cost += group.weight * (len(hosts) - int(inside.max(initial=0)))
    for family in families.values():
        if any(group.weight for group, _ in family):
            cost -= _saved(family)
    return cost


def _saved(family: Sequence[tuple[Together, Integers]]) -> int:
    """What the VMs inside the zones of their groups would cost outside; hard groups have the zone that holds them all."""
    zones = max(len(inside) for _, inside in family)
    worth = np.full((len(family), zones), -1, dtype=np.int64)
    huge = 1 + sum(group.weight * int(inside.sum()) for group, inside in family)
    for k, (group, inside) in enumerate(family):
        if group.weight:
            worth[k, : len(inside)] = inside * group.weight
        elif inside.any():
            worth[k, : len(inside)] = np.where(inside == inside.max(), huge, -1)
    chosen = dearest_matching(worth)
    return sum(int(worth[k, z]) for k, z in enumerate(chosen) if z >= 0 and family[k][0].weight)


def _counts(group: Together, hosts: Indices) -> Integers:
    """int64[Z]: how many of ``hosts`` are in each zone."""
    if not len(hosts):
        return np.zeros(len(group.zone_start) - 1, dtype=np.int64)
    weight = np.bincount(hosts, minlength=int(group.zone_nodes.max(initial=0)) + 1)
    total = np.concatenate(([0], np.cumsum(weight[group.zone_nodes])))
    return np.asarray(total[group.zone_start[1:]] - total[group.zone_start[:-1]])


def hardened(problem: Problem) -> Problem:
    """``problem`` with every soft rule hard: where that has a placement, nothing is violated.  What is held is not asked to move."""
    narrowing = Narrowing(problem)
    for preference in problem.preferences:
        narrowing.narrow(preference.members, preference.mask, preference.mask.tobytes())
    return replace(
        narrowing.problem(),
        limits=_hard(problem.limits),
        together=_hard(problem.together),
        disjoint=_hard(problem.disjoint),
        set_limits=_hard(problem.set_limits),
        usage_limits=_hard(problem.usage_limits),
        preferences=(),
    )


def without_soft(problem: Problem) -> Problem:
    """``problem`` with its hard rules only."""
    return replace(
        problem,
        limits=tuple(rule for rule in problem.limits if not rule.weight),
        together=tuple(rule for rule in problem.together if not rule.weight),
        disjoint=tuple(rule for rule in problem.disjoint if not rule.weight),
        set_limits=tuple(rule for rule in problem.set_limits if not rule.weight),
        usage_limits=tuple(rule for rule in problem.usage_limits if not rule.weight),
        preferences=(),
    )


def _hard(rules: tuple[W, ...]) -> tuple[W, ...]:
    return tuple(replace(rule, weight=0) if rule.weight else rule for rule in rules)  # type: ignore[type-var]
