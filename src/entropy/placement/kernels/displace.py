"""Priced displacement: a VM takes the room of the cheapest others that suffices anywhere; these look for a place in their turn.

Unlike ``chains``, all nodes are looked at, several VMs may make room together, and what is displaced often becomes dear (guided ejection
search, Nagata and Braysy 2009).  With the prices of ``bounds.displacement`` what a displacement costs includes what it will lead to.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.kernels.state import State, admits, allows, arrive, leave
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["displace"]

_MOST = 64
"""VMs of a node that may make room, the cheapest."""


@kernel
def displace(
    queue: Indices,
    waiting: int,
    steps: int,
    home: Indices,
    weight: Floats,
    price: Floats,
    dear: Floats,
    penalty: float,
    rank: Indices,
    movable: Bools,
    open_nodes: Bools,
    share: Floats,
    state: State,
) -> int:
    """Place the ``waiting`` VMs of ``queue`` int32[V], and whom they displace, in at most ``steps``; returns how many still wait.

    Displacing u costs ``weight[u]`` if it is on its ``home`` (going home wins as much), ``price[u]``, and ``dear[u]``, which grows by
    ``penalty`` each time.  The VM of least ``rank`` goes first; of equal costs the node that is left with least room, in shares of its
    capacity.
    """
    free, demand = state.free, state.demand
    n_nodes, n_resources = free.shape
    inside = np.empty(_MOST, dtype=np.int64)
    cost = np.empty(_MOST)
    chosen = np.empty(_MOST, dtype=np.int64)
    best_chosen = np.empty(_MOST, dtype=np.int64)
    lack = np.empty(n_resources, dtype=np.int64)
    while waiting and steps:
        steps -= 1
        pick = 0
        for i in range(1, waiting):
            if rank[queue[i]] < rank[queue[pick]]:
                pick = i
        v = int(queue[pick])
        best, best_cost, best_room, best_count = -1, np.inf, 0.0, 0
        for n in range(n_nodes):
            if not open_nodes[n] or not state.domains[state.domain_of[v], n]:
                continue
            short, room = False, 0.0
            for r in range(n_resources):
                lack[r] = demand[v, r] - free[n, r]
                room -= lack[r] * share[n, r]
                if lack[r] > 0:
                    short = True
            base = -weight[v] if home[v] == n else 0.0
            if not short:
                if (base < best_cost or (base == best_cost and room < best_room)) and allows(v, n, state):
                    best, best_cost, best_room, best_count = n, base, room, 0
                continue
            limit = best_cost - base
            if limit <= 0.0:
                continue
            count = 0
            u = int(state.first[n])
            while u >= 0:
                if movable[u]:
                    c = price[u] + dear[u] + (weight[u] if home[u] == n else 0.0)
                    if c <= limit and (count < _MOST or c < cost[count - 1]):
                        i = min(count, _MOST - 1)
                        while i > 0 and cost[i - 1] > c:
                            cost[i], inside[i] = cost[i - 1], inside[i - 1]
                            i -= 1
                        cost[i], inside[i] = c, u
                        count = min(count + 1, _MOST)
                u = int(state.after[u])
            size, total = _cheapest(v, count, inside, cost, lack, demand, limit, chosen)
            if size == 0:
                continue
            total += base
            for i in range(size):
                for r in range(n_resources):
                    room += demand[chosen[i], r] * share[n, r]
            if total < best_cost or room < best_room:
                for i in range(size):
                    leave(chosen[i], state)
                if allows(v, n, state):
                    best, best_cost, best_room, best_count = n, total, room, size
                    best_chosen[:size] = chosen[:size]
                for i in range(size):
                    arrive(chosen[i], n, state)
        if best < 0:
            return waiting
        waiting -= 1
        queue[pick] = queue[waiting]
        for i in range(best_count):
            u = best_chosen[i]
            leave(u, state)
            dear[u] += penalty
            queue[waiting] = u
            waiting += 1
        arrive(v, best, state)
        dear[v] += penalty
        for i in range(waiting - 1, -1, -1):  # back home where that has become possible: it costs nothing
            u = int(queue[i])
            if home[u] >= 0 and open_nodes[home[u]] and admits(u, int(home[u]), state) and home[u] != best:
                arrive(u, int(home[u]), state)
                waiting -= 1
                queue[i] = queue[waiting]
    return waiting


@kernel
def _cheapest(
    v: int, count: int, inside: Integers, cost: Floats, lack: Integers, demand: Integers, limit: float, chosen: Integers
) -> tuple[int, float]:
    """(how many, their cost): the cheapest of up to three VMs whose departure ends every ``lack``, else a greedy set; 0: none within
    ``limit``."""
    n_resources = len(lack)
    size, best = 0, limit
    for i in range(count):
        if cost[i] > best or (size and cost[i] >= best):
            break
        enough = True
        for r in range(n_resources):
            if demand[inside[i], r] < lack[r]:
                enough = False
                break
        if enough:
            size, best = 1, cost[i]
            chosen[0] = inside[i]
            break
    for i in range(count):
        if 2 * cost[i] > best or (size and 2 * cost[i] >= best):
            break
        for j in range(i + 1, count):
            two = cost[i] + cost[j]
            if two > best or (size and two >= best):
                break
            enough = True
            for r in range(n_resources):
                if demand[inside[i], r] + demand[inside[j], r] < lack[r]:
                    enough = False
                    break
            if enough:
                size, best = 2, two
                chosen[0], chosen[1] = inside[i], inside[j]
                break
            for k in range(j + 1, count):
                three = two + cost[k]
                if three > best or (size and three >= best):
                    break
                enough = True
                for r in range(n_resources):
                    if demand[inside[i], r] + demand[inside[j], r] + demand[inside[k], r] < lack[r]:
                        enough = False
                        break
                if enough:
                    size, best = 3, three
                    chosen[0], chosen[1], chosen[2] = inside[i], inside[j], inside[k]
                    break
    if size:
        return size, best
    missing, total = 0, 0.0
    for r in range(n_resources):
        missing += lack[r] > 0
    for i in range(count):  # cheapest first
        helps = False
        for r in range(n_resources):
            have = 0
            for j in range(size):
                have += demand[chosen[j], r]
            if have < lack[r] and demand[inside[i], r] > 0:
                helps = True
        if helps:
            total += cost[i]
            if total > limit:
                return 0, 0.0
            chosen[size] = inside[i]
            size += 1
            enough = True
            for r in range(n_resources):
                have = 0
                for j in range(size):
                    have += demand[chosen[j], r]
                if have < lack[r]:
                    enough = False
            if enough:
                return size, total
    return 0, 0.0
