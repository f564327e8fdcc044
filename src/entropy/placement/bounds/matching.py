"""Which node takes which pattern, and which VM which place: as much memory as possible stays where it is.

A node that takes a pattern keeps, of each class of VMs, as many of its own as the pattern has.  What is kept so depends on the node and
the pattern alone, and VMs of a class are alike, so the best choice is a transportation problem, whose linear programme has whole
solutions.
"""

from __future__ import annotations

import highspy
import numpy as np

from entropy.placement.bounds.classes import Classes, alike
from entropy.placement.bounds.cover import Floats
from entropy.placement.bounds.parts import Given
from entropy.placement.bounds.patterns import Uses
from entropy.placement.bounds.pricing import solver
from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["placed"]

_ARCS = 300_000
"""Pairs of node and pattern up to which the best matching is found; beyond, the pairs that keep most are taken first."""


def placed(problem: Problem, known: Given, classes: Classes, uses: Uses) -> Indices | None:
    """int32[V] hosts of a placement with these uses of patterns; ``None`` where they do not cover all VMs."""
    host = known.on.copy()
    home = observed_hosts(problem)
    class_of = np.full(problem.n_vms, -1, dtype=np.int64)
    for k, members in enumerate(classes.vms):
        class_of[members] = k
    places: list[list[int]] = [[] for _ in classes.vms]
    for m, nodes in enumerate(classes.nodes):
        mine = np.flatnonzero(uses.node_class == m)
        if not len(mine):
            continue
        have = np.zeros((len(nodes), len(classes.vms)), dtype=np.int64)
        at = np.full(problem.n_nodes, -1, dtype=np.int64)
        at[nodes] = np.arange(len(nodes))
        here = np.flatnonzero((class_of >= 0) & (home >= 0))
        here = here[at[home[here]] >= 0]
        np.add.at(have, (at[home[here]], class_of[here]), 1)
        weight = np.array([int(problem.weight[members[0]]) for members in classes.vms], dtype=np.int64)
        taken = _matched(have, uses.patterns[mine], uses.times[mine], weight)
        room = {int(nodes[n]): uses.patterns[mine[p]].copy() for n, p in enumerate(taken) if p >= 0}
        for v in here:
            if (left := room.get(int(home[v]))) is not None and left[class_of[v]] > 0:
                left[class_of[v]] -= 1
                host[v] = home[v]
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
    highs = solver()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(worth), len(size) + len(times)
    lp.col_cost_ = -worth / worth.max()
    lp.col_lower_, lp.col_upper_ = np.zeros(len(worth)), np.full(len(worth), highspy.kHighsInf)
    lp.row_lower_ = np.full(lp.num_row_, -highspy.kHighsInf)
    lp.row_upper_ = np.concatenate((size, times)).astype(np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 2 * len(worth) + 1, 2, dtype=np.int32)
    lp.a_matrix_.index_ = np.column_stack((group, len(size) + pattern)).reshape(-1).astype(np.int32)
    lp.a_matrix_.value_ = np.ones(2 * len(worth))
    highs.setOptionValue("solver", "simplex")
    highs.passModel(lp)
    highs.run()
    return np.array(highs.getSolution().col_value, dtype=np.float64)
