"""Soft violation: what the soft rules that a placement breaks cost."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Indices, Problem, Together

__all__ = ["soft_violation"]


def soft_violation(problem: Problem, host: Indices) -> int:
    """Sum over the soft primitives of weight x how far each is broken by ``host`` int32[V] (see each primitive)."""
    cost = 0
    for limit in problem.limits:
        if limit.weight:
            zones = limit.zone_of[_hosts(host, limit.members)]
            cost += limit.weight * int(np.maximum(np.bincount(zones) - limit.most, 0).sum()) if len(zones) else 0
    for group in problem.together:
        if group.weight:
            cost += group.weight * _outside(group, _hosts(host, group.members))
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


def _outside(group: Together, hosts: Indices) -> int:
    """Members outside the zone that holds most of them."""
    if not len(hosts):
        return 0
    zones = (group.zone_nodes[a:b] for a, b in zip(group.zone_start[:-1], group.zone_start[1:], strict=True))
    return len(hosts) - max((int(np.isin(hosts, nodes).sum()) for nodes in zones), default=0)
