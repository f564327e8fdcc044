"""What may be repacked: VMs that no rule but group limits concerns, on nodes that they may use, beside everything that stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.placement.packing.settle import settled
from entropy.placement.packing.state import Grouping, Packing, packing
from entropy.placement.rules import rule_arrays
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Task", "Tasks"]


class Tasks:
    """Makes tasks of one problem; what does not change from one to the next is looked up once.

    ``movable`` bool[V]; ``receives`` bool[N]: nodes that VMs may be brought to.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.movable = problem.runs_at_end() & ~problem.held & ~_bound_by_rules(problem)
        self.receives = problem.power & ~problem.untouchable
        for limit in problem.set_limits:
            self.receives[limit.nodes] = False
        self.home = observed_hosts(problem)
        self.limits = [g for g in problem.limits if not g.weight]

    def fixed_room(self, host: Indices, free: Bools) -> tuple[Integers, Bools]:
        """(int64[N, R] what nodes offer to the VMs ``free`` bool[V], bool[N] nodes that hold others)."""
        problem = self.problem
        room = problem.capacity.copy()
        stays = positions((host >= 0) & ~free)
        np.subtract.at(room, host[stays], problem.demand[stays])
        anchored = np.zeros(problem.n_nodes, dtype=np.bool_)
        anchored[host[stays]] = True
        return room, anchored

    def task(self, host: Indices, nodes: Indices, closed: Indices, room: Integers, seed: int, *, afresh: bool = False) -> Task:
        """Repack what ``host`` has on ``nodes`` and on the nodes ``closed``, all on ``nodes``; ``afresh``: with none of it placed."""
        problem = self.problem
        column = np.full(problem.n_nodes + 1, -1, dtype=np.int32)  # the last entry is for "nowhere"
        column[nodes] = np.arange(len(nodes))
        concerned = column >= 0
        concerned[closed] = True
        vms = positions(self.may_move(host) & concerned[host])
        rows, domain_of = np.unique(problem.domain_of[vms], return_inverse=True)
        state = packing(
            problem.demand[vms],
            room[nodes],
            problem.domains[rows][:, nodes] & self.receives[nodes],
            domain_of.reshape(-1).astype(np.int32),
            np.full(len(vms), -1, dtype=np.int32) if afresh else column[host[vms]],
            self.grouping(host, vms, nodes),
            seed,
        )
        return Task(vms=vms, nodes=nodes, state=state, room=room[nodes], home=column[self.home[vms]], weight=problem.weight[vms])

    def may_move(self, host: Indices) -> Bools:
        """bool[V]: the VMs that are repacked."""
        return np.asarray(self.movable & (host >= 0) & ~self.problem.untouchable[host])

    @cached_property
    def _limits_of(self) -> tuple[Indices, Indices]:
        rules = rule_arrays(self.problem)
        return rules.vm_start, rules.vm_limits

    def admits(self, host: Indices, v: int, n: int) -> bool:
        """Do the groups of VM ``v`` let it onto node ``n`` beside those that ``host`` places?"""
        if not self.limits:
            return True
        start, limits_of = self._limits_of
        for k in limits_of[start[v] : start[v + 1]]:
            limit = self.limits[k]
            at = host[limit.members[limit.members != v]]
            if int((limit.zone_of[at[at >= 0]] == limit.zone_of[n]).sum()) >= limit.most:
                return False
        return True

    def grouping(self, host: Indices, vms: Indices, nodes: Indices) -> Grouping | None:
        """The group limits of ``vms`` on ``nodes`` beside all others that ``host`` places; ``None`` when there are none."""
        if not self.limits or not len(nodes):
            return None
        start, limits_of = self._limits_of
        rows = [limits_of[start[v] : start[v + 1]] for v in vms]
        length = [len(r) for r in rows]
        if not sum(length):
            return None
        groups, group_of = np.unique(np.concatenate(rows), return_inverse=True)
        inside = np.zeros(self.problem.n_vms, dtype=np.bool_)
        inside[vms] = True
        zone = np.zeros((len(groups), len(nodes)), dtype=np.int32)
        there = np.zeros((len(groups), len(nodes)), dtype=np.int64)
        for k, g in enumerate(groups):
            limit = self.limits[g]
            zones, zone[k] = np.unique(limit.zone_of[nodes], return_inverse=True)
            others = limit.members[~inside[limit.members]]
            at = limit.zone_of[host[others[host[others] >= 0]]]
            place = np.minimum(np.searchsorted(zones, at), len(zones) - 1)
            np.add.at(there[k], place[zones[place] == at], 1)
        return Grouping(
            group_start=np.concatenate(([0], np.cumsum(length))).astype(np.int32),
            group_of=group_of.reshape(-1).astype(np.int32),
            most=np.array([self.limits[g].most for g in groups], dtype=np.int64),
            zone=zone,
            there=there,
        )


@dataclass(frozen=True)
class Task:
    """VM k of ``state`` is ``vms[k]`` of the problem, its node k is ``nodes[k]``, which offers ``room`` int64[m, R].

    ``home`` int32[n]: node of the task where each VM runs now, -1 elsewhere; ``weight`` int64[n] what moving it costs.
    """

    vms: Indices
    nodes: Indices
    state: Packing
    room: Integers
    home: Indices
    weight: Integers

    def merged(self, host: Indices, node_cost: Integers) -> Indices:
        """The placement ``host`` with the task's VMs where it has them, or on another node like it where more of them run now."""
        at = settled(self.state, self.room, node_cost[self.nodes], self.home, self.weight)
        out = host.copy()
        out[self.vms] = np.where(at >= 0, self.nodes[at], -1)
        return out


def _bound_by_rules(problem: Problem) -> Bools:
    """bool[V]: VMs that a rule concerns which the packing kernels do not count: they stay where they are."""
    bound = np.zeros(problem.n_vms, dtype=np.bool_)
    soft = [g.members for g in problem.limits if g.weight]
    for members in (*soft, *(g.members for g in problem.together), *(p.members for p in problem.preferences)):
        bound[members] = True
    for apart in problem.disjoint:
        bound |= apart.class_of >= 0
    return bound
