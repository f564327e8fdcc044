"""What the packing kernels work on: some nodes, the VMs that may move among them, and those that are nowhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["Grouping", "Packing", "admits", "next_random", "packing", "put", "take", "width"]


class Packing(NamedTuple):
    """n VMs, m nodes, R resources, D domains, G groups; changed in place.

    demand   int64[n, R], free int64[m, R] room left, allowed bool[D, m], domain_of int32[n]
    size     float64[n]  demand as one number, ``price`` float64[R] that of a unit
    items    int32[m, w] VMs on each node, the first ``number`` int32[m] of each row; ``where`` int32[n] node of each VM, -1 nowhere
    pool     int32[n]    VMs that are nowhere, the first ``left`` int64[1]; the last one is the next
    penalty  int64[n]    what throwing a VM out costs: grows while it finds no room
    groups   of VM i: ``group_of[group_start[i]:group_start[i + 1]]``; at most ``most`` int64[G] members in one zone,
             ``zone`` int32[G, m] the zone of each node, ``there`` int64[G, Z] the members in each, also those that may not move
    rng      int64[1]    state of the generator
    """

    demand: Integers
    free: Integers
    allowed: Bools
    domain_of: Indices
    size: Floats
    price: Floats
    items: Indices
    number: Indices
    where: Indices
    pool: Indices
    left: Integers
    penalty: Integers
    group_start: Indices
    group_of: Indices
    most: Integers
    zone: Indices
    there: Integers
    rng: Integers


class Grouping(NamedTuple):
    """Group limits of a packing; see ``Packing``."""

    group_start: Indices
    group_of: Indices
    most: Integers
    zone: Indices
    there: Integers


_HARDEST = 10_000
"""Penalty at first of the largest VM: large ones are thrown out last."""


def packing(
    demand: Integers, room: Integers, allowed: Bools, domain_of: Indices, where: Indices, grouping: Grouping | None, seed: int
) -> Packing:
    """A packing with the VMs as ``where`` int32[n] has them (-1: nowhere); ``room`` int64[m, R] is what nodes offer to these VMs.

    ``grouping.there`` counts only those that may not move.
    """
    n, m = len(demand), len(room)
    if grouping is None:
        none = np.zeros((0, m), dtype=np.int32)
        grouping = Grouping(
            np.zeros(n + 1, dtype=np.int32), none.reshape(-1), np.zeros(0, dtype=np.int64), none, np.zeros((0, 1), dtype=np.int64)
        )
    offered = np.maximum(room, 0).sum(axis=0).astype(np.float64)
    total = demand.sum(axis=0).astype(np.float64)
    # a unit is worth what it takes of all there is, and the more the scarcer the resource
    price = np.where(offered > 0, total / np.maximum(offered, 1.0), 0.0) / np.maximum(offered, 1.0) * m
    size = demand @ price
    largest = max(float(size.max(initial=0.0)), 1e-300)
    s = Packing(
        demand=np.array(demand, dtype=np.int64, order="C"),
        free=np.array(room, dtype=np.int64, order="C"),
        allowed=np.array(allowed, dtype=np.bool_, order="C"),
        domain_of=np.array(domain_of, dtype=np.int32),
        size=size,
        price=price,
        items=np.zeros((m, width(demand, room)), dtype=np.int32),
        number=np.zeros(m, dtype=np.int32),
        where=np.full(n, -1, dtype=np.int32),
        pool=np.zeros(max(n, 1), dtype=np.int32),
        left=np.zeros(1, dtype=np.int64),
        penalty=1 + (size * (_HARDEST / largest)).astype(np.int64),
        group_start=grouping.group_start,
        group_of=grouping.group_of,
        most=grouping.most,
        zone=grouping.zone,
        there=grouping.there.copy(),
        rng=np.array([1 + (seed * 7919 + 12345) % 2147483646], dtype=np.int64),
    )
    placed = np.flatnonzero(where >= 0)
    for i in placed:
        put(s, int(i), int(where[i]))
    nowhere = np.flatnonzero(where < 0)
    nowhere = nowhere[np.argsort(size[nowhere], kind="stable")]
    s.pool[: len(nowhere)] = nowhere
    s.left[0] = len(nowhere)
    return s


def width(demand: Integers, room: Integers) -> int:
    """Most VMs that one node can hold."""
    width = len(demand)
    for r in range(demand.shape[1]):
        smallest = np.cumsum(np.sort(demand[:, r]))
        width = min(width, int(np.searchsorted(smallest, int(room[:, r].max(initial=0)), side="right")))
    return max(width, 1)


@kernel
def next_random(rng: Integers, below: int) -> int:
    """A number from 0 to ``below`` - 1 (Park and Miller's minimal standard generator: the same in both twins)."""
    rng[0] = rng[0] * 48271 % 2147483647
    return int(rng[0] % below)


@kernel
def admits(s: Packing, i: int, b: int, leaving: Indices, leavers: int) -> bool:
    """Do the groups of VM i let it onto node b, when the first ``leavers`` VMs of ``leaving`` go from there?"""
    for x in range(s.group_start[i], s.group_start[i + 1]):
        g = s.group_of[x]
        z = s.zone[g, b]
        there = s.there[g, z]
        if s.where[i] >= 0 and s.zone[g, s.where[i]] == z:
            there -= 1
        if there < s.most[g]:
            continue
        for k in range(leavers):
            j = leaving[k]
            for y in range(s.group_start[j], s.group_start[j + 1]):
                if s.group_of[y] == g:
                    there -= 1
        if there >= s.most[g]:
            return False
    return True


@kernel
def put(s: Packing, i: int, b: int) -> None:
    """VM i, which is nowhere, goes to node b."""
    s.items[b, s.number[b]] = i
    s.number[b] += 1
    s.where[i] = b
    for r in range(s.demand.shape[1]):
        s.free[b, r] -= s.demand[i, r]
    for x in range(s.group_start[i], s.group_start[i + 1]):
        g = s.group_of[x]
        s.there[g, s.zone[g, b]] += 1


@kernel
def take(s: Packing, i: int) -> None:
    """VM i leaves its node for nowhere."""
    b = s.where[i]
    for x in range(s.number[b]):
        if s.items[b, x] == i:
            s.number[b] -= 1
            s.items[b, x] = s.items[b, s.number[b]]
            break
    s.where[i] = -1
    for r in range(s.demand.shape[1]):
        s.free[b, r] += s.demand[i, r]
    for x in range(s.group_start[i], s.group_start[i + 1]):
        g = s.group_of[x]
        s.there[g, s.zone[g, b]] -= 1
