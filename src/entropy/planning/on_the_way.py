"""What the way to a placement must respect, in the words that scheduling knows: domains on the way, and resources.

**Together.**  Who enters anywhere on the way enters the zone that the plan gathers his group in (see ``problem.togetherness``: a group that
is kept now never leaves its zone).

**Disjoint.**  Each node is for one class: the one that ends there, else the one that is there now, else the largest; others do not pass
over it.  Those of other classes that are there now take one unit each, until they have left, of something that the node does not offer.
So the node is above its limit, and nothing enters it before they have left.  VMs that the rule does not concern wait too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from entropy.placement.matching import dearest_matching
from entropy.placement.narrowing import Narrowing
from entropy.problem.problem import Bools, Disjoint, Indices, Integers, Problem, State, Together
from entropy.problem.togetherness import zones_that_hold

__all__ = ["on_the_way"]


def on_the_way(problem: Problem, host: Indices) -> Problem:
    """``problem`` for scheduling the way to ``host`` int32[V] (where each VM runs, or its image lies, at the end)."""
    ends = np.where(problem.runs_at_end(), host, -1).astype(np.int32)
    groups = [group for group in problem.together if group.continuous]
    apart = [rule for rule in problem.disjoint if rule.continuous]
    if not groups and not apart:
        return problem
    paths = Narrowing(replace(problem, domain_of=problem.path_of))
    _gather(paths, groups, ends)
    leaving = np.zeros(problem.n_vms, dtype=np.bool_)
    for number, rule in enumerate(apart):
        leaving |= _part(paths, problem, rule, number, ends)
    narrowed = paths.problem()
    problem = replace(problem, domains=narrowed.domains, path_of=narrowed.domain_of)
    return _barred(problem, leaving, apart) if leaving.any() else problem


def _gather(paths: Narrowing, groups: list[Together], ends: Indices) -> None:
    families: dict[int, list[Together]] = {}
    for k, group in enumerate(groups):
        families.setdefault(group.family if group.family >= 0 else -1 - k, []).append(group)
    for family in families.values():
        family = [group for group in family if (ends[group.members] >= 0).any()]
        for group, zone in zip(family, _zones(family, ends, paths.nodes), strict=True):
            if zone >= 0:
                mask = np.zeros(paths.nodes, dtype=np.bool_)
                mask[group.zone_nodes[group.zone_start[zone] : group.zone_start[zone + 1]]] = True
                paths.narrow(group.members, mask, ("zone", mask.tobytes()))


def _zones(family: list[Together], ends: Indices, nodes: int) -> Indices:
    """A zone for each group, all different, -1 for none."""
    if not family:
        return np.zeros(0, dtype=np.int32)
    worth = np.full((len(family), max(len(group.zone_start) for group in family) - 1), -1, dtype=np.int64)
    for k, group in enumerate(family):
        there = ends[group.members]
        hold = zones_that_hold(group, there[there >= 0], nodes)
        worth[k, : len(hold)] = np.where(hold, 1, -1)
    return dearest_matching(worth)


def _part(paths: Narrowing, problem: Problem, rule: Disjoint, number: int, ends: Indices) -> Bools:
    """Keep each class to its nodes; returns bool[V]: those that leave a node which is another class's from now on."""
    concerned = rule.class_of >= 0
    running = concerned & (problem.state == State.RUNNING)
    owner = np.full(problem.n_nodes, np.bincount(rule.class_of[concerned]).argmax() if concerned.any() else -1, dtype=np.int64)
    owner[problem.host[running]] = rule.class_of[running]
    final = concerned & (ends >= 0)
    owner[ends[final]] = rule.class_of[final]
    for c in np.unique(rule.class_of[concerned]).tolist():
        paths.narrow(np.flatnonzero(rule.class_of == c).astype(np.int32), owner == c, ("class", number, c))
    found = np.zeros(problem.n_vms, dtype=np.bool_)
    found[running] = owner[problem.host[running]] != rule.class_of[running]
    return np.asarray(found & (ends != problem.host))


def _barred(problem: Problem, leaving: Bools, rules: list[Disjoint]) -> Problem:
    """``problem`` with one resource more, which no node offers and ``leaving`` use until they have left."""
    name = "rule " + ", ".join(dict.fromkeys(rule.source for rule in rules))

    def column(table: Integers, amounts: Integers) -> Integers:
        return np.ascontiguousarray(np.column_stack((table, amounts)))

    nothing, nobody = np.zeros(problem.n_nodes, dtype=np.int64), np.zeros(problem.n_vms, dtype=np.int64)
    return replace(
        problem,
        resources=(*problem.resources, name),
        scale=np.append(problem.scale, 1.0),
        offered=np.column_stack((problem.offered, np.zeros(problem.n_nodes))),
        capacity=column(problem.capacity, nothing),
        demand=column(problem.demand, nobody),
        consumption=column(problem.consumption, leaving.astype(np.int64)),
    )
