"""Nodes set aside for the few that must not share one with the many (lonely VMs): kernels would wait for a node to become empty.

Where such a group shares nodes now, or has yet to start, it is given as few and as cheap nodes as it fits on, at best those where it is:
the least memory has to leave them for what may stay.  Members then run there only, the others never do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.placement.narrowing import Narrowing
from entropy.problem.problem import Bools, Disjoint, Indices, Integers, Problem, positions

__all__ = ["reserved"]


def reserved(problem: Problem) -> Problem:
    """``problem`` with domains narrowed to what its hard rules on disjoint nodes set aside; the same problem where nothing is."""
    if not any(not rule.weight for rule in problem.disjoint):
        return problem
    reserve = _Reserve(problem)
    for rule in problem.disjoint:
        if not rule.weight:
            reserve.settle(rule)
    return reserve.problem()


@dataclass
class _Group:
    members: Indices
    nodes: list[int]


class _Reserve:
    def __init__(self, problem: Problem) -> None:
        self._problem, self._home = problem, observed_hosts(problem)
        self._runs = problem.runs_at_end()
        here = positions(self._home >= 0)
        self._weight = problem.weight + 1e-3  # VMs without memory count too
        self._on = np.bincount(self._home[here], self._weight[here], minlength=problem.n_nodes)
        self._number = np.bincount(self._home[here], minlength=problem.n_nodes)
        self._held = np.zeros(problem.n_nodes, dtype=np.bool_)
        held = self._runs & problem.held
        self._held[problem.host[held]] = True
        self._taken = np.zeros(problem.n_nodes, dtype=np.bool_)
        self._groups: list[_Group] = []

    def problem(self) -> Problem:
        """Members on their group's nodes only, nobody else there."""
        if not self._groups:
            return self._problem
        narrowing = Narrowing(self._problem)
        others = self._runs.copy()
        for k, group in enumerate(self._groups):
            mask = np.zeros(self._problem.n_nodes, dtype=np.bool_)
            mask[group.nodes] = True
            narrowing.narrow(group.members, mask, k)
            others[group.members] = False
        narrowing.narrow(positions(others), ~self._taken, "others")
        return narrowing.problem()

    def settle(self, rule: Disjoint) -> None:
        """Nodes for every small class of a rule that nearly everybody else is one class of."""
        running = positions(self._runs & (rule.class_of >= 0))
        sizes = np.bincount(rule.class_of[running], minlength=1)
        if 2 * int(sizes.max()) <= int(self._runs.sum()) or len(running) < int(self._runs.sum()):
            return
        many = int(sizes.argmax())
        for c in np.flatnonzero(sizes).tolist():
            members = running[rule.class_of[running] == c]
            if c != many and self._shares(rule, members):
                self._choose(members)

    def _shares(self, rule: Disjoint, members: Indices) -> bool:
        """Is a member beside others, or without a node where it may stay?"""
        problem, home = self._problem, self._home[members]
        if (home < 0).any() or not np.all(problem.domains[problem.domain_of[members], home] | problem.held[members]):
            return True
        alone = np.bincount(home, minlength=problem.n_nodes)
        return bool((alone[home] < self._number[home]).any())

    def _choose(self, members: Indices) -> None:
        """The node that keeps most memory of members for what has to leave it, as often as needed."""
        problem = self._problem
        if problem.held[members].any():  # where they are, others have to leave: kernels see that
            return
        left, nodes = members, []
        allowed = np.any(problem.domains[np.unique(problem.domain_of[members])], axis=0) & ~self._taken & ~self._held
        while len(left):
            at_home = left[self._home[left] >= 0]
            own = np.bincount(self._home[at_home], self._weight[at_home], minlength=problem.n_nodes)
            cost = self._on - 2 * own  # what leaves, less what stays
            candidates = positions(allowed)
            placed = left[:0]
            for n in candidates[np.argsort(cost[candidates], kind="stable")][:8]:
                placed = self._fitting(left, int(n))
                if len(placed):
                    nodes.append(int(n))
                    allowed[n] = False
                    break
            if not len(placed):
                return  # no node takes any of them: let others try
            left = np.setdiff1d(left, placed).astype(np.int32)
        self._taken[nodes] = True
        self._groups.append(_Group(members, nodes))

    def _fitting(self, vms: Indices, node: int) -> Indices:
        """Those that fit on the empty node: who is there first, then the largest."""
        problem = self._problem
        room: Integers = problem.capacity[node].copy()
        may: Bools = problem.domains[problem.domain_of[vms], node]
        size = (problem.demand[vms] / np.maximum(problem.capacity[node], 1)).max(axis=1, initial=0.0)
        order = vms[np.lexsort((vms, -size, self._home[vms] != node))]
        found = []
        for v in order[np.isin(order, vms[may])].tolist():
            if (problem.demand[v] <= room).all():
                room -= problem.demand[v]
                found.append(v)
        return np.array(found, dtype=np.int32)
