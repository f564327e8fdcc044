"""Which node takes which of the sets of VMs that were packed: nodes that are alike are exchanged so that much memory stays where it is."""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds.classes import alike
from entropy.placement.packing.state import Packing
from entropy.problem.problem import Indices, Integers

__all__ = ["settled"]


def settled(s: Packing, room: Integers, cost: Integers, home: Indices, weight: Integers) -> Indices:
    """``s.where`` int32[n] with the contents of nodes exchanged that offer the same ``room`` int64[m, R] to the same VMs at the same cost.

    ``home`` int32[n]: node of the packing where each VM runs now, -1 elsewhere; ``weight`` int64[n] its memory.  Greedy: the largest share
    of what stays first.
    """
    m = len(room)
    rules = [np.packbits(s.allowed, axis=0).T.astype(np.int64)] if len(s.allowed) else []
    zones = [s.zone.T.astype(np.int64)] if len(s.zone) else []
    order, starts = alike(np.column_stack((room, cost, *rules, *zones)))
    kind = np.empty(m, dtype=np.int64)
    kind[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, m)))
    fits = (s.where >= 0) & (home >= 0)
    fits[fits] = kind[s.where[fits]] == kind[home[fits]]
    pairs, which = np.unique(s.where[fits].astype(np.int64) * m + home[fits], return_inverse=True)
    stays = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(stays, which.reshape(-1), weight[fits])
    node_of = np.full(m, -1, dtype=np.int32)
    taken = np.zeros(m, dtype=np.bool_)
    for pair in pairs[np.lexsort((pairs, -stays))].tolist():
        old, new = divmod(pair, m)
        if node_of[old] < 0 and not taken[new]:
            node_of[old] = new
            taken[new] = True
    for first, last in zip(starts, [*starts[1:].tolist(), m], strict=True):
        members = order[first:last]
        node_of[members[node_of[members] < 0]] = members[~taken[members]]
    return np.where(s.where >= 0, node_of[s.where], -1).astype(np.int32)
