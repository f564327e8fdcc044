"""Which node takes which pattern, and which VM which place: as much memory as possible stays where it is.

A node that takes a pattern keeps, of each class of VMs, as many of its own as the pattern has.  What is kept so depends on the node and
the pattern alone, and VMs of a class are alike, so the best choice is a transportation problem, whose linear programme has whole
solutions.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds.classes import Classes, alike
from entropy.placement.bounds.cover import Floats
from entropy.placement.bounds.linear import INFINITE, Sparse, linear
from entropy.placement.bounds.parts import Given
from entropy.placement.bounds.patterns import Uses
from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["placed", "residents", "settled"]

_CELLS = 40_000_000
"""Nodes x classes of VMs up to which a table of them is made."""
_ARCS = 300_000
"""Pairs of node and pattern up to which the best matching is found; beyond, the pairs that keep most are taken first."""


def placed(problem: Problem, known: Given, classes: Classes, uses: Uses) -> Indices | None:
    """int32[V] hosts of a placement with these uses of patterns; ``None`` where they do not cover all VMs, or memory would not do."""
    if problem.n_nodes * len(classes.vms) > _CELLS:
        return None
    have = residents(problem, classes)
    weight = np.array([int(problem.weight[members[0]]) for members in classes.vms], dtype=np.int64)
    pattern_on: dict[int, Integers] = {}
    for m, nodes in enumerate(classes.nodes):
        mine = np.flatnonzero(uses.node_class == m)
        if len(mine):
            taken = _matched(have[nodes], uses.patterns[mine], uses.times[mine], weight)
            pattern_on |= {int(nodes[n]): uses.patterns[mine[p]] for n, p in enumerate(taken) if p >= 0}
    return settled(problem, known, classes, pattern_on)


def residents(problem: Problem, classes: Classes) -> Integers:
    """int64[N, K]: VMs of each class that run on each node now."""
    home = observed_hosts(problem)
    have = np.zeros((problem.n_nodes, len(classes.vms)), dtype=np.int64)
    for k, members in enumerate(classes.vms):
        at = home[members]
        np.add.at(have[:, k], at[at >= 0], 1)
    return have


def settled(problem: Problem, known: Given, classes: Classes, pattern_on: dict[int, Integers]) -> Indices | None:
    """Hosts where each node of ``pattern_on`` holds its pattern of VMs: first its own, then others; ``None`` if some VM finds no place."""
    host, home = known.on.copy(), observed_hosts(problem)
    room = {n: pattern.copy() for n, pattern in pattern_on.items()}
    for k, members in enumerate(classes.vms):
        for v in members:
            if (left := room.get(int(home[v]))) is not None and left[k] > 0:
                left[k] -= 1
                host[v] = home[v]
    places: list[list[int]] = [[] for _ in classes.vms]
    for n, left in room.items():
        for j in np.flatnonzero(left):
            places[int(j)] += [n] * int(left[j])
    for members, free in zip(classes.vms, places, strict=True):
        waiting = members[host[members] < 0]
        if len(waiting) > len(free):
            return None
        host[waiting] = free[: len(waiting)]
    return host


def _matched(have: Integers, patterns: Integers, times: Integers, weight: Integers) -> Integers:
    """int64[n]: the pattern that each node takes, or -1; ``have`` int64[n, K] the VMs of each class that each node has now."""
    order, starts = alike(have)
    groups = np.split(order, starts[1:])
    kept = np.zeros((len(groups), len(patterns)), dtype=np.int64)
    for g, members in enumerate(groups):
        for k in np.flatnonzero(have[members[0]]):
            kept[g] += weight[k] * np.minimum(patterns[:, k], have[members[0], k])
    size = np.array([len(members) for members in groups], dtype=np.int64)
    amounts = _transport(kept, size, times)
    taken = np.full(len(have), -1, dtype=np.int64)
    for g, members in enumerate(groups):
        chosen = np.repeat(np.arange(len(patterns)), amounts[g])
        taken[members[: len(chosen)]] = chosen
    rest = np.repeat(np.arange(len(patterns)), times - amounts.sum(axis=0))
    taken[np.flatnonzero(taken < 0)[: len(rest)]] = rest
    return taken


def _transport(kept: Integers, size: Integers, times: Integers) -> Integers:
    """int64[G, P]: how many nodes of each group take each pattern, so that most is kept."""
    group, pattern = np.nonzero(kept)
    out = np.zeros(kept.shape, dtype=np.int64)
    worth = kept[group, pattern]
    if 0 < len(worth) <= _ARCS:
        flow = np.rint(_flow(worth.astype(np.float64), group, pattern, size, times)).astype(np.int64)
        out[group, pattern] = np.maximum(flow, 0)
        if (out.sum(axis=1) <= size).all() and (out.sum(axis=0) <= times).all():
            return out
        out[:] = 0
    nodes, uses = size.copy(), times.copy()
    for a in np.argsort(-worth, kind="stable"):
        g, p = group[a], pattern[a]
        out[g, p] = min(nodes[g], uses[p])
        nodes[g] -= out[g, p]
        uses[p] -= out[g, p]
    return out


def _flow(worth: Floats, group: Integers, pattern: Integers, size: Integers, times: Integers) -> Floats:
    columns = Sparse()
    for g, p in zip(group.tolist(), pattern.tolist(), strict=True):
        columns.add([g, len(size) + p], [1.0, 1.0])
    above = np.concatenate((size, times))
    highs = linear(-worth / worth.max(), np.full(len(worth), INFINITE), np.full(len(above), -INFINITE), above, columns)
    highs.setOptionValue("solver", "simplex")
    highs.run()
    return np.array(highs.getSolution().col_value, dtype=np.float64)
