"""Soft violation: what the soft rules that a placement breaks cost; and problems in which they are hard, or are not asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from entropy.placement.narrowing import Narrowing
from entropy.problem.matching import dearest_matching
from entropy.problem.problem import (
    Disjoint,
    GroupLimit,
    Indices,
    Integers,
    Preference,
    Problem,
    SetLimit,
    Together,
    UsageLimit,
)
from entropy.problem.togetherness import counts

__all__ = ["Soft", "hardened", "soft_costs", "soft_violation", "without_soft"]


class _Weighed(Protocol):
    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=_Weighed)


Soft = GroupLimit | Together | Disjoint | SetLimit | UsageLimit | Preference


def soft_violation(problem: Problem, host: Indices) -> int:
    """Sum over the soft primitives of weight x how far each is broken by ``host`` int32[V] (see each primitive).

    Only VMs that run at the end count, wherever ``host`` has the images of others.
    """
    return sum(cost for _, cost in soft_costs(problem, host)) if problem.has_soft else 0


def soft_costs(problem: Problem, host: Indices) -> Iterator[tuple[Soft, int]]:
    """(primitive, what it costs) for every soft primitive that ``host`` breaks."""
    host = np.where(problem.runs_at_end(), host, -1).astype(np.int32)
    for rule, excess in (*_counted(problem, host), *_apart(problem, host)):
        if excess > 0:
            yield rule, rule.weight * excess


def _counted(problem: Problem, host: Indices) -> Iterator[tuple[Soft, int]]:
    """How far each soft rule is broken that judges VMs or nodes one by one."""
    for limit in problem.limits:
        if limit.weight and len(zones := limit.zone_of[_hosts(host, limit.members)]):
            yield limit, int(np.maximum(np.bincount(zones) - limit.most, 0).sum())
    for rule in problem.disjoint:
        if rule.weight:
            concerned = np.flatnonzero((rule.class_of >= 0) & (host >= 0))
            pairs = np.unique(np.stack((host[concerned], rule.class_of[concerned]), axis=1), axis=0)
            yield rule, len(pairs) - len(np.unique(pairs[:, 0]))
    for capacity in problem.set_limits:
        if capacity.weight:
            yield capacity, int(capacity.amount[np.isin(host, capacity.nodes)].sum()) - capacity.most
    for usage in problem.usage_limits:
        if usage.weight:
            yield usage, int(np.isin(usage.nodes, host).sum()) - usage.most
    for preference in problem.preferences:
        yield preference, int((~preference.mask[_hosts(host, preference.members)]).sum())


def _hosts(host: Indices, members: Indices) -> Indices:
    there = host[members]
    return there[there >= 0]


def _apart(problem: Problem, host: Indices) -> Iterator[tuple[Soft, int]]:
    """VMs outside of their group's zone: the best zone, or where a family wants different ones, the best choice of these."""
    families: dict[int, list[tuple[Together, Integers]]] = {}
    for group in problem.together:
        if group.weight or group.family >= 0:
            hosts = _hosts(host, group.members)
            inside = counts(group, hosts, problem.n_nodes)
            if group.family >= 0:
                families.setdefault(group.family, []).append((group, inside))
            else:
                yield group, len(hosts) - int(inside.max(initial=0))
    for family in families.values():
        if any(group.weight for group, _ in family):
            for (group, inside), zone in zip(family, _zones(family), strict=True):
                if group.weight:
                    yield group, len(_hosts(host, group.members)) - (int(inside[zone]) if zone >= 0 else 0)


def _zones(family: Sequence[tuple[Together, Integers]]) -> list[int]:
    """The zone of each group, all different, that leave least outside; hard groups have a zone that holds them all."""
    worth = np.full((len(family), max(len(inside) for _, inside in family)), -1, dtype=np.int64)
    huge = 1 + sum(group.weight * int(inside.sum()) for group, inside in family)
    for k, (group, inside) in enumerate(family):
        if group.weight:
            worth[k, : len(inside)] = inside * group.weight
        elif inside.any():
            worth[k, : len(inside)] = np.where(inside == inside.max(), huge, -1)
    return [int(zone) for zone in dearest_matching(worth)]


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
