"""Least memory that moves for the sake of rules that are broken now: each hard rule by itself, no VM charged twice.

A rule that some VMs break where they run now makes some of them leave, the cheapest at least: all but those in the best zone of a group
that must be together, all but the heaviest class on a node, the lightest beyond the most of a zone or set.  A VM whose memory counted
towards one rule costs nothing for the next, nor when nodes are relieved of what overloads them, so the sum is a bound.  What is held and
breaks a rule anyway is left alone: such a rule asks no more than that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from entropy.placement.bounds.covering import must_leave
from entropy.placement.goals import observed_hosts
from entropy.problem.matching import dearest_matching
from entropy.problem.problem import Disjoint, Indices, Integers, Problem, SetLimit, Together, positions
from entropy.problem.togetherness import counts, weights_in_zones

__all__ = ["rules_bound"]


def rules_bound(problem: Problem) -> int:
    """Memory that moves in every viable placement, by the rules that the observed one breaks and the nodes that it overloads."""
    if not (problem.together or problem.limits or problem.disjoint or problem.set_limits):
        return 0
    return _Charge(problem).total()


class _Charge:
    """``weight`` int64[V] is what a VM's departure still costs; ``paid`` what rules have cost so far."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.home = problem, observed_hosts(problem)
        self.weight = problem.weight.copy()
        here = positions(self.home >= 0)
        driven = here[~problem.domains[problem.domain_of[here], self.home[here]] & ~problem.held[here]]
        self.paid = 0
        self._pay(int(self.weight[driven].sum()), driven)

    def _pay(self, cost: int, vms: Indices) -> None:
        if cost > 0:
            self.paid += cost
            self.weight[vms] = 0

    def total(self) -> int:
        """All rules, then what overloads nodes."""
        problem = self.problem
        families: dict[int, list[Together]] = {}
        for k, group in enumerate(problem.together):
            if not group.weight:
                families.setdefault(group.family if group.family >= 0 else -1 - k, []).append(group)
        for family in families.values():
            self._together(family)
        for rule in problem.disjoint:
            if not rule.weight:
                self._disjoint(rule)
        self._limits()
        for capacity in problem.set_limits:
            if not capacity.weight:
                self._set(capacity)
        left, _ = must_leave(replace(problem, weight=self.weight))
        return self.paid + int(left.sum())

    def _together(self, family: list[Together]) -> None:
        """All memory but what is in the parties' zones, these chosen so that most is; a party may be apart only where held VMs are."""
        problem, home = self.problem, self.home
        parties: list[tuple[Indices, Integers]] = []
        for group in family:
            members = group.members[home[group.members] >= 0]
            held = problem.held[members]
            if not len(members) or (held.any() and not (counts(group, home[members[held]], problem.n_nodes) == held.sum()).any()):
                continue
            parties.append((members, weights_in_zones(group, home[members], self.weight[members], problem.n_nodes)))
        if not parties:
            return
        table = np.full((len(parties), max(len(inside) for _, inside in parties)), -1, dtype=np.int64)
        for k, (_, inside) in enumerate(parties):
            table[k, : len(inside)] = inside
        if len(parties) == 1:
            stays = int(table.max(initial=0))
        else:
            stays = sum(int(table[k, z]) for k, z in enumerate(dearest_matching(table)) if z >= 0)
        vms = np.unique(np.concatenate([members for members, _ in parties]))
        cost = sum(int(self.weight[members].sum()) for members, _ in parties) - stays
        if len(vms) == sum(len(members) for members, _ in parties):  # who is in two parties would be charged twice
            self._pay(cost, vms)

    def _disjoint(self, rule: Disjoint) -> None:
        """All memory on a node but that of one class."""
        vms = positions((rule.class_of >= 0) & (self.home >= 0))
        if not len(vms):
            return
        classes = int(rule.class_of.max()) + 1
        key = self.home[vms].astype(np.int64) * classes + rule.class_of[vms]
        present, which = np.unique(key, return_inverse=True)
        node = present // classes
        heavy, held = np.zeros(len(present), dtype=np.int64), np.zeros(len(present), dtype=np.bool_)
        np.add.at(heavy, which, self.weight[vms])
        np.logical_or.at(held, which, self.problem.held[vms])
        starts = np.flatnonzero(np.append(True, node[1:] != node[:-1]))
        cost = np.add.reduceat(heavy, starts) - np.maximum.reduceat(heavy, starts)
        cost[np.add.reduceat(held.astype(np.int64), starts) > 1] = 0
        charged = np.isin(self.home[vms], node[starts[cost > 0]])
        self._pay(int(cost.sum()), vms[charged])

    def _limits(self) -> None:
        """Members beyond the most of a zone, the lightest."""
        limits = [limit for limit in self.problem.limits if not limit.weight]
        if not limits:
            return
        base = np.cumsum([0, *(limit.zones for limit in limits)])
        vms = np.concatenate([limit.members for limit in limits])
        which = np.repeat(np.arange(len(limits)), [len(limit.members) for limit in limits])
        cell = np.concatenate([base[k] + limit.zone_of[self.home[limit.members]] for k, limit in enumerate(limits)])
        here = self.home[vms] >= 0
        vms, which, cell = vms[here], which[here], cell[here]
        count = np.bincount(cell, minlength=int(base[-1]))
        held = np.bincount(cell[self.problem.held[vms]], minlength=int(base[-1]))
        most = np.array([limit.most for limit in limits], dtype=np.int64)
        crowded = np.flatnonzero(count[cell] > most[which])
        order = crowded[np.argsort(cell[crowded], kind="stable")]
        for members in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
            if len(members):
                zone = cell[members[0]]
                surplus = int(count[zone] - max(int(most[which[members[0]]]), int(held[zone])))
                self._pay(int(np.sort(self.weight[vms[members]])[: max(surplus, 0)].sum()), vms[members])

    def _set(self, rule: SetLimit) -> None:
        """The lightest that relieve the set of what is too much, the last one in part."""
        inside = np.zeros(self.problem.n_nodes + 1, dtype=np.bool_)
        inside[rule.nodes] = True
        vms = positions(inside[self.home] & (rule.amount > 0))
        held = int(rule.amount[vms[self.problem.held[vms]]].sum())
        excess = int(rule.amount[vms].sum()) - max(rule.most, held)
        if excess <= 0:
            return
        amount, weight = rule.amount[vms], self.weight[vms]
        order = np.argsort(weight / amount, kind="stable")
        relieved = np.cumsum(amount[order])
        last = int(np.searchsorted(relieved, excess))
        whole = int(weight[order[:last]].sum())
        missing = excess - (int(relieved[last - 1]) if last else 0)
        a, w = int(amount[order[last]]), int(weight[order[last]])
        self._pay(whole + -(-w * missing // a), vms)
