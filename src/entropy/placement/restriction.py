"""A part of a problem as a problem of its own: some nodes and what runs there are free, everything else stays.

Whoever shares a rule with a free VM from outside is taken along, on a stub of its node that offers nothing else, so that the part's rules
mean what they meant in the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from entropy.model.cluster import Cluster
from entropy.placement.goals import Goals, observed_hosts
from entropy.problem.problem import Bools, Indices, Problem, State, Together, positions

__all__ = ["Part", "Restrictor"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """``problem`` and ``goals`` of the part, ``host`` its placement now; its VM k is ``vms[k]`` of the whole, its node k is ``nodes[k]``.

    The first ``free_nodes`` nodes are free, the others stubs; the first ``free_vms`` VMs are free.  ``groups`` are the rules that reach
    outside: parts that share neither node nor group can be merged in any order.
    """

    problem: Problem
    goals: Goals
    host: Indices
    vms: Indices
    nodes: Indices
    free_vms: int
    free_nodes: int
    groups: frozenset[int]

    def merged(self, found: Indices, whole: Indices) -> Indices:
        """The placement ``whole`` with the part's VMs where ``found`` has them."""
        out = whole.copy()
        k = self.free_vms
        out[self.vms[:k]] = np.where(found[:k] >= 0, self.nodes[found[:k]], -1)
        return out


