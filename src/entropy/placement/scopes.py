"""The zones that some groups choose from, and what each zone offers."""

from __future__ import annotations

import numpy as np

from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers, Together

__all__ = ["Scope", "scope_of"]

_TABLE = 4_000_000
"""Cells of the largest table that says who is where."""


class Scope:
    """Zone k is ``nodes[start[k]:start[k + 1]]``.

    ``zone_of`` int32[N + 1]: each node's zone where no node is in two, -1 in none (the last entry is for "nowhere"); ``None`` otherwise.
    ``offered`` float64[R, Z]: what the zones' nodes offer in all; ``floor``: the same, at least 1.
    """

    def __init__(self, start: Indices, nodes: Indices, capacity: Floats) -> None:
        self.start, self.nodes, self._capacity = start, nodes, capacity
        self.zone_of: Indices | None = None
        if len(np.unique(nodes)) == len(nodes):
            self.zone_of = np.full(len(capacity) + 1, -1, dtype=np.int32)
            self.zone_of[nodes] = np.repeat(np.arange(self.size), np.diff(start))
        self._members: Floats | None = None
        """[Z, N]: 1 where a node is in a zone; only of zones that overlap."""
        if self.zone_of is None and self.size * len(capacity) <= _TABLE:
            self._members = np.zeros((self.size, len(capacity)))
            self._members[np.repeat(np.arange(self.size), np.diff(start)), nodes] = 1.0
        self.offered = self._sums(capacity)
        self.floor = np.maximum(self.offered, 1.0)
        self._masks: dict[int, Bools] = {}
        self._largest: dict[int, tuple[Floats, Integers]] = {}
        self._room: Floats | None = None

    @property
    def size(self) -> int:
        """Z, the number of zones."""
        return len(self.start) - 1

    def inside(self, zone: int) -> Indices:
        """The zone's nodes."""
        return self.nodes[self.start[zone] : self.start[zone + 1]]

    def mask(self, zone: int) -> Bools:
        """bool[N]: the zone's nodes."""
        if zone not in self._masks:
            mask = np.zeros(len(self._capacity), dtype=np.bool_)
            mask[self.inside(zone)] = True
            self._masks[zone] = mask
        return self._masks[zone]

    def counted(self, hosts: Indices, weight: Floats, of_party: Integers, parties: int) -> Floats:
        """float64[G, Z]: each party's weight on each zone's nodes; ``hosts`` of -1 count nowhere."""
        out = np.zeros((parties, self.size))
        if self.zone_of is not None:
            zones = self.zone_of[hosts]
            np.add.at(out, (of_party[zones >= 0], zones[zones >= 0]), weight[zones >= 0])
            return out
        for party in range(parties):
            here = (of_party == party) & (hosts >= 0)
            on = np.bincount(hosts[here], weight[here], minlength=len(self._capacity)).astype(np.float64)
            out[party] = self._sums(on[:, None])[0]
        return out

    def room(self, free: Floats) -> Floats:
        """float64[R, Z]: what is free in the zones in all; what changes in ``free`` is told with ``changed`` or ``take``."""
        if self._room is None:
            self._room = self._sums(free)
        return self._room

    def changed(self, nodes: Indices, amounts: Floats) -> None:
        """``free`` of ``nodes`` has grown by ``amounts``."""
        if self._room is None:
            return
        if self.zone_of is not None:
            zones = self.zone_of[nodes]
            np.add.at(self._room.T, zones[zones >= 0], amounts[zones >= 0])
        elif self._members is not None:
            self._room += (self._members[:, nodes] @ amounts).T
        else:
            self._room = None

    def take(self, zone: int, amounts: Integers, free: Floats) -> None:
        """So much is taken of one zone, wherever in it."""
        if zone >= 0:
            self.room(free)[:, zone] -= amounts

    def largest(self, domain: Bools, key: int | None) -> tuple[Floats, Integers]:
        """(float64[K, R + 1], int64[Z]): kinds of zones, and which kind each is: the most that one of its nodes in ``domain`` offers, and
        1 where there is one at all, else -1.

        The same ``key``, the same domain; ``None``: not to be remembered.
        """
        if key is not None and key in self._largest:
            return self._largest[key]
        table = np.where(domain[:, None], np.column_stack((self._capacity, np.ones(len(domain)))), -1.0)
        found = np.full((self.size, table.shape[1]), -1.0)
        filled = np.flatnonzero(np.diff(self.start))
        if len(filled):
            found[filled] = np.maximum.reduceat(table[self.nodes], self.start[filled], axis=0)
        kinds, kind = np.unique(found, axis=0, return_inverse=True)
        answer = kinds, np.asarray(kind.ravel(), dtype=np.int64)
        if key is not None:
            self._largest[key] = answer
        return answer

    def _sums(self, per_node: Floats) -> Floats:
        sums = np.concatenate((np.zeros((1, per_node.shape[1])), np.cumsum(per_node[self.nodes], axis=0)))
        return np.ascontiguousarray((sums[self.start[1:]] - sums[self.start[:-1]]).T)


def scope_of(group: Together, capacity: Floats, known: dict[tuple[int, int], Scope]) -> Scope:
    """The scope of ``group``; groups that have the same arrays share one.  ``capacity`` float64[N, R]."""
    key = (id(group.zone_start), id(group.zone_nodes))
    if key not in known:
        known[key] = Scope(group.zone_start, group.zone_nodes, capacity)
    return known[key]
