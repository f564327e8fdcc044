"""How the exact model says each primitive: one function a primitive, which constrains the sheet or, where it is soft, returns its cost.

What stays outside of the model counts as it is.  A limit that is passed by what stays, or is held, lets nothing more in: best effort
leaves such things alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from entropy.placement.exact.assignment import Assignment
from entropy.placement.exact.sheet import Expression, Numbers, Sheet, Variables, sum_of
from entropy.problem.problem import Disjoint, GroupLimit, Preference, SetLimit, UsageLimit

__all__ = ["NOTHING", "at_most", "capacities", "disjoint", "prefer", "set_limit", "usage_limit", "use_in_order"]

NOTHING = Expression(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
"""A cost of zero."""


def capacities(sheet: Sheet, pairs: Assignment) -> Variables:
    """Capacity: each node's room.  Returns int64[K], per node of ``pairs`` the boolean that says it is used; -1 where it is so anyway, or
    no VM can go there."""
    problem = pairs.problem
    used = np.full(len(pairs.nodes), -1, dtype=np.int64)
    columns = pairs.column_of[pairs.node]
    new = np.unique(columns[~pairs.occupied[pairs.node]])
    used[new] = sheet.booleans(len(new))
    for column, here in _grouped(columns):
        ids, switch = pairs.ids[here], int(used[column])
        if switch >= 0:
            sheet.none_unless(switch, ids)
        demand = problem.demand[pairs.vm[here]]
        for r in np.flatnonzero(demand.sum(axis=0) > pairs.room[column]):
            room = int(pairs.room[column, r])
            if switch >= 0:
                sheet.at_most(Expression(np.append(ids, switch), np.append(demand[:, r], -room)), 0)
            else:
                sheet.at_most(Expression(ids, demand[:, r]), room)
    return used


def use_in_order(sheet: Sheet, pairs: Assignment, used: Variables) -> None:
    """Of nodes that differ in nothing but their name the first is used first."""
    for alike in pairs.classes:
        switches = used[pairs.column_of[alike]]
        switches = switches[switches >= 0]
        for first, second in pairwise(switches.tolist()):
            sheet.none_unless(first, np.array([second]))


def at_most(sheet: Sheet, pairs: Assignment, limit: GroupLimit) -> Expression:
    """Group limit: members in each zone."""
    there = np.bincount(limit.zone_of[pairs.staying(limit.members)], minlength=limit.zones)
    cost = sum_of(NOTHING.ids, constant=int(np.maximum(there - limit.most, 0).sum()))
    members = pairs.of(limit.members)
    held = np.bincount(limit.zone_of[pairs.node[pairs.held(members)]], minlength=limit.zones)
    excess: list[Expression] = []
    for zone, within in _grouped(limit.zone_of[pairs.node[members]]):
        here = members[within]
        room = limit.most - int(there[zone])
        if len(here) <= room or np.count_nonzero(np.diff(pairs.vm[here])) < room:  # pairs of one VM lie side by side
            continue
        if limit.weight:
            excess.append(_above(sheet, sum_of(pairs.ids[here]), max(room, 0)))
        elif max(room, int(held[zone])) == 1:
            sheet.at_most_one(pairs.ids[here])
        else:
            sheet.at_most(sum_of(pairs.ids[here]), max(room, int(held[zone])))
    return cost.plus(*excess).times(limit.weight) if limit.weight else NOTHING


def disjoint(sheet: Sheet, pairs: Assignment, rule: Disjoint) -> Expression:
    """Disjoint: a boolean says that a class is on a node."""
    concerned = np.flatnonzero(rule.class_of >= 0)
    staying = concerned[pairs.fixed[concerned] >= 0]
    taken: dict[int, set[int]] = {}
    for n, c in set(zip(pairs.fixed[staying].tolist(), rule.class_of[staying].tolist(), strict=True)):
        taken.setdefault(n, set()).add(c)
    cost = sum_of(NOTHING.ids, constant=sum(len(classes) - 1 for classes in taken.values()))
    members = pairs.of(concerned)
    excess: list[Expression] = []
    for node, within in _grouped(pairs.node[members]):
        here, before = members[within], taken.get(node, set())
        classes = dict(_grouped(rule.class_of[pairs.vm[here]]))
        if len(before | classes.keys()) < 2:
            continue
        if not rule.weight:
            held = pairs.held(here)
            _one_class(sheet, pairs, {c: here[k] for c, k in classes.items()}, before | set(rule.class_of[pairs.vm[held]].tolist()), held)
            continue
        present = sheet.booleans(len(new := sorted(classes.keys() - before)))
        for switch, c in zip(present.tolist(), new, strict=True):
            sheet.none_unless(switch, pairs.ids[here[classes[c]]])
        excess.append(sum_of(present) if before else _above(sheet, sum_of(present), 1))
    return cost.plus(*excess).times(rule.weight) if rule.weight else NOTHING


def _one_class(sheet: Sheet, pairs: Assignment, classes: dict[int, Variables], before: set[int], held: Variables) -> None:
    """On one node: those classes only that are there ``before``, or if there are none, one."""
    if before:
        shut = [here for c, here in classes.items() if len(before) > 1 or c not in before]
        for here in shut:
            sheet.none(pairs.ids[np.setdiff1d(here, held)])
    elif len(classes) == 2:
        one, other = classes.values()
        switch = int(sheet.booleans(1)[0])
        sheet.none_unless(switch, pairs.ids[one])
        sheet.none_unless(-switch - 1, pairs.ids[other])
    else:
        switches = sheet.booleans(len(classes))
        sheet.at_most_one(switches)
        for switch, here in zip(switches.tolist(), classes.values(), strict=True):
            sheet.none_unless(switch, pairs.ids[here])


def set_limit(sheet: Sheet, pairs: Assignment, rule: SetLimit) -> Expression:
    """Set limit: amounts of the VMs on a set of nodes."""
    within = np.zeros(pairs.problem.n_nodes, dtype=np.bool_)
    within[rule.nodes] = True
    staying = np.flatnonzero(pairs.fixed >= 0)
    there = int(rule.amount[staying[within[pairs.fixed[staying]]]].sum())
    here = np.flatnonzero(within[pairs.node] & (rule.amount[pairs.vm] > 0))
    load = Expression(pairs.ids[here], rule.amount[pairs.vm[here]])
    return _sum_at_most(sheet, load, there, rule.most, rule.weight, int(rule.amount[pairs.vm[pairs.held(here)]].sum()))


def usage_limit(sheet: Sheet, pairs: Assignment, used: Variables, rule: UsageLimit) -> Expression:
    """Usage limit: nodes of a set that run a VM."""
    there = int(pairs.occupied[rule.nodes].sum())
    columns = pairs.column_of[rule.nodes]
    switches = used[columns[columns >= 0]]
    held = pairs.node[pairs.held(np.flatnonzero(np.isin(pairs.node, rule.nodes)))]
    least = len(np.unique(held[~pairs.occupied[held]]))
    return _sum_at_most(sheet, sum_of(switches[switches >= 0]), there, rule.most, rule.weight, least)


def prefer(pairs: Assignment, rule: Preference) -> Expression:
    """Preference: members outside the mask."""
    there = int((~rule.mask[pairs.staying(rule.members)]).sum())
    members = pairs.of(rule.members)
    outside = members[~rule.mask[pairs.node[members]]]
    return sum_of(pairs.ids[outside], constant=there).times(rule.weight)


def _sum_at_most(sheet: Sheet, load: Expression, there: int, most: int, weight: int, held: int) -> Expression:
    """``load`` + ``there`` is at most ``most``, or costs ``weight`` a unit above; ``held`` is the part of the load that is given."""
    room = most - there
    if weight:
        return _above(sheet, load, max(room, 0)).plus(sum_of(NOTHING.ids, constant=max(-room, 0))).times(weight)
    if int(load.coefficients.sum()) > room:
        sheet.at_most(load, max(room, held))
    return NOTHING


def _above(sheet: Sheet, load: Expression, most: int) -> Expression:
    """How far ``load`` is above ``most``, 0 where it is not; only to be made small."""
    if most == 0:
        return load
    total = int(load.coefficients.sum())
    if total <= most:
        return NOTHING
    excess = sum_of(np.array([sheet.integer(total - most)]))
    sheet.at_least(excess.plus(load.times(-1)), -most)
    return excess


def _grouped(labels: Numbers) -> Iterator[tuple[int, Variables]]:
    """(label, positions where it stands), by label."""
    if not len(labels):
        return
    order = np.argsort(labels, kind="stable").astype(np.int64)
    cuts = np.flatnonzero(np.diff(labels[order])) + 1
    starts = [0, *cuts.tolist(), len(order)]
    for first, last in pairwise(starts):
        yield int(labels[order[first]]), order[first:last]
