"""Identical VMs and identical nodes merged: what column generation works on.

VMs are alike when they demand the same and may use the same nodes; nodes are alike when they offer the same, cost the same and may be
used by the same VMs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from entropy.placement.bounds.parts import Given
from entropy.problem.problem import Bools, Indices, Integers, Problem

__all__ = ["Classes", "alike", "merged"]


@dataclass(frozen=True)
class Classes:
    """K classes of VMs still to be placed and M classes of nodes.

    demand     int64[K, R], ``vms[k]`` the members, ``count`` int64[K] how many are to be placed
    room       int64[M, R], ``cost`` int64[M] of taking one into use (0: in use anyway), ``nodes[m]`` the members, ``available`` int64[M]
               how many are left
    most       int64[M, K]  how many of class k one node of class m can hold by itself
    base       cost of the nodes in use anyway
    """

    demand: Integers
    vms: tuple[Indices, ...]
    count: Integers
    room: Integers
    cost: Integers
    nodes: tuple[Indices, ...]
    available: Integers
    most: Integers
    base: int

    def without(self, count: Integers, available: Integers) -> Classes:
        """What is left when so many VMs int64[K] are placed and so many nodes int64[M] are taken."""
        left = np.maximum(self.count - count, 0)
        return replace(self, count=left, available=self.available - available, most=np.minimum(self.most, left[None, :]))


def merged(problem: Problem, known: Given, *, most_classes: int, most_nodes: int) -> Classes | None:
    """The classes of what is left to place; ``None`` where there are more than so many of VMs or of nodes."""
    free = known.free
    order, starts = alike(np.column_stack((problem.demand[free], problem.domain_of[free])))
    if len(starts) > most_classes:
        return None
    vms = tuple(free[part] for part in np.split(order, starts[1:])) if len(starts) else ()
    first = np.array([int(members[0]) for members in vms], dtype=np.int64)
    rows, row_of = np.unique(problem.domain_of[first], return_inverse=True)
    table = problem.domains[rows]
    usable = np.flatnonzero(table.any(axis=0)).astype(np.int32)
    node_order, node_starts = alike(np.column_stack((known.room[usable], known.cost[usable], _signature(table[:, usable]))))
    if len(node_starts) > most_nodes:
        return None
    nodes = tuple(usable[part] for part in np.split(node_order, node_starts[1:])) if len(node_starts) else ()
    example = np.array([int(members[0]) for members in nodes], dtype=np.int64)
    demand, room = problem.demand[first], known.room[example]
    count = np.array([len(v) for v in vms], dtype=np.int64)
    return Classes(
        demand=demand,
        vms=vms,
        count=count,
        room=room,
        cost=known.cost[example],
        nodes=nodes,
        available=np.array([len(n) for n in nodes], dtype=np.int64),
        most=_most(demand, count, room, table[row_of][:, example].T),
        base=known.base,
    )


def alike(rows: Integers) -> tuple[Indices, Indices]:
    """(order, starts): ``order[starts[k]:starts[k + 1]]`` are the positions of the k-th distinct row, ascending."""
    code = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T if len(rows) else ():
        if column.min() == column.max():
            continue
        _, rank = np.unique(column, return_inverse=True)
        _, code = np.unique(code * (int(rank.max()) + 1) + rank, return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    return order.astype(np.int32), starts.astype(np.int32)


def _signature(table: Bools) -> Integers:
    """int64[n]: equal for nodes that are in the same sets."""
    if len(table) == 1:
        return np.zeros(table.shape[1], dtype=np.int64)
    _, code = np.unique(np.packbits(table, axis=0).T, axis=0, return_inverse=True)
    return np.asarray(code.reshape(-1), dtype=np.int64)


def _most(demand: Integers, count: Integers, room: Integers, may: Bools) -> Integers:
    out = np.where(may, count[None, :], 0)
    for r in range(demand.shape[1]):
        takes = demand[:, r] > 0
        out[:, takes] = np.minimum(out[:, takes], room[:, r, None] // demand[None, takes, r])
    return np.asarray(out, dtype=np.int64)