class Restrictor:
    """Makes parts of one problem; what does not change from part to part is looked up once."""

    def __init__(self, problem: Problem, goals: Goals) -> None:
        self.problem, self.goals = problem, goals
        self.home = observed_hosts(problem)
        self.runs = problem.runs_at_end()
        self.groups: list[Any] = [*problem.limits, *problem.together]
        self._vm_of, self._group_of = _members(self.groups)
        self._family = np.array([getattr(g, "family", -1) for g in self.groups], dtype=np.int32)

    def restrict(self, host: Indices, nodes: Indices, *, extra: Indices | None = None, frozen: Sequence[int] = ()) -> Part:
        """``nodes`` and all VMs that ``host`` has there, and ``extra`` VMs that are nowhere.

        ``frozen`` are nodes that are looked at whole but not changed (for spread).
        """
        problem = self.problem
        inside = np.zeros(problem.n_nodes + 1, dtype=np.bool_)  # the last entry is for "nowhere"
        inside[nodes] = True
        free = positions(self.runs & inside[host])
        if extra is not None:
            free = np.union1d(free, extra).astype(np.int32)
        inside[list(frozen)] = True
        still = positions(self.runs & inside[host] & ~np.isin(host, nodes)) if len(frozen) else free[:0]
        groups, others = self._outsiders(host, free, inside)
        vms = np.concatenate((free, still, others)).astype(np.int32)
        stubs = np.unique(host[others])
        all_nodes = np.concatenate((nodes, np.asarray(frozen, dtype=np.int64), stubs)).astype(np.int32)
        new_node = np.full(problem.n_nodes + 1, -1, dtype=np.int32)
        new_node[all_nodes] = np.arange(len(all_nodes))
        new_vm = np.full(problem.n_vms, -1, dtype=np.int32)
        new_vm[vms] = np.arange(len(vms))
        small = self._arrays(host, vms, len(free), all_nodes, len(nodes), len(stubs), new_node)
        small = self._rules(small, groups, host, vms, all_nodes, new_vm, new_node, inside)
        goals = replace(self.goals, node_cost=self.goals.node_cost[all_nodes])
        return Part(
            problem=small,
            goals=goals,
            host=new_node[host[vms]],
            vms=vms,
            nodes=all_nodes,
            free_vms=len(free),
            free_nodes=len(nodes),
            groups=frozenset(groups),
        )

    def _outsiders(self, host: Indices, free: Indices, inside: Bools) -> tuple[list[int], Indices]:
        """(groups that free VMs belong to, their members that run elsewhere)."""
        if not len(self._vm_of):
            return [], free[:0]
        is_free = np.zeros(self.problem.n_vms, dtype=np.bool_)
        is_free[free] = True
        groups = np.unique(self._group_of[is_free[self._vm_of]])
        families = np.unique(self._family[groups])
        groups = np.union1d(groups, np.flatnonzero(np.isin(self._family, families[families >= 0])))
        touched = np.zeros(len(self.groups), dtype=np.bool_)
        touched[groups] = True
        members = np.unique(self._vm_of[touched[self._group_of]])
        return groups.tolist(), members[self.runs[members] & (host[members] >= 0) & ~inside[host[members]]].astype(np.int32)

    def _arrays(self, host: Indices, vms: Indices, free: int, nodes: Indices, free_nodes: int, stubs: int, new_node: Indices) -> Problem:
        problem = self.problem
        fixed = np.zeros(len(vms), dtype=np.bool_)
        fixed[free:] = True
        at = new_node[host[vms]]
        home = np.where(self.home[vms] >= 0, new_node[self.home[vms]], -1)
        home[free:] = at[free:]
        capacity, first_stub = problem.capacity[nodes].copy(), len(nodes) - stubs
        capacity[first_stub:] = 0
        np.add.at(capacity, at[at >= first_stub], problem.demand[vms[at >= first_stub]])
        # domains: the free VMs' own, on the free nodes; a fixed VM's is the node where it is
        rows, row_of = np.unique(problem.domain_of[vms[:free]], return_inverse=True)
        domains = np.zeros((len(rows) + len(vms) - free, len(nodes)), dtype=np.bool_)
        domains[: len(rows), :free_nodes] = problem.domains[np.ix_(rows, nodes[:free_nodes])]
        domains[len(rows) + np.arange(len(vms) - free), at[free:]] = True
        held = problem.held[vms] | fixed
        held[:free] &= home[:free] >= 0
        here = np.ones(len(nodes), dtype=np.bool_)
        here[first_stub:] = False
        return replace(
            problem,
            cluster=_NAMELESS,
            offered=problem.offered[nodes],
            capacity=capacity,
            demand=problem.demand[vms],
            consumption=problem.consumption[vms],
            weight=problem.weight[vms],
            state=np.where(home >= 0, State.RUNNING, State.READY).astype(np.int8),
            goal=np.full(len(vms), State.RUNNING, dtype=np.int8),
            host=home.astype(np.int32),
            domain_of=np.concatenate((row_of.ravel(), len(rows) + np.arange(len(vms) - free))).astype(np.int32),
            path_of=np.zeros(len(vms), dtype=np.int32),
            domains=domains,
            migratable=problem.migratable[vms],
            held=held,
            may_stay=problem.may_stay[vms],
            online=problem.online[nodes],
            power=problem.power[nodes] & here,  # a stub is no node to be judged by
            maintenance=problem.maintenance[nodes],
            untouchable=problem.untouchable[nodes],
            unsatisfied=(),
            contradictions=(),
            warnings=(),
        )

    def _rules(
        self,
        small: Problem,
        groups: Iterable[int],
        host: Indices,
        vms: Indices,
        nodes: Indices,
        new_vm: Indices,
        new_node: Indices,
        inside: Bools,
    ) -> Problem:
        problem = self.problem
        limits, together = [], []
        for g in groups:
            rule = self.groups[g]
            members = new_vm[rule.members]
            members = members[members >= 0]
            if isinstance(rule, Together):
                start, zone_nodes = _zones_within(rule, new_node)
                together.append(replace(rule, members=members, zone_start=start, zone_nodes=zone_nodes))
            else:
                zones, zone_of = np.unique(rule.zone_of[nodes], return_inverse=True)
                limits.append(replace(rule, members=members, zone_of=zone_of.ravel().astype(np.int32), zones=len(zones)))
        outside = self.runs & (host >= 0) & ~inside[host]
        set_limits = []
        for s in problem.set_limits:
            counted = np.zeros(problem.n_nodes, dtype=np.bool_)
            counted[s.nodes] = True
            elsewhere = int(s.amount[positions(outside)[counted[host[outside]]]].sum())
            amount = s.amount[vms].copy()
            amount[outside[vms]] = 0  # on a stub: counted in ``elsewhere``
            within = new_node[s.nodes]
            set_limits.append(replace(s, nodes=within[within >= 0], amount=amount, most=s.most - elsewhere))
        usage_limits = []
        busy = np.zeros(problem.n_nodes, dtype=np.bool_)
        busy[host[outside]] = True
        first_stub = len(nodes) - len(np.unique(host[vms[outside[vms]]]))
        for u in problem.usage_limits:
            within = new_node[u.nodes]
            within = within[(within >= 0) & (within < first_stub)]
            usage_limits.append(replace(u, nodes=within, most=u.most - int(busy[u.nodes].sum())))
        return replace(
            small,
            limits=tuple(limits),
            together=tuple(together),
            disjoint=tuple(replace(d, class_of=d.class_of[vms]) for d in problem.disjoint),
            set_limits=tuple(set_limits),
            usage_limits=tuple(usage_limits),
            preferences=tuple(
                replace(p, members=(members := new_vm[p.members])[members >= 0], mask=p.mask[nodes]) for p in problem.preferences
            ),
        )


_NAMELESS = Cluster(nodes=(), vms=())


def _members(groups: Sequence[Any]) -> tuple[Indices, Indices]:
    """(VM, group) of every membership."""
    if not groups:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
    vm_of = np.concatenate([g.members for g in groups]).astype(np.int32)
    return vm_of, np.repeat(np.arange(len(groups), dtype=np.int32), [len(g.members) for g in groups])


def _zones_within(rule: Together, new_node: Indices) -> tuple[Indices, Indices]:
    """The zones of ``rule`` in the part's nodes; without the empty ones, unless their numbers mean something to a family."""
    zones = [new_node[rule.zone_nodes[a:b]] for a, b in pairwise(rule.zone_start)]
    zones = [z[z >= 0] for z in zones]
    zones = [z for z in zones if len(z) or rule.family >= 0] or [np.zeros(0, dtype=np.int32)]
    starts = np.concatenate(([0], np.cumsum([len(z) for z in zones]))).astype(np.int32)
    return starts, np.concatenate(zones).astype(np.int32)
