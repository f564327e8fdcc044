"""Nodes around a soft rule that is broken: where those are that break it, and where there is room to mend it."""

from __future__ import annotations

import numpy as np

from entropy.placement.soft import Soft, soft_costs
from entropy.problem.problem import Disjoint, GroupLimit, Indices, Preference, Problem, SetLimit, Together, UsageLimit
from entropy.problem.togetherness import counts

__all__ = ["around_a_broken_rule"]


def around_a_broken_rule(problem: Problem, host: Indices, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """(nodes of those that break one of the soft rules, nodes that could take them); both may be empty.

    The rule is drawn at random, by what it costs.
    """
    found = list(soft_costs(problem, host))
    if not found:
        return host[:0], host[:0]
    cost = np.array([float(c) for _, c in found])
    wrong, right = _around(problem, found[int(rng.choice(len(found), p=cost / cost.sum()))][0], host, rng)
    return np.unique(wrong[wrong >= 0]).astype(np.int32), np.unique(right).astype(np.int32)


def _around(problem: Problem, rule: Soft, host: Indices, rng: np.random.Generator) -> tuple[Indices, Indices]:
    nodes = np.arange(problem.n_nodes, dtype=np.int32)
    match rule:
        case GroupLimit():
            there = host[rule.members]
            zones = rule.zone_of[there[there >= 0]]
            count = np.bincount(zones, minlength=rule.zones)
            return there[there >= 0][count[zones] > rule.most], nodes[(count < rule.most)[rule.zone_of]]
        case Together():
            there = host[rule.members]
            there = there[there >= 0]
            inside = counts(rule, there, problem.n_nodes).astype(np.float64)
            zone = int(rng.choice(len(inside), p=inside / inside.sum())) if inside.any() else int(rng.integers(len(inside)))
            zone_nodes = rule.zone_nodes[rule.zone_start[zone] : rule.zone_start[zone + 1]]
            return there[~np.isin(there, zone_nodes)], zone_nodes
        case Disjoint():
            concerned = np.flatnonzero((rule.class_of >= 0) & (host >= 0))
            pairs = np.unique(np.stack((host[concerned], rule.class_of[concerned]), axis=1), axis=0)
            on, classes = np.unique(pairs[:, 0], return_counts=True)
            mixed = on[classes > 1]
            return mixed[rng.integers(len(mixed), size=1)], nodes
        case SetLimit() | UsageLimit():
            used = rule.nodes[np.isin(rule.nodes, host)]
            some = used[rng.permutation(len(used))[:2]]
            return some, np.setdiff1d(nodes, rule.nodes).astype(np.int32) if isinstance(rule, SetLimit) else used
        case Preference():
            there = host[rule.members]
            there = there[there >= 0]
            return there[~rule.mask[there]], nodes[rule.mask]
