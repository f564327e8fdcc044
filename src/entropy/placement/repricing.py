"""Repair by prices: what the bound on moved memory says that a departure costs elsewhere decides who leaves, and who makes room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.bounds import observed_hosts, usable_nodes
from entropy.placement.bounds.covering import leavers
from entropy.placement.displacing import displace
from entropy.placement.goals import moved_memory
from entropy.placement.metric import Floats
from entropy.placement.repair import misplaced
from entropy.placement.returning import back_home, bring_home
from entropy.placement.viability import is_viable
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Problem

__all__ = ["repriced"]

_TRIES, _BLUR = 8, 0.15
"""Repairs tried with blurred prices, and by which share the blur grows from one pair to the next."""


def repriced(
    problem: Problem, price: Floats, rng: np.random.Generator, over: Callable[[], bool], enough: int, tries: int = _TRIES
) -> Indices | None:
    """The repair with least moved memory that displacement by prices finds: int32[V], or ``None`` if none was viable.

    ``price`` float64[V] is what ``bounds.displacement`` says that finding a place for each VM displaces.  It decides who leaves overloaded
    nodes and who makes room; later tries blur it.  Ends at ``enough`` moved memory, or when ``over()``.
    """
    best, least, nodes = None, 0, usable_nodes(problem)
    for k in range(tries):
        if over():
            break
        blur = _BLUR * (k // 2)
        guess = (
            price * rng.uniform(1 - blur, 1 + blur, problem.n_vms) if k % 2 == 0 else problem.weight * rng.uniform(0, blur, problem.n_vms)
        )
        working = Working(problem, observed_hosts(problem))
        cheapest = leavers(problem, guess)
        vms = misplaced(problem, cheapest)
        working.take_out(vms)
        back_home(working, vms)
        if not displace(working, vms[working.host[vms] < 0], nodes, over, guess):
            continue
        bring_home(working)
        moved = moved_memory(problem, working.host)
        if (best is None or moved < least) and is_viable(problem, working.host):
            best, least = working.host, moved
        if best is not None and least <= enough:
            break
    return best
