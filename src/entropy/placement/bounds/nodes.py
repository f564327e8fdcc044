"""Least cost of the nodes in use, proven, in milliseconds.

Per part of the cluster (see ``parts``): the volume of what must run; dual-feasible functions (see ``dual``).  Besides: so many zones as
the largest group needs that may only have few members in each.  Node bounds from column generation are in ``columns``.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds.classes import alike
from entropy.placement.bounds.cover import cover
from entropy.placement.bounds.dual import dual_bound
from entropy.placement.bounds.parts import Given, Part, given, partitions, usable_nodes
from entropy.problem.problem import Integers, Problem

__all__ = ["node_bound", "usable_nodes", "volume_bound"]

_COMBINED = 200_000
"""VMs up to which combinations of resources are weighed too."""


def node_bound(problem: Problem, node_cost: Integers) -> int:
    """Least total ``node_cost`` int64[N] (not negative) of the nodes in use at the end."""
    return _bound(problem, node_cost, dual=True)


def volume_bound(problem: Problem, node_cost: Integers) -> int:
    """As ``node_bound``, from volumes and group limits alone."""
    return _bound(problem, node_cost, dual=False)


def _bound(problem: Problem, node_cost: Integers, *, dual: bool) -> int:
    known = given(problem, node_cost)
    least = _groups(problem, known)
    for parts in partitions(problem, known):
        least = max(least, sum(_part(problem, known, part, dual) for part in parts))
    if known.base + least == 0 and problem.runs_at_end().any():
        usable = usable_nodes(problem)
        return int(node_cost[usable].min(initial=int(node_cost.max(initial=0))))
    return known.base + least


def _part(problem: Problem, known: Given, part: Part, dual: bool) -> int:
    """Least cost of nodes taken into use for ``part``."""
    room, cost, available = node_classes(known.room[part.nodes], known.cost[part.nodes])
    demand = problem.demand[part.vms]
    prices, counts = cost.tolist(), available.tolist()
    rooms = room.tolist()
    needed = demand.sum(axis=0)
    least = max((cover(int(needed[r]), [row[r] for row in rooms], prices, counts) for r in range(demand.shape[1])), default=0)
    if least == 0 and len(part.vms) and not (cost == 0).any():
        least = int(cost.min(initial=0))
    if dual and len(part.vms):
        least = max(least, dual_bound(demand, room, cost, available, combined=len(part.vms) <= _COMBINED))
    return least


def node_classes(room: Integers, cost: Integers) -> tuple[Integers, Integers, Integers]:
    """Nodes that offer and cost the same, merged: (int64[M, R] room, int64[M] cost, int64[M] how many)."""
    order, starts = alike(np.column_stack((room, cost)))
    first = order[starts]
    return room[first], cost[first], np.diff(np.append(starts, len(order)))


def _groups(problem: Problem, known: Given) -> int:
    """At most k members of a group in one zone: the cheapest zones that hold them all."""
    runs = problem.runs_at_end()
    usable = usable_nodes(problem)
    cheapest: dict[int, Integers] = {}
    least = 0
    for limit in problem.limits:
        if limit.weight or limit.most < 1:
            continue
        members = limit.members[runs[limit.members]]
        held = members[problem.held[members]]
        within = np.minimum(np.bincount(limit.zone_of[problem.host[held]]), limit.most)  # best effort leaves alone what is too much
        zones = -(-(len(members) - len(held) + int(within.sum())) // limit.most)
        if zones < 2:
            continue
        key = id(limit.zone_of)
        if key not in cheapest:
            never = int(known.cost.max(initial=0))
            cost = np.full(limit.zones, never, dtype=np.int64)
            np.minimum.at(cost, limit.zone_of[usable], known.cost[usable])
            cheapest[key] = np.cumsum(np.sort(cost))
        least = max(least, int(cheapest[key][min(zones, limit.zones) - 1]))
    return least
