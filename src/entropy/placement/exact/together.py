"""How the exact model says that groups are together: a boolean says which zone a group has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entropy.placement.exact.assignment import Assignment
from entropy.placement.exact.encodings import NOTHING
from entropy.placement.exact.sheet import Expression, Numbers, Sheet, Variables, sum_of
from entropy.problem.problem import Bools, Together

__all__ = ["together"]


def together(sheet: Sheet, pairs: Assignment, groups: Sequence[Together]) -> Expression:
    """All groups; returns the cost of the soft ones.  Groups of one family have different zones, soft and hard alike.

    A group whose VMs are all outside of the model, or stay anyway, holds its zone against its family only.  A hard group that what stays
    or is held has torn apart already is left alone.
    """
    cost: list[Expression] = []
    families: dict[int, list[Together]] = {}
    for group in groups:
        if group.family >= 0:
            families.setdefault(group.family, []).append(group)
            continue
        members = pairs.of(group.members)
        if len(members) or group.weight:
            cost.append(_group(sheet, pairs, group, members)[1])
    for family in families.values():
        of_zone: dict[int, list[int]] = {}
        if not any(group.weight or len(pairs.of(group.members)) for group in family):
            continue
        for group in family:
            zones, price = _group(sheet, pairs, group, pairs.of(group.members))
            cost.append(price)
            for zone, switch in zones.items():
                of_zone.setdefault(zone, []).append(switch)
        for switches in of_zone.values():
            if len(switches) > 1:
                sheet.at_most_one(np.array(switches))
    return NOTHING.plus(*cost) if cost else NOTHING


def _group(sheet: Sheet, pairs: Assignment, group: Together, members: Variables) -> tuple[dict[int, int], Expression]:
    """(zone -> the boolean that says the group has it, cost)."""
    zones = _Zones(pairs, group)
    held = pairs.held(members)
    settled: Variables = np.concatenate((pairs.staying(group.members), pairs.node[held].astype(np.int64)))
    if group.weight:
        return _soft(sheet, pairs, group, members, zones)
    if not len(settled) and not len(members):
        return {}, NOTHING
    count = zones.count(settled)
    candidates = np.flatnonzero(count == len(settled))
    if not len(candidates):  # torn apart by what cannot be helped
        return {}, NOTHING
    rows = np.unique(pairs.row_of[pairs.vm[members]])
    reach = {int(k): zones.within(int(k), pairs.node[members]) for k in candidates}
    reach = {k: inside for k, inside in reach.items() if len(np.unique(pairs.row_of[pairs.vm[members[inside]]])) == len(rows)}
    if not reach:
        sheet.one_of(())
        return {}, NOTHING
    switches = sheet.booleans(len(reach))
    sheet.exactly_one(switches)
    outside = ~np.any(list(reach.values()), axis=0) if len(members) else np.zeros(0, dtype=np.bool_)
    if outside.any():
        sheet.none(pairs.ids[members[outside]])
    _follow(sheet, pairs, members, list(reach.values()), switches)
    return dict(zip(reach, switches.tolist(), strict=True)), NOTHING


def _follow(sheet: Sheet, pairs: Assignment, members: Variables, reach: list[Bools], switches: Variables) -> None:
    """A group that has a zone is nowhere else."""
    if len(reach) < 2 or not len(members):
        return
    overlap = np.sum(reach, axis=0).max() > 1
    for inside, switch in zip(reach, switches.tolist(), strict=True):
        if overlap:
            sheet.none_unless(-switch - 1, pairs.ids[members[~inside]])
            continue
        here = members[inside]  # zones share no node: exactly then is each VM in it
        cuts = np.flatnonzero(np.diff(pairs.row_of[pairs.vm[here]])) + 1
        for ids in np.split(pairs.ids[here], cuts):
            sheet.equal(Expression(np.append(ids, switch), np.append(np.ones(len(ids), dtype=np.int64), -1)), 0)


def _soft(sheet: Sheet, pairs: Assignment, group: Together, members: Variables, zones: _Zones) -> tuple[dict[int, int], Expression]:
    """Each VM outside of the zone that the group has costs; the group may have no zone at all."""
    staying = pairs.staying(group.members)
    count = zones.count(staying)
    reach = {k: zones.within(k, pairs.node[members]) for k in range(len(count))}
    reach = {k: inside for k, inside in reach.items() if count[k] or inside.any()}
    everybody = len(staying) + len(np.unique(pairs.vm[members]))
    if not reach:
        return {}, sum_of(NOTHING.ids, constant=everybody * group.weight)
    switches = sheet.booleans(len(reach))
    sheet.at_most_one(switches)
    rows = pairs.row_of[pairs.vm[members]]
    vms, number = np.unique(rows, return_inverse=True)
    inside_of = sheet.booleans(len(vms))
    for k, switch in zip(reach, switches.tolist(), strict=True):
        for v, counted in enumerate(inside_of.tolist()):  # counted, and the zone is this one: so the VM is in it
            ids = pairs.ids[members[(number == v) & reach[k]]]
            sheet.one_of((-counted - 1, -switch - 1, *ids.tolist()))
    for counted in inside_of.tolist():
        sheet.one_of((-counted - 1, *switches.tolist()))
    saved = sum_of(inside_of).plus(Expression(switches, count[list(reach)].astype(np.int64)))
    price = saved.times(-1).plus(sum_of(NOTHING.ids, constant=everybody)).times(group.weight)
    return dict(zip(reach, switches.tolist(), strict=True)), price


class _Zones:
    """Which nodes are in which zone."""

    def __init__(self, pairs: Assignment, group: Together) -> None:
        self._start, self._nodes, self._size = group.zone_start, group.zone_nodes, pairs.problem.n_nodes

    def count(self, hosts: Numbers) -> Variables:
        """int64[Z]: how many of ``hosts`` are in each zone."""
        weight = np.bincount(hosts, minlength=self._size)
        total = np.concatenate(([0], np.cumsum(weight[self._nodes])))
        return np.asarray(total[self._start[1:]] - total[self._start[:-1]])

    def within(self, zone: int, nodes: Numbers) -> Bools:
        """Which of ``nodes`` are in the zone."""
        mask = np.zeros(self._size, dtype=np.bool_)
        mask[self._nodes[self._start[zone] : self._start[zone + 1]]] = True
        return np.asarray(mask[nodes])
