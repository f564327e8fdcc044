"""VMs that must leave their node because a rule is broken where they run now: the lightest whose departure mends it."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Bools, Disjoint, GroupLimit, Indices, Integers, Problem, SetLimit, UsageLimit

__all__ = ["rule_breakers"]


def rule_breakers(problem: Problem, host: Indices, out: Bools) -> None:
    """Add to ``out`` bool[V], the VMs that leave ``host`` anyway, those that must leave for the sake of hard rules.

    Held VMs never leave.  What one rule drives out is gone for the next.
    """
    _crowded([g for g in problem.limits if not g.weight], problem, host, out)
    for rule in problem.disjoint:
        if not rule.weight:
            _mixed(rule, problem, host, out)
    for capacity in problem.set_limits:
        if not capacity.weight:
            _over(capacity, problem, host, out)
    for usage in problem.usage_limits:
        if not usage.weight:
            _too_many(usage, problem, host, out)


def _crowded(limits: list[GroupLimit], problem: Problem, host: Indices, out: Bools) -> None:
    """Members beyond the most of a zone, the lightest."""
    if not limits:
        return
    vms = np.concatenate([g.members for g in limits])
    group = np.repeat(np.arange(len(limits)), [len(g.members) for g in limits])
    zone = np.concatenate([g.zone_of[host[g.members]] for g in limits])
    there = (host[vms] >= 0) & ~out[vms]
    vms, group, zone = vms[there], group[there], zone[there]
    order = np.lexsort((vms, problem.weight[vms], problem.held[vms], zone, group))
    vms, group, zone = vms[order], group[order], zone[order]
    new = np.ones(len(vms), dtype=np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (zone[1:] != zone[:-1])
    starts = np.flatnonzero(new)
    members = np.diff(np.append(starts, len(vms)))
    rank = np.arange(len(vms)) - np.repeat(starts, members)
    surplus = members - np.array([g.most for g in limits])[group[starts]]
    out[vms[(rank < np.repeat(surplus, members)) & ~problem.held[vms]]] = True


def _mixed(rule: Disjoint, problem: Problem, host: Indices, out: Bools) -> None:
    """On a node with several classes all but one leave: the one with held VMs stays, else the heaviest."""
    vms = np.flatnonzero((rule.class_of >= 0) & (host >= 0) & ~out)
    pairs, which = np.unique(np.stack((host[vms], rule.class_of[vms]), axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    held = np.bincount(which, weights=problem.held[vms], minlength=len(pairs))
    heavy = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(heavy, which, problem.weight[vms])
    order = np.lexsort((heavy, held, pairs[:, 0]))
    stays = np.zeros(len(pairs), dtype=np.bool_)
    stays[order] = np.append(pairs[order][1:, 0] != pairs[order][:-1, 0], True) if len(order) else False
    out[vms[~stays[which] & ~problem.held[vms]]] = True


def _over(rule: SetLimit, problem: Problem, host: Indices, out: Bools) -> None:
    """The lightest VM that is enough, or the lighter ones for their amount, less those not needed after all."""
    vms = np.flatnonzero(np.isin(host, rule.nodes) & ~out & (rule.amount > 0))
    surplus = int(rule.amount[vms].sum()) - rule.most
    vms = vms[~problem.held[vms]]
    if surplus <= 0 or not len(vms):
        return
    vms = vms[np.lexsort((vms, problem.weight[vms] / rule.amount[vms]))]
    leavers = vms[: int(np.searchsorted(np.cumsum(rule.amount[vms]), surplus)) + 1]
    spare = int(rule.amount[leavers].sum()) - surplus
    needed = []
    for v in leavers[np.lexsort((leavers, -problem.weight[leavers]))]:
        if rule.amount[v] <= spare:
            spare -= int(rule.amount[v])
        else:
            needed.append(v)
    enough = vms[rule.amount[vms] >= surplus]
    one = enough[np.lexsort((enough, problem.weight[enough]))][:1]
    lighter = len(one) and problem.weight[one].sum() < problem.weight[needed].sum()
    out[one if lighter else needed] = True


def _too_many(rule: UsageLimit, problem: Problem, host: Indices, out: Bools) -> None:
    """The nodes whose VMs weigh least are emptied until few enough of the set are in use."""
    vms = np.flatnonzero(np.isin(host, rule.nodes) & ~out)
    weight: Integers = np.zeros(problem.n_nodes, dtype=np.int64)
    np.add.at(weight, host[vms], problem.weight[vms])
    stuck = np.zeros(problem.n_nodes, dtype=np.bool_)
    stuck[host[vms[problem.held[vms]]]] = True
    used = np.unique(host[vms])
    surplus = len(used) - rule.most
    if surplus > 0:
        free = used[~stuck[used]]
        free = free[np.lexsort((free, weight[free]))][:surplus]
        out[vms[np.isin(host[vms], free)]] = True
