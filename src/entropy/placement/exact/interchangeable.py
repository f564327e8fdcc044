"""Nodes that differ in nothing but their name: of two, the first is used first, which leaves one solution where there were many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from entropy.problem.problem import Bools, Indices, Integers, Problem

__all__ = ["interchangeable"]


def interchangeable(problem: Problem, vms: Indices, nodes: Indices, distinguished: Bools, node_cost: Integers) -> list[Indices]:
    """Classes of two or more of ``nodes`` that may change places in every placement of ``vms``: nothing about it would change.

    ``distinguished`` bool[N]: nodes that are like no other, since a VM stays there or calls it home.
    """
    free = nodes[~distinguished[nodes]]
    if len(free) < 2:
        return []
    label = np.unique(np.column_stack((node_cost[free], problem.capacity[free], problem.offered[free])), axis=0, return_inverse=True)[
        1
    ].ravel()
    seen: set[tuple[object, ...]] = set()
    for key, column in _features(problem, vms, free):
        if key not in seen:
            seen.add(key)
            label = np.unique(label * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1].ravel()
    order = np.argsort(label, kind="stable")
    classes = np.split(free[order], np.flatnonzero(np.diff(label[order])) + 1)
    return [np.asarray(alike, dtype=np.int32) for alike in classes if len(alike) > 1]


def _features(problem: Problem, vms: Indices, nodes: Indices) -> Iterator[tuple[tuple[object, ...], Integers]]:
    """(key, a number for each node): what tells nodes apart; the same key, the same numbers."""
    inside = np.zeros(problem.n_vms, dtype=np.bool_)
    inside[vms] = True
    for row in np.unique(problem.domain_of[vms]):
        yield ("domain", row), problem.domains[row, nodes].astype(np.int64)
    for limit in problem.limits:
        if inside[limit.members].any():
            yield ("limit", id(limit.zone_of)), _zones(limit.zone_of, nodes)
    for group in problem.together:
        if inside[group.members].any() or group.family >= 0:
            sizes = np.diff(group.zone_start)
            for k in np.flatnonzero(sizes > 1):
                zone = group.zone_nodes[group.zone_start[k] : group.zone_start[k + 1]]
                yield ("together", id(group.zone_nodes), k), np.isin(nodes, zone).astype(np.int64)
            alone = group.zone_nodes[np.repeat(sizes, sizes) == 1]  # zones of one node differ in nothing but their name either
            yield ("together", id(group.zone_nodes)), np.bincount(alone, minlength=problem.n_nodes)[nodes]
    for within in (*(rule.nodes for rule in problem.set_limits), *(rule.nodes for rule in problem.usage_limits)):
        yield ("set", id(within)), np.isin(nodes, within).astype(np.int64)
    for preference in problem.preferences:
        if inside[preference.members].any():
            yield ("mask", id(preference.mask)), preference.mask[nodes].astype(np.int64)


def _zones(zone_of: Indices, nodes: Indices) -> Integers:
    """Zone of each node, the same number for all zones of one node."""
    size = np.bincount(zone_of)
    zones = zone_of[nodes].astype(np.int64)
    return np.where(size[zones] == 1, 0, zones + 1)
