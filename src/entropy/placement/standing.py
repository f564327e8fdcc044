"""Soft rules as they stand: problems in which none is broken further, so that kernels, which know hard rules only, respect them."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from entropy.placement.narrowing import Narrowing
from entropy.placement.soft import soft_costs
from entropy.problem.problem import Bools, Disjoint, GroupLimit, Indices, Problem, SetLimit, State, Together, UsageLimit, positions
from entropy.problem.togetherness import zones_that_hold

__all__ = ["no_worse"]

Counted = TypeVar("Counted", SetLimit, UsageLimit)


def no_worse(problem: Problem, host: Indices) -> Problem:
    """``problem`` with such hard rules only as kernels know, whose every placement breaks each soft rule at most as far as ``host`` does.

    ``host`` int32[V] is viable.  A soft rule that it keeps is hard.  Of one that it breaks, the VMs stay where they are: they are held
    there, as if at home; sets of nodes may have what they have.  A group that is together keeps its zone.
    """
    broken = {id(rule): cost // rule.weight for rule, cost in soft_costs(problem, host)}
    pinned, narrowing = np.zeros(problem.n_vms, dtype=np.bool_), Narrowing(problem)
    limits: list[GroupLimit] = []
    for limit in problem.limits:
        if id(limit) in broken:
            pinned[limit.members] = True
        else:
            limits.append(replace(limit, weight=0))
    for group in problem.together:
        if id(group) in broken or group.family >= 0 or not _in_their_zone(group, host, narrowing):
            pinned[group.members] = True
    disjoint = []
    for rule in problem.disjoint:
        if id(rule) in broken:
            rule = _beside(rule, host, pinned, narrowing)
        disjoint.append(replace(rule, weight=0))
    for preference in problem.preferences:
        outside = (host[preference.members] >= 0) & ~preference.mask[host[preference.members]]
        pinned[preference.members[outside]] = True
        narrowing.narrow(preference.members[~outside], preference.mask, preference.mask.tobytes())
    pinned &= problem.runs_at_end() & (host >= 0)
    sets = tuple(_as_it_is(rule, broken) for rule in problem.set_limits)
    usage = tuple(_as_it_is(rule, broken) for rule in problem.usage_limits)
    return replace(
        narrowing.problem(),
        limits=tuple(limits),
        together=(),
        disjoint=tuple(disjoint),
        set_limits=sets,
        usage_limits=usage,
        preferences=(),
        held=problem.held | pinned,
        host=np.where(pinned, host, problem.host).astype(np.int32),
        state=np.where(pinned, State.RUNNING, problem.state).astype(np.int8),
    )


def _as_it_is(rule: Counted, broken: dict[int, int]) -> Counted:
    return replace(rule, weight=0, most=rule.most + broken.get(id(rule), 0)) if rule.weight else rule


def _in_their_zone(group: Together, host: Indices, narrowing: Narrowing) -> bool:
    """Keep ``group`` to the zone where it is; false where that is a single node."""
    there = host[group.members]
    holding = positions(zones_that_hold(group, there[there >= 0], narrowing.nodes))
    if not len(holding):
        return False
    zone = group.zone_nodes[group.zone_start[holding[0]] : group.zone_start[holding[0] + 1]]
    if len(zone) > 1:
        mask = np.zeros(narrowing.nodes, dtype=np.bool_)
        mask[zone] = True
        narrowing.narrow(group.members, mask, ("zone", mask.tobytes()))
    return len(zone) > 1


def _beside(rule: Disjoint, host: Indices, pinned: Bools, narrowing: Narrowing) -> Disjoint:
    """``rule`` for those beside the nodes that several classes share; who is on such a node stays, nobody else enters."""
    vms = positions((rule.class_of >= 0) & (host >= 0))
    pairs = np.unique(np.stack((host[vms], rule.class_of[vms]), axis=1), axis=0)
    node, count = np.unique(pairs[:, 0], return_counts=True)
    shared = np.zeros(narrowing.nodes, dtype=np.bool_)
    shared[node[count > 1]] = True
    there = vms[shared[host[vms]]]
    pinned[there] = True
    narrowing.narrow(vms[~shared[host[vms]]], ~shared, ("beside", shared.tobytes()))
    class_of = rule.class_of.copy()
    class_of[there] = -1
    return replace(rule, class_of=class_of)
