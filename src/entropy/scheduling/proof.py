"""The last word: an exhaustive search over everything that may move, and what follows when it finds nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from entropy.scheduling.jobs import Count, Workshop, split
from entropy.scheduling.rooms import first_lacking, settle
from entropy.scheduling.search import search
from entropy.scheduling.steps import Step

__all__ = ["nothing_moves", "search_everything"]

_LOOKED = 250_000
"""Moves looked at in one search, about a second."""
_MOVERS, _NODES = 14, 14
"""Largest problem that is searched."""
_WAVERING = 4
"""VMs whose consumption is not their demand, up to which each set of them is tried as those that leave and come back."""


def search_everything(shop: Workshop) -> tuple[list[Step] | None, bool]:
    """(an order from the very beginning in which whatever may move moves, is it proven that there is none).

    A VM that is moved away and back counts its consumption until it leaves, one that never is its demand.  Counting the larger
    for all of them finds only what is safe; counting the smaller proves that there is nothing.  Between the two, each set of VMs
    that leave is searched on its own.
    """
    problem, changes = shop.problem, shop.changes
    early, core, late = split(changes.chains)
    stayers = shop.stayers()
    if problem.n_nodes > _NODES or len(core) + len(stayers) > _MOVERS:
        return None, False
    room = list(shop.books.room)
    for step in early:
        settle(room, step.takes, step.gives)
    nodes = range(problem.n_nodes)
    jobs = [shop.job(v, chain, nodes) for v, chain in core.items()]
    movers = [replace(job, suspendable=problem.allow_suspend and job.start >= 0) for job in jobs]
    wavering = [v for v in stayers if (problem.consumption[v] != problem.demand[v]).any()]

    def attempt(count: Count, others: Sequence[int], leaving: Collection[int] = ()) -> tuple[list[Step] | None, bool]:
        optional = [shop.stayer(v, nodes, count, suspendable=problem.allow_suspend, leaves=v in leaving) for v in others]
        found = search(shop.books, room, movers + optional, most=_LOOKED)
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
    problem, width = shop.problem, shop.books.width
    early, core, _ = split(shop.changes.chains)
    stayers = shop.stayers()
    if _more_pivots(shop) or (problem.allow_suspend and (core or stayers)):
        return False
    if any(chain[0].kind != "migrate" or len(chain) > 1 for chain in core.values()):
        return False
    room = list(shop.books.room)
    for step in early:
        settle(room, step.takes, step.gives)
    free = np.array(room[: problem.n_nodes * width], dtype=np.int64).reshape(problem.capacity.shape)
    if stayers:
        spare = np.maximum(problem.demand[stayers] - problem.consumption[stayers], 0)
        np.add.at(free, problem.host[stayers], spare)
    for v in (*core, *stayers):
        fits = (free >= problem.demand[v]).all(axis=1) & shop.allowed[problem.path_of[v]]
        fits[problem.host[v]] = False
        for n in fits.nonzero()[0].tolist():
            takes = shop.books.takes(v, n, int(problem.host[v]))
            shop.books.fill(room)
            if first_lacking(room, takes[width:]) < 0:
                return False
    return True
