"""Trades between nodes that stick out and others, under a tabu: the steps of ``squeeze``."""

from __future__ import annotations

from typing import NamedTuple

from entropy.placement.jit import kernel
from entropy.placement.kernels.index import Index, arrange, nearest, refresh, seek
from entropy.placement.kernels.state import State, allows, arrive, leave
from entropy.placement.metric import Floats, Metric
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["SAMPLE", "TRIES", "Tabu", "cram", "trade"]

SAMPLE = 40
"""Nodes that the one which sticks out is compared with in a step: half of them the roomiest."""
TRIES = 12
"""Trades of a step that are checked against the rules."""
_REST = (4, 14)
"""A VM that moved rests for a random number of steps in this range."""


class Tabu(NamedTuple):
    """What the search remembers.

    ``nodes`` int32[K] are kept, ``number`` int32[N] says which one a node is; ``sticks`` float64[2 P] is a tournament over them of how
    much sticks out (leaf k at P + k).  ``rests`` int64[V]: step from which a VM may move again; ``price`` float64[V]: what moving it
    from home costs.  ``roomiest``: their places among the kept; ``chance``: state of the random numbers, and the last
    step at which some VM rests.  The others are scratch.
    """

    nodes: Indices
    number: Indices
    sticks: Floats
    rests: Integers
    price: Floats
    home: Indices
    movable: Bools
    roomiest: Indices
    chance: Integers
    sample: Indices
    seen: Integers
    rates: Floats
    swaps: Integers


@kernel
def draw(below: int, chance: Integers) -> int:
    """A pseudo-random number 0..below - 1 (Park and Miller 1988, multiplier 48271)."""
    chance[0] = chance[0] * 48271 % 2147483647
    return int(chance[0] % below)


@kernel
def overflow(n: int, free: Integers, share: Floats) -> float:
    """What is missing on node n: the sum over resources, as a share of its capacity."""
    total = 0.0
    for r in range(free.shape[1]):
        if free[n, r] < 0:
            total -= free[n, r] * share[n, r]
    return total


@kernel
def stick(n: int, free: Integers, share: Floats, tabu: Tabu) -> None:
    """The room on kept node n has changed."""
    i = len(tabu.sticks) // 2 + tabu.number[n]
    tabu.sticks[i] = overflow(n, free, share)
    i //= 2
    while i:
        tabu.sticks[i] = max(tabu.sticks[2 * i], tabu.sticks[2 * i + 1])
        i //= 2


@kernel
def worst(tabu: Tabu) -> int:
    """The kept node that sticks out most, the first of equals; -1 when none does."""
    if tabu.sticks[1] <= 0.0:
        return -1
    i, leaves = 1, len(tabu.sticks) // 2
    while i < leaves:
        i = 2 * i if tabu.sticks[2 * i] == tabu.sticks[i] else 2 * i + 1
    return int(tabu.nodes[i - leaves])


@kernel
def cram(vms: Indices, state: State, metric: Metric, index: Index, tabu: Tabu) -> bool:
    """Each of ``vms`` to an open node, if need be where it lacks least room; false when rules keep one out of every node."""
    free, share = state.free, metric.share
    arrange(free, share, index)
    for v in vms:
        n = seek(v, state, metric, index)
        if n < 0:
            for k in range(nearest(v, state, share, index)):
                if allows(v, index.near[k], state):
                    n = int(index.near[k])
                    break
        if n < 0:
            for m in tabu.nodes:
                if state.domains[state.domain_of[v], m] and allows(v, m, state):
                    n = m
                    break
        if n < 0:
            return False
        arrive(v, n, state)
        refresh(n, free, share, index)
    for n in tabu.nodes:
        if overflow(n, free, share) > 0.0:
            stick(n, free, share, tabu)
    return True


@kernel
def trade(step: int, steps: int, state: State, share: Floats, tabu: Tabu) -> int:
    """Steps ``step`` to ``step + steps - 1``: 1 as soon as nothing sticks out, -1 when there is nothing to trade, else 0."""
    for now in range(step, step + steps):
        b = worst(tabu)
        if b < 0:
            return 1
        if not _step(b, now, state, share, tabu):
            return -1
    return 0 if worst(tabu) >= 0 else 1


