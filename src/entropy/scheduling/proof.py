"""The last word: an exhaustive search over everything that may move, and what follows when it finds nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from entropy.problem.problem import Indices, positions
from entropy.scheduling.effort import Effort
from entropy.scheduling.jobs import Count, Workshop, split
from entropy.scheduling.rooms import Copy, first_lacking, summed
from entropy.scheduling.search import search
from entropy.scheduling.steps import Step

__all__ = ["nothing_moves", "search_everything"]

_LOOKED = 250_000
"""Moves looked at in one search, about a second."""
_MOVERS, _NODES = 14, 14
"""Largest problem that is searched."""
_WAVERING = 4
"""VMs whose consumption is not their demand, up to which each set of them is tried as those that leave and come back."""
_COMPARED = 20_000_000
"""Nodes compared with demands before it is given up to show that nothing moves."""


def search_everything(shop: Workshop, effort: Effort) -> tuple[list[Step] | None, bool]:
    """(an order from the very beginning in which whatever may move moves, is it proven that there is none).

    A VM that is moved away and back counts its consumption until it leaves, one that never is its demand.  Counting the larger
    for all of them finds only what is safe; counting the smaller proves that there is nothing.  Between the two, each set of VMs
    that leave is searched on its own.
    """
    problem, changes = shop.problem, shop.changes
    if problem.n_nodes > _NODES:
        return None, False
    early, core, late = split(changes.everything(shop.maker))
    stayers = shop.stayers().tolist()
    if len(core) + len(stayers) > _MOVERS:
        return None, False
    room = Copy(shop.books.room)
    for step in early:
        step.carry_out(room)
    nodes = range(problem.n_nodes)
    jobs = [shop.job(v, chain, nodes) for v, chain in core.items()]
    movers = [replace(job, suspendable=problem.allow_suspend and job.start >= 0) for job in jobs]
    wavering = [v for v in stayers if (problem.consumption[v] != problem.demand[v]).any()]

    def attempt(count: Count, others: Sequence[int], leaving: Collection[int] = ()) -> tuple[list[Step] | None, bool]:
        optional = [shop.stayer(v, nodes, count, suspendable=problem.allow_suspend, leaves=v in leaving) for v in others]
        found = search(shop.books, room, movers + optional, most=effort.last_looks(_LOOKED))
        if found.moves is None:
            return None, found.exhausted
        steps = [*changes.startups.values(), *early, *shop.steps(found.moves, core), *late]
        return (steps if shop.is_safe(steps) else None), False

    steps, exhausted = attempt(max, stayers)
    if steps is None and exhausted and wavering:
        steps, exhausted = attempt(min, stayers)
        if steps is None and not exhausted and len(wavering) <= _WAVERING:
            exhausted = True
            for leaving in (set(some) for k in range(len(wavering) + 1) for some in combinations(wavering, k)):
                steps, seen = attempt(_as_used, [v for v in stayers if v in leaving or v not in wavering], leaving)
                exhausted &= seen
                if steps is not None:
                    break
    return steps, steps is None and exhausted and not _more_pivots(shop)


def _as_used(_demand: int, consumption: int) -> int:
    return consumption


def _more_pivots(shop: Workshop) -> bool:
    """Could nodes that are to be shut down, which the problem excludes, serve as pivots until then?"""
    return bool(shop.changes.shutdowns)


def nothing_moves(shop: Workshop) -> bool:
    """From the beginning, all stops and suspends done, can no VM at all be moved anywhere?"""
    problem, books, moves = shop.problem, shop.books, shop.changes.single
    migrates = moves.vm[moves.arrives() & moves.leaves(problem)]
    stayers = shop.stayers()
    if _more_pivots(shop) or shop.changes.chains or (problem.allow_suspend and (len(migrates) or len(stayers))):
        return False
    early = moves[~moves.arrives()]
    gone = early.vm[early.leaves(problem)]
    free = books.table + summed(problem.n_nodes, problem.host[gone], problem.consumption[gone])
    free += summed(problem.n_nodes, problem.host[stayers], np.maximum(problem.demand[stayers] - problem.consumption[stayers], 0))
    room = Copy(books.room)
    for step in (shop.maker.single(early, k) for k in range(len(early))):
        step.carry_out(room)
    fits: dict[bytes, Indices] = {}
    for v in (*migrates.tolist(), *stayers.tolist()):
        key = problem.path_of[v].tobytes() + problem.demand[v].tobytes()
        if key not in fits:
            if len(fits) * problem.n_nodes > _COMPARED:
                return False  # not proven
            fits[key] = positions((free >= problem.demand[v]).all(axis=1) & shop.allowed[problem.path_of[v]])
        for n in fits[key].tolist():
            if n == problem.host[v]:
                continue
            takes = books.takes(v, n, int(problem.host[v]))[books.width :]
            if first_lacking(room, takes) < 0 and all(room[c] >= 0 for c in books.asks(v, n)):
                return False
    return True
