"""Rules that count: VMs in a zone, VMs or their demand on a set of nodes, nodes online."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from entropy.model.rules import MaxOnline, Offline, Online, ResourceCapacity, RunningCapacity, Spread
from entropy.verification.case import Case
from entropy.verification.load import Load, Peak
from entropy.verification.replay import Spell
from entropy.verification.rules.words import broken
from entropy.verification.violation import TOLERANCE, Violation, amount, listed, quantity

__all__ = ["max_online", "offline", "online", "resource_capacity", "running_capacity", "spread"]


def spread(case: Case, rule: Spread, title: str) -> Iterator[Violation]:
    """At most ``max`` of the VMs in one zone."""
    zone_of = case.zone_of(rule.across)
    stays: dict[str, list[Spell]] = {}
    for vm in case.vms(rule.vms):
        for zone, stay in _stays(case, vm, zone_of):
            stays.setdefault(zone, []).append(stay)
    for zone, found in stays.items():
        final = [s for s in found if s.left is None]
        place = f"on {zone}" if rule.across == "node" else f"in {zone}"
        if len(final) > rule.max:
            what = f"{listed(s.vm for s in final)} end {place}, at most {rule.max} may"
            yield broken(title, what, (s.came for s in final))
        elif rule.continuous and (peak := _load(found, lambda _: 1.0).peak(rule.max, case.order)):
            yield broken(
                title, f"{_reach(peak, '')} of its VMs can be {place} at once, at most {rule.max} may, {_when(peak)}", peak.actions
            )


def running_capacity(case: Case, rule: RunningCapacity, title: str) -> Iterator[Violation]:
    """At most ``max`` VMs run on the nodes."""
    yield from _on_nodes(case, rule, title, lambda _: 1.0, "VMs")


def resource_capacity(case: Case, rule: ResourceCapacity, title: str) -> Iterator[Violation]:
    """The VMs on the nodes demand at most ``max`` of ``resource``."""
    yield from _on_nodes(case, rule, title, lambda vm: case.demand(vm, rule.resource), rule.resource)


def _on_nodes(
    case: Case, rule: RunningCapacity | ResourceCapacity, title: str, value: Callable[[str], float], what: str
) -> Iterator[Violation]:
    inside = dict.fromkeys(case.nodes(rule.nodes))
    visitors = dict.fromkeys(s.vm for node in inside for s in case.replay.spells_on(node))
    stays = [stay for vm in visitors for within, stay in _stays(case, vm, lambda n: "in" if n in inside else "") if within]
    end = sum(value(s.vm) for s in stays if s.left is None)
    where = listed(inside)
    resource = rule.resource if isinstance(rule, ResourceCapacity) else ""
    verb = "ends" if resource else "end"
    most = quantity(rule.max, resource)
    if end > rule.max + TOLERANCE:
        text = f"{what} on {where} {verb} at {quantity(end, resource)}, at most {most} may be there"
        yield broken(title, text, (s.came for s in stays if s.left is None), resource)
    elif rule.continuous and (peak := _load(stays, value).peak(rule.max, case.order)):
        text = f"{what} on {where} can reach {_reach(peak, resource)}, at most {most} may be there, {_when(peak)}"
        yield broken(title, text, peak.actions, resource)


def max_online(case: Case, rule: MaxOnline, title: str) -> Iterator[Violation]:
    """At most ``max`` of the nodes online; one counts from the start of its startup to the end of its shutdown."""
    nodes = case.nodes(rule.nodes)
    if not nodes:
        return
    end = sum(case.final_node_state[n] == "online" for n in nodes)
    switches = [a for n in nodes for a in case.replay.switches.get(n, ())]
    if end > rule.max:
        yield broken(title, f"{end} nodes end online, at most {rule.max} may", (a.id for a in switches if a.type == "startup"))
        return
    load = Load(sum(case.cluster.node_by_name[n].state == "online" for n in nodes))
    for action in switches:
        (load.rise if action.type == "startup" else load.fall)(action.id, 1.0)
    if rule.continuous and (peak := load.peak(rule.max, case.order)):
        yield broken(title, f"{_reach(peak, '')} nodes can be online at once, at most {rule.max} may, {_when(peak)}", peak.actions)


def online(case: Case, rule: Online, title: str) -> Iterator[Violation]:
    """The nodes end online."""
    yield from _node_state(case, rule, title)


def offline(case: Case, rule: Offline, title: str) -> Iterator[Violation]:
    """The nodes end offline."""
    yield from _node_state(case, rule, title)


def _node_state(case: Case, rule: Online | Offline, title: str) -> Iterator[Violation]:
    for node in case.nodes(rule.nodes):
        if (state := case.final_node_state[node]) != rule.type:
            ids = (a.id for a in case.replay.switches.get(node, ()))
            yield broken(title, f"node {node} ends {state}, it should end {rule.type}", ids)


def _stays(case: Case, vm: str, zone_of: Callable[[str], str]) -> Iterator[tuple[str, Spell]]:
    """The VM's spells with live migrations inside one zone joined: these do not count twice."""
    zone, stay = "", None
    for spell in case.replay.spells(vm):
        here = zone_of(spell.node)
        if stay is not None and here == zone and spell.came is not None and spell.came == stay.left:
            stay = stay._replace(left=spell.left)
            continue
        if stay is not None:
            yield zone, stay
        zone, stay = here, spell
    if stay is not None:
        yield zone, stay


def _load(stays: Iterable[Spell], value: Callable[[str], float]) -> Load:
    load = Load()
    for vm, _, came, left in stays:
        if came is None:
            load.start += value(vm)
        else:
            load.rise(came, value(vm))
        if left is not None:
            load.fall(left, value(vm))
    return load


def _reach(peak: Peak, resource: str) -> str:
    return quantity(peak.value, resource) if resource else amount(peak.value)


def _when(peak: Peak) -> str:
    return peak.when() + (" (it was above from the beginning, so nothing may be added)" if peak.already else "")
