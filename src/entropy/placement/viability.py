"""Does a placement keep every hard primitive?  Straight from their definitions, over arrays."""

from __future__ import annotations

import numpy as np

from entropy.problem.matching import all_different
from entropy.problem.problem import Bools, Indices, Problem
from entropy.problem.togetherness import zones_that_hold

__all__ = ["is_viable"]


def is_viable(problem: Problem, host: Indices) -> bool:
    """All that must run does, where it may, within capacities, and every hard rule is kept by ``host`` int32[V]."""
    runs = problem.runs_at_end()
    if (host[runs] < 0).any() or (host[~runs] >= 0).any():
        return False
    vms = np.flatnonzero(runs)
    at = host[vms]
    if not np.where(problem.held[vms], at == problem.host[vms], problem.domains[problem.domain_of[vms], at]).all():
        return False
    load = np.zeros_like(problem.capacity)
    np.add.at(load, at, problem.demand[vms])
    return bool((load <= problem.capacity).all()) and _keeps_rules(problem, host)


def _keeps_rules(problem: Problem, host: Indices) -> bool:
    for limit in problem.limits:
        there = host[limit.members]
        if not limit.weight and np.bincount(limit.zone_of[there[there >= 0]], minlength=1).max() > limit.most:
            return False
    if not _together(problem, host):
        return False
    for rule in problem.disjoint:
        concerned = np.flatnonzero((rule.class_of >= 0) & (host >= 0))
        pairs = np.unique(np.stack((host[concerned], rule.class_of[concerned]), axis=1), axis=0)
        if not rule.weight and len(pairs) > len(np.unique(pairs[:, 0])):
            return False
    for capacity in problem.set_limits:
        if not capacity.weight and int(capacity.amount[np.isin(host, capacity.nodes)].sum()) > capacity.most:
            return False
    return all(usage.weight or int(np.isin(usage.nodes, host).sum()) <= usage.most for usage in problem.usage_limits)


def _together(problem: Problem, host: Indices) -> bool:
    """Each group in one zone; groups of one family in different ones."""
    families: dict[int, list[Bools]] = {}
    for k, group in enumerate(problem.together):
        if group.weight:
            continue
        there = host[group.members]
        if len(there := there[there >= 0]):
            families.setdefault(group.family if group.family >= 0 else -1 - k, []).append(zones_that_hold(group, there, problem.n_nodes))
    return all(all_different(choices) for choices in families.values())
