"""No node is given more than it offers, at the end or in any state that the plan can bring about.

A VM needs its demand where it arrives from the start of the action that brings it; where it was observed it counts its
consumption until the end of the action that takes it away, its demand where the plan brought it or where it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entropy.verification.case import Case
from entropy.verification.load import Load, Peak
from entropy.verification.replay import Spell
from entropy.verification.violation import TOLERANCE, Violation, amount, listed, quantity

__all__ = ["check_capacity"]


def check_capacity(case: Case) -> Iterator[Violation]:
    """Node by node and resource by resource.  ``most``, all that come with nobody gone, is a bound that spares most nodes a closer look."""
    replay = case.replay
    for host in case.cluster.nodes:
        node = host.name
        moved = replay.moved_on.get(node, ())
        arriving = any(s.came is not None for _, s in moved)
        at_the_end = [case.demand_of(vm) for vm in replay.staying(node)]
        at_the_end += [case.demand_of(vm) for vm, s in moved if s.left is None]
        passing = [pair for pair in moved if pair[1].left is not None] if arriving else ()
        for resource in case.resources:
            end = sum([given.get(resource, 0.0) for given in at_the_end])
            if not arriving and not end:
                continue
            limit = case.limit(node, resource)
            most = end
            for vm, spell in passing:
                most += vm.used(resource) if spell.came is None else case.demand_of(vm).get(resource, 0.0)
            if end > limit + TOLERANCE:
                yield _ends_above(case, node, resource, end, limit, replay.spells_on(node))
            elif arriving and most > limit and (peak := _load(case, replay.spells_on(node), resource).peak(limit, case.order)):
                yield _passes(node, resource, limit, peak)


def _load(case: Case, spells: Sequence[Spell], resource: str) -> Load:
    load = Load()
    vms = case.cluster.vm_by_name
    for vm, _, came, left in spells:
        need = case.demand(vm, resource)
        if came is not None:
            load.rise(came, need)
        elif left is None:
            load.start += need
        else:
            need = vms[vm].used(resource)
            load.start += need
        if left is not None:
            load.fall(left, need)
    return load


def _ends_above(case: Case, node: str, resource: str, end: float, limit: float, spells: Sequence[Spell]) -> Violation:
    heavy = sorted((s for s in spells if s.left is None), key=lambda s: -case.demand(s.vm, resource))
    there = listed(s.vm for s in heavy if case.demand(s.vm, resource) > 0)
    came = tuple(s.came for s in spells if s.left is None and s.came is not None)
    old = any(s.came is None for s in spells if s.left is None)
    cause = f"; {listed(came)} {'add to what is there' if old else 'bring them'}" if came else ", and nothing is done about it"
    text = f"node {node}: {resource} ends at {amount(end)} of {quantity(limit, resource)}, demanded by {there}{cause}"
    return Violation("capacity", node, text, resource, came)


def _passes(node: str, resource: str, limit: float, peak: Peak) -> Violation:
    reach = f"{amount(peak.value)} of {quantity(limit, resource)}"
    if peak.already:
        text = f"node {node}: {resource} is above its limit from the beginning and would still be at {reach} {peak.when()}"
    else:
        text = f"node {node}: {resource} can reach {reach} {peak.when()}"
    return Violation("capacity", node, text, resource, peak.actions)
