"""Which actions have to be ordered at all: most of a large plan waits for nothing, and nothing waits for it.

A counter is *scarce* when it cannot take everything that comes before something has left.  An action that takes from no scarce
counter can start at once whatever the others do; if it gives to none either, nobody needs to know when it ends.  Such actions
are *in bulk*: they stay arrays, and only their sums are written into the books.  All others become steps to be ordered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from entropy.problem.problem import Bools, Indices, Integers, Problem, positions
from entropy.scheduling.rooms import Books, Readable, summed
from entropy.scheduling.steps import Changes, Maker, Moves, Step

__all__ = ["Division", "divide", "drawn_on"]


@dataclass(frozen=True)
class Division:
    """``bulk``: what is in bulk; ``chains``: VM -> its actions, of all others; ``scarce``: the scarce counters."""

    bulk: Moves
    chains: dict[int, list[Step]]
    scarce: set[int]


def divide(problem: Problem, books: Books, maker: Maker, changes: Changes) -> Division:
    """The changes by whether they have to be ordered; ``books`` is told of those in bulk."""
    moves = changes.single
    arrives, leaves = moves.arrives(), moves.leaves(problem)
    zones = [_crossings(problem, zone.limit.members, zone.limit.zone_of, moves, arrives, leaves) for zone in books.zones]
    asked = summed(problem.n_nodes, moves.target[arrives], problem.demand[moves.vm[arrives]])
    visited = np.zeros(problem.n_nodes, dtype=np.bool_)
    visited[moves.target[arrives]] = True
    asked_zones = [np.bincount(into, minlength=zone.limit.zones) for zone, (_, into, _, _) in zip(books.zones, zones, strict=True)]
    for step in _steps(changes):
        for counter, amount in step.takes:
            if counter < books.cells:
                node, r = divmod(counter, books.width)
                asked[node, r] += amount
                visited[node] = True
            else:
                limit, z = books.zone(counter)
                asked_zones[limit][z] += amount

    tight = (books.table < asked) & visited[:, None]
    tight_nodes = np.asarray(tight.any(axis=1))
    careful = (arrives & tight_nodes[moves.target]) | (leaves & tight_nodes[moves.source])
    if changes.startups:
        starting = np.asarray(problem.power & ~problem.online)
        careful |= (moves.source >= 0) & starting[moves.source] | (moves.target >= 0) & starting[moves.target]
    scarce = set((positions(tight.ravel())).tolist())
    for number, (zone, want, (into_k, into, out_k, out)) in enumerate(zip(books.zones, asked_zones, zones, strict=True)):
        full = (zone.room < want) & (want > 0)
        scarce.update(books.counter(number, z) for z in positions(full).tolist())
        careful[into_k[full[into]]] = True
        careful[out_k[full[out]]] = True

    bulk = moves[~careful]
    if len(bulk):
        sums = []
        for zone, (into_k, into, out_k, out) in zip(books.zones, zones, strict=True):
            taken, given = into[~careful[into_k]], out[~careful[out_k]]
            sums.append(tuple(np.bincount(z, minlength=zone.limit.zones).astype(np.int64) for z in (taken, given)))
        books.in_bulk(*_at_nodes(problem, bulk, arrives[~careful], leaves[~careful]), [(a, b) for a, b in sums])
    rest = moves[careful]
    chains = {int(v): [maker.single(rest, k)] for k, v in enumerate(rest.vm)} | changes.chains
    return Division(bulk, {v: chains[v] for v in sorted(chains)}, scarce)


def drawn_on(problem: Problem, books: Books, bulk: Moves, steps: Iterable[Step], room: Readable) -> Bools:
    """bool[K]: the moves in bulk whose room ``steps`` may need, because ``room`` at the beginning is not enough for them all.

    Only detours make this happen: they come to nodes where nobody else was to come.
    """
    asked: dict[int, int] = {}
    for step in steps:
        for counter, amount in step.takes:
            asked[counter] = asked.get(counter, 0) + amount
    found = np.zeros(len(bulk), dtype=np.bool_)
    short = [counter for counter, amount in asked.items() if room[counter] < amount]
    arrives, leaves = bulk.arrives(), bulk.leaves(problem)
    nodes = np.zeros(problem.n_nodes, dtype=np.bool_)
    nodes[[c // books.width for c in short if c < books.cells]] = True
    found |= leaves & nodes[bulk.source]
    for number, z in (books.zone(c) for c in short if c >= books.cells):
        limit = books.zones[number].limit
        _, _, out_k, out = _crossings(problem, limit.members, limit.zone_of, bulk, arrives, leaves)
        found[out_k[out == z]] = True
    return found


def _steps(changes: Changes) -> Iterable[Step]:
    return (step for chain in changes.chains.values() for step in chain)


def _crossings(
    problem: Problem, members: Indices, zone_of: Indices, moves: Moves, arrives: Bools, leaves: Bools
) -> tuple[Indices, Indices, Indices, Indices]:
    """(moves of members into another zone, which zone, moves of members out of a zone, which)."""
    place = np.full(problem.n_vms, -1, dtype=np.int32)
    place[moves.vm] = np.arange(len(moves), dtype=np.int32)
    mine = place[members]
    mine = mine[mine >= 0]
    comes, goes = arrives[mine], leaves[mine]
    into, out = zone_of[moves.target[mine]], zone_of[moves.source[mine]]
    inside = comes & goes & (into == out)
    comes, goes = comes & ~inside, goes & ~inside
    return mine[comes], into[comes], mine[goes], out[goes]


def _at_nodes(problem: Problem, moves: Moves, arrives: Bools, leaves: Bools) -> tuple[Integers, Integers]:
    """int64[N, R] each: what ``moves`` take and what they give."""
    takes = summed(problem.n_nodes, moves.target[arrives], problem.demand[moves.vm[arrives]])
    gives = summed(problem.n_nodes, moves.source[leaves], problem.consumption[moves.vm[leaves]])
    return takes, gives
