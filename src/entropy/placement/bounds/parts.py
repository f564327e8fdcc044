"""What is left to place when VMs that cannot choose are on their nodes, cut into parts that share no node.

The costs of such parts add up.  VMs that can choose no other node count as placed: their nodes are in use, and offer what they leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Given", "Part", "given", "partitions", "usable_nodes"]

_RULES = 16
"""Rules that keep classes of VMs apart which are looked at, the largest first."""
_ROWS = 2_000
"""Distinct sets of nodes up to which parts are sought."""


@dataclass(frozen=True)
class Given:
    """``room`` int64[N, R] that nodes offer besides what is placed; ``cost`` int64[N] of taking each into use, 0 for those in use
    anyway (``in_use`` bool[N]), whose cost is ``base``; ``free`` the VMs that are still to be placed, ``on`` int32[V] where the others are
    (-1 for the free)."""

    room: Integers
    cost: Integers
    in_use: Bools
    base: int
    free: Indices
    on: Indices


@dataclass(frozen=True)
class Part:
    """VMs, and all nodes that any of them may use."""

    vms: Indices
    nodes: Indices


def usable_nodes(problem: Problem) -> Bools:
    """bool[N]: nodes that some VM may run on at the end."""
    runs = problem.runs_at_end()
    usable = np.asarray(problem.domains[_rows(problem, runs)].any(axis=0))
    held = runs & problem.held
    usable[problem.host[held]] = True
    return usable


def _rows(problem: Problem, vms: Bools | Indices) -> Indices:
    return positions(np.bincount(problem.domain_of[vms], minlength=len(problem.domains)) > 0)


def given(problem: Problem, node_cost: Integers) -> Given:
    """The nodes in use anyway, and what is left to place."""
    runs = problem.runs_at_end()
    single = problem.domains.sum(axis=1) == 1
    only = np.where(single, problem.domains.argmax(axis=1), -1).astype(np.int32)
    on = np.where(runs & problem.held, problem.host, np.where(runs, only[problem.domain_of], -1)).astype(np.int32)
    placed = positions(on >= 0)
    room = problem.capacity.copy()
    np.subtract.at(room, on[placed], problem.demand[placed])
    in_use = np.zeros(problem.n_nodes, dtype=np.bool_)
    in_use[on[placed]] = True
    return Given(
        room=np.maximum(room, 0),
        cost=np.where(in_use, 0, node_cost).astype(np.int64),
        in_use=in_use,
        base=int(node_cost[in_use].sum()),
        free=positions(runs & (on < 0)),
        on=on,
    )


def partitions(problem: Problem, known: Given) -> Iterator[list[Part]]:
    """Ways to cut: by the sets of nodes that VMs may use, with and without the VMs that may use most; by each rule of disjoint nodes.

    Each is valid; which bounds best cannot be told beforehand.
    """
    rows = _rows(problem, known.free)
    table = problem.domains[rows]
    if not len(rows):
        return
    yield _components(problem, known, rows) if len(rows) <= _ROWS else [Part(known.free, positions(table.any(axis=0)))]
    size = table.sum(axis=1)
    narrow = rows[size < size.max()]
    if 0 < len(narrow) <= _ROWS:
        yield _components(problem, known, narrow)
    apart = sorted((d for d in problem.disjoint if d.weight == 0), key=lambda d: -int((d.class_of >= 0).sum()))
    for rule in apart[:_RULES]:
        yield _classes(problem, known, rule.class_of)


def _components(problem: Problem, known: Given, rows: Indices) -> list[Part]:
    """VMs of ``rows`` grouped so that no node may be used by two groups."""
    group_of = np.full(len(problem.domains), -1, dtype=np.int64)
    owner = np.full(problem.n_nodes, -1, dtype=np.int64)
    for row in rows:
        nodes = positions(problem.domains[row])
        met = np.unique(owner[nodes])
        met = met[met >= 0]
        group_of[np.isin(group_of, met)] = row
        owner[np.isin(owner, met)] = row
        owner[nodes] = row
        group_of[row] = row
    mine = group_of[problem.domain_of[known.free]]
    groups = np.unique(mine[mine >= 0])
    if len(groups) == 1 and (mine >= 0).all():
        return [Part(known.free, positions(owner >= 0))]
    order = np.argsort(mine, kind="stable")
    starts = np.searchsorted(mine[order], groups)
    ends = np.searchsorted(mine[order], groups, side="right")
    return [Part(known.free[order[a:b]], positions(owner == g)) for g, a, b in zip(groups, starts, ends, strict=True)]


def _classes(problem: Problem, known: Given, class_of: Indices) -> list[Part]:
    """One part a class; nodes where a VM of another class must be are closed to it.

    The parts may list the same nodes, but use different ones.
    """
    placed = positions((known.on >= 0) & (class_of >= 0))
    parts = []
    for c in np.unique(class_of[known.free]):
        if c < 0:
            continue
        vms = known.free[class_of[known.free] == c]
        nodes = np.asarray(problem.domains[_rows(problem, vms)].any(axis=0))
        nodes[known.on[placed[class_of[placed] != c]]] = False
        parts.append(Part(vms, positions(nodes)))
    return parts
