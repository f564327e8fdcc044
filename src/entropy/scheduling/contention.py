"""Which actions have to be ordered at all: most of a large plan waits for nothing, and nothing waits for it.

A counter is *scarce* when it cannot take everything that comes before something has left.  An action that takes from no scarce
counter can start at once whatever the others do; if it gives to none either, nobody needs to know when it ends.  Such actions
are *in bulk*: they stay arrays, and only their sums are written into the books.  All others become steps to be ordered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from entropy.problem.problem import Bools, Indices, Problem, positions
from entropy.scheduling.rooms import Apart, Books, Readable, Zones, summed
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
    place = _places(problem, moves)
    crossings = [_crossings(zones, moves, place, arrives, leaves) for zones in books.zones]
    asked = summed(problem.n_nodes, moves.target[arrives], problem.demand[moves.vm[arrives]])
    visited = np.zeros(problem.n_nodes, dtype=np.bool_)
    visited[moves.target[arrives]] = True
    asked_zones = [zones.by_zone(moves.vm[c.enters], c.into) for zones, c in zip(books.zones, crossings, strict=True)]
    for step in (step for chain in changes.chains.values() for step in chain):
        for counter, amount in step.takes:
            if counter < books.cells:
                node, r = divmod(counter, books.width)
                asked[node, r] += amount
                visited[node] = True
            else:
                number, zone = books.zone(counter)
                asked_zones[number][zone] = asked_zones[number].get(zone, 0) + amount

    met = [_meeting(rule, problem, moves, arrives, changes) for rule in books.apart]
    tight = (books.table < asked) & visited[:, None]
    tight_nodes = np.asarray(tight.any(axis=1))
    careful = (arrives & tight_nodes[moves.target]) | (leaves & tight_nodes[moves.source])
    if changes.startups:
        starting = np.asarray(problem.power & ~problem.online)
        careful |= (moves.source >= 0) & starting[moves.source] | (moves.target >= 0) & starting[moves.target]
    scarce = set(positions(tight.ravel()).tolist())
    for number, (zones, want, c) in enumerate(zip(books.zones, asked_zones, crossings, strict=True)):
        full = [zone for zone, amount in want.items() if zones.room(zone) < amount]
        scarce.update(books.counter(number, zone) for zone in full)
        careful[c.enters[np.isin(c.into, full)]] = True
        careful[c.exits[np.isin(c.out, full)]] = True

    for k, (rule, coming) in enumerate(zip(books.apart, met, strict=True), len(books.zones)):
        mixed = np.asarray(coming.any(axis=1) & (((rule.now > 0) | coming).sum(axis=1) > 1))
        concerned = rule.class_of[moves.vm] >= 0
        careful |= concerned & ((arrives & mixed[moves.target]) | (leaves & mixed[moves.source]))
        for n in positions(mixed).tolist():
            scarce.update(books.counter(k, n * rule.classes + c) for c in range(rule.classes) if coming[n, c])

    bulk = moves[~careful]
    if len(bulk):
        for rule in books.apart:
            rule.take += rule.counts(problem, bulk.vm[arrives[~careful]], changes.host)
            rule.give += rule.counts(problem, bulk.vm[leaves[~careful]], problem.host)
        for zones, c in zip(books.zones, crossings, strict=True):
            enters, exits = ~careful[c.enters], ~careful[c.exits]
            zones.take.update(zones.by_zone(moves.vm[c.enters[enters]], c.into[enters]))
            zones.give.update(zones.by_zone(moves.vm[c.exits[exits]], c.out[exits]))
        comes, goes = arrives[~careful], leaves[~careful]
        books.in_bulk(
            summed(problem.n_nodes, bulk.target[comes], problem.demand[bulk.vm[comes]]),
            summed(problem.n_nodes, bulk.source[goes], problem.consumption[bulk.vm[goes]]),
        )
    rest = moves[careful]
    chains = {int(v): [maker.single(rest, k)] for k, v in enumerate(rest.vm)} | changes.chains
    return Division(bulk, {v: chains[v] for v in sorted(chains)}, scarce)


def drawn_on(problem: Problem, books: Books, bulk: Moves, steps: Sequence[Step], room: Readable) -> Bools:
    """bool[K]: the moves in bulk whose room ``steps`` may need, because ``room`` at the beginning is not enough for them all.

    Only detours make this happen: they come to nodes where nobody else was to come.
    """
    asked: dict[int, int] = {}
    for step in steps:
        for counter, amount in step.takes:
            asked[counter] = asked.get(counter, 0) + amount
    short = [counter for counter, amount in asked.items() if room[counter] < amount]
    arrives, leaves = bulk.arrives(), bulk.leaves(problem)
    nodes = np.zeros(problem.n_nodes, dtype=np.bool_)
    nodes[[c // books.width for c in short if c < books.cells]] = True
    found = np.asarray(leaves & nodes[bulk.source])
    for number, zone in (books.zone(c) for step in steps for c in step.asks):
        rule = books.apart[number - len(books.zones)]
        node, own = divmod(zone, rule.classes)
        others = rule.class_of[bulk.vm]
        found |= leaves & (bulk.source == node) & (others >= 0) & (others != own)
    place = _places(problem, bulk)
    full: dict[int, list[int]] = {}
    for number, zone in (books.zone(c) for c in short if c >= books.cells):
        full.setdefault(number, []).append(zone)
    for number, zones in full.items():
        c = _crossings(books.zones[number], bulk, place, arrives, leaves)
        found[c.exits[np.isin(c.out, zones)]] = True
    return found


def _meeting(rule: Apart, problem: Problem, moves: Moves, arrives: Bools, changes: Changes) -> Bools:
    """bool[N, classes]: which classes come to which nodes."""
    found = rule.counts(problem, moves.vm[arrives], changes.host) > 0
    for step in (step for chain in changes.chains.values() for step in chain):
        if step.asks and rule.class_of[step.vm] >= 0:
            found[step.target, rule.class_of[step.vm]] = True
    return np.asarray(found)


class _Crossings(NamedTuple):
    """Moves that ``enter`` a zone from outside it, ``into`` which; and moves that leave (``exits``) a zone, ``out`` of which."""

    enters: Indices
    into: Indices
    exits: Indices
    out: Indices


def _places(problem: Problem, moves: Moves) -> Indices:
    """int32[V]: which move is a VM's, -1 for none."""
    place = np.full(problem.n_vms, -1, dtype=np.int32)
    place[moves.vm] = np.arange(len(moves), dtype=np.int32)
    return place


def _crossings(zones: Zones, moves: Moves, place: Indices, arrives: Bools, leaves: Bools) -> _Crossings:
    if zones.members is not None:
        mine = place[zones.members]
        mine = mine[mine >= 0]
    else:
        mine = positions(zones.counted(moves.vm) > 0)
    into = np.where(arrives[mine], zones.zone_of[moves.target[mine]], -1)
    out = np.where(leaves[mine], zones.zone_of[moves.source[mine]], -1)
    comes, goes = (into >= 0) & (into != out), (out >= 0) & (into != out)
    return _Crossings(mine[comes], into[comes], mine[goes], out[goes])
