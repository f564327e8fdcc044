"""Which hard rules a placement breaks, in an operator's words; and which cannot be kept wherever VMs go.

A rule of these kinds that some of the VMs break is broken by all of them, so what is held may be judged alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from entropy.planning.words import exact, listed
from entropy.problem.matching import all_different
from entropy.problem.problem import Bools, Indices, Problem, Together
from entropy.problem.togetherness import zones_that_hold

__all__ = ["Broken", "broken_rules", "zoneless_groups"]


class Broken(NamedTuple):
    """A sentence, and the indices of the VMs and nodes that it is about."""

    text: str
    vms: tuple[int, ...]
    nodes: tuple[int, ...]


def broken_rules(problem: Problem, host: Indices, *, verb: str) -> Iterator[Broken]:
    """Hard rules on groups and sets that ``host`` int32[V] (-1: does not run, or is not spoken of) breaks.

    ``verb``: "would run", or "may not leave and run".
    """
    yield from _torn(problem, host, verb)
    yield from _shared(problem, host, verb)
    yield from _overfull(problem, host, verb)


def _torn(problem: Problem, host: Indices, verb: str) -> Iterator[Broken]:
    families: dict[int, list[Together]] = {}
    for k, group in enumerate(problem.together):
        if not group.weight and (host[group.members] >= 0).any():
            families.setdefault(group.family if group.family >= 0 else -1 - k, []).append(group)
    for family in families.values():
        choices = [zones_that_hold(group, host[group.members][host[group.members] >= 0], problem.n_nodes) for group in family]
        for group, hold in zip(family, choices, strict=True):
            if not hold.any():
                vms = group.members[host[group.members] >= 0]
                where = listed([f"{problem.vm_name(v)} on {problem.node_name(host[v])}" for v in vms])
                yield Broken(f"rule {group.source}: {where} {verb} apart", tuple(vms.tolist()), tuple(np.unique(host[vms]).tolist()))
        if all(hold.any() for hold in choices) and not all_different(choices):
            vms = np.concatenate([group.members[host[group.members] >= 0] for group in family])
            names = listed([problem.vm_name(v) for v in vms])
            yield Broken(
                f"rule {family[0].source}: {names} {verb} in too few groups of nodes, each needs one of its own", tuple(vms.tolist()), ()
            )


def _shared(problem: Problem, host: Indices, verb: str) -> Iterator[Broken]:
    for rule in problem.disjoint:
        if rule.weight:
            continue
        vms = np.flatnonzero((rule.class_of >= 0) & (host >= 0))
        vms = vms[np.argsort(host[vms], kind="stable")]
        for here in np.split(vms, np.flatnonzero(np.diff(host[vms])) + 1):
            if len(here) and len(classes := np.unique(rule.class_of[here], return_index=True)[1]) > 1:
                names = listed([problem.vm_name(v) for v in here[classes]])
                node = int(host[here[0]])
                yield Broken(f"rule {rule.source}: {names} {verb} on one node, {problem.node_name(node)}", tuple(here.tolist()), (node,))


def _overfull(problem: Problem, host: Indices, verb: str) -> Iterator[Broken]:
    for rule in problem.set_limits:
        if rule.weight:
            continue
        vms = np.flatnonzero((host >= 0) & np.isin(host, rule.nodes) & (rule.amount > 0))
        total = int(rule.amount[vms].sum())
        if total > rule.most:
            where = listed([problem.node_name(n) for n in rule.nodes])
            much = f"{exact(rule.resource, total / rule.scale)} of {rule.resource}" if rule.resource else f"{total} VMs"
            most = exact(rule.resource, rule.most / rule.scale) if rule.resource else str(rule.most)
            yield Broken(f"rule {rule.source}: {much} {verb} on {where}, at most {most} may", tuple(vms.tolist()), ())
    for usage in problem.usage_limits:
        used = usage.nodes[np.isin(usage.nodes, host)]
        if not usage.weight and len(used) > usage.most:
            vms = np.flatnonzero(np.isin(host, used))
            yield Broken(f"rule {usage.source}: {len(used)} nodes would run VMs, at most {usage.most} may", tuple(vms.tolist()), ())


def zoneless_groups(problem: Problem) -> Iterator[Broken]:
    """Groups that no zone could take even if it were empty: one of the VMs may not run there, or they need more than it offers."""
    runs = problem.runs_at_end()
    reach: dict[tuple[int, int], Bools] = {}
    for group in problem.together:
        members = group.members[runs[group.members]]
        if group.weight or not len(members):
            continue
        free = members[~problem.held[members]]
        fixed = problem.host[members[problem.held[members]]]
        possible = zones_that_hold(group, fixed, problem.n_nodes)
        for row in np.unique(problem.domain_of[free]).tolist():
            key = (row, id(group.zone_nodes))
            if key not in reach:
                total = np.concatenate(([0], np.cumsum(problem.domains[row][group.zone_nodes])))
                reach[key] = total[group.zone_start[1:]] > total[group.zone_start[:-1]]
            possible = possible & reach[key]
        sums = np.concatenate((np.zeros_like(problem.capacity[:1]), np.cumsum(problem.capacity[group.zone_nodes], axis=0)))
        offered = sums[group.zone_start[1:]] - sums[group.zone_start[:-1]]
        possible &= (problem.demand[members].sum(axis=0) <= offered).all(axis=1)
        if not possible.any():
            names = listed([problem.vm_name(v) for v in members])
            yield Broken(
                f"rule {group.source}: {names} find no place together: no zone allows and holds all of them", tuple(members.tolist()), ()
            )