@kernel
def _step(b: int, now: int, state: State, share: Floats, tabu: Tabu) -> bool:
    """The best move out of node b, or swap with another node; false when there is no candidate at all."""
    free, demand = state.free, state.demand
    others = _sample(b, now, tabu)
    if not others:
        return False
    n_resources = demand.shape[1]
    found, candidates = 0, 0
    i = int(state.first[b])
    while i >= 0:
        if not tabu.movable[i] or tabu.rests[i] > now:
            i = int(state.after[i])
            continue
        candidates += 1
        for k in range(others):
            n = int(tabu.sample[k])
            if not state.domains[state.domain_of[i], n]:
                continue
            already = overflow(n, free, share)
            gone = tabu.price[i] * (-1.0 if tabu.home[i] == n else 1.0 if tabu.home[i] == b else 0.0)
            j, first = -1, True  # first a plain move, then a swap with each VM there
            while first or j >= 0:
                if first or (tabu.movable[j] and tabu.rests[j] <= now and state.domains[state.domain_of[j], b]):
                    rated = gone - already
                    if j >= 0:
                        rated += tabu.price[j] * (-1.0 if tabu.home[j] == b else 1.0 if tabu.home[j] == n else 0.0)
                    for r in range(n_resources):
                        more = demand[i, r] - (demand[j, r] if j >= 0 else 0)
                        rest = free[b, r] + more
                        if rest < 0:
                            rated -= rest * share[b, r]
                        rest = free[n, r] - more
                        if rest < 0:
                            rated -= rest * share[n, r]
                    if found < TRIES or rated < tabu.rates[found - 1]:
                        found = _keep(rated, i, j, n, found, tabu)
                j = int(state.first[n]) if first else int(state.after[j])
                first = False
        i = int(state.after[i])
    if not candidates:
        return bool(now < tabu.chance[1])
    for k in range(found):
        i, j, n = int(tabu.swaps[k, 0]), int(tabu.swaps[k, 1]), int(tabu.swaps[k, 2])
        if _swap(i, j, b, n, state):
            stick(b, free, share, tabu)
            stick(n, free, share, tabu)
            tabu.rests[i] = now + _REST[0] + draw(_REST[1] - _REST[0], tabu.chance)
            tabu.chance[1] = max(tabu.chance[1], tabu.rests[i])
            if j >= 0:
                tabu.rests[j] = now + _REST[0] + draw(_REST[1] - _REST[0], tabu.chance)
                tabu.chance[1] = max(tabu.chance[1], tabu.rests[j])
            return True
    return True


@kernel
def _keep(rated: float, i: int, j: int, n: int, found: int, tabu: Tabu) -> int:
    """Insert a trade into the sorted list of the best; its new length."""
    if found == TRIES:
        found -= 1
    q = found
    while q > 0 and tabu.rates[q - 1] > rated:
        tabu.rates[q] = tabu.rates[q - 1]
        for c in range(3):
            tabu.swaps[q, c] = tabu.swaps[q - 1, c]
        q -= 1
    tabu.rates[q] = rated
    tabu.swaps[q, 0], tabu.swaps[q, 1], tabu.swaps[q, 2] = i, j, n
    return found + 1


@kernel
def _sample(b: int, now: int, tabu: Tabu) -> int:
    """The nodes to compare with: all if they are few, else some of the roomiest and some others; how many."""
    found = 0
    if len(tabu.nodes) <= SAMPLE:
        for n in tabu.nodes:
            if n != b:
                tabu.sample[found] = n
                found += 1
        return found
    for k in range(SAMPLE):
        chosen = tabu.roomiest[draw(len(tabu.roomiest), tabu.chance)] if k < SAMPLE // 2 else draw(len(tabu.nodes), tabu.chance)
        if tabu.nodes[chosen] != b and tabu.seen[chosen] != now:
            tabu.seen[chosen] = now
            tabu.sample[found] = tabu.nodes[chosen]
            found += 1
    return found


@kernel
def _swap(i: int, j: int, b: int, n: int, state: State) -> bool:
    """VM i from b to n, VM j (if any) from n to b, if rules allow it; room is not looked at."""
    leave(i, state)
    if j >= 0:
        leave(j, state)
    if allows(i, n, state):
        arrive(i, n, state)
        if j < 0:
            return True
        if allows(j, b, state):
            arrive(j, b, state)
            return True
        leave(i, state)
    arrive(i, b, state)
    if j >= 0:
        arrive(j, n, state)
    return False
