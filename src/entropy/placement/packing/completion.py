"""Bin completion: one node after another is filled with the VMs that leave least room there.

Minimum bin slack (Gupta and Ho, Production Planning & Control 10, 1999) with the largest VM that is left fixed in each node (MBS', Fleszar
and Hindi, Computers & Operations Research 29, 2002), for vectors: room is weighed by how scarce each resource is among what is still
to be placed and filled, so that no resource runs out before the others.  The candidates for a node are the largest VM and a sample
from every size, so that the time for a node does not grow with the number of VMs.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.metric import Floats
from entropy.placement.packing.state import Packing, next_random, put
from entropy.problem.problem import Indices

__all__ = ["LIMIT", "SAMPLE", "fill"]

SAMPLE = 48
"""Candidates for a node."""
LIMIT = 2_000
"""Branches of the search for the best set of them."""
_SPARE = 0.002
"""Share of a resource that counts as left over at least: what is scarcer is not worth more."""


@kernel
def fill(s: Packing, order: Indices, sample: int, limit: int) -> int:
    """Fill the nodes ``order`` in turn with VMs of the pool, until it is empty; what finds no room stays there.  Comparisons spent."""
    resources = s.demand.shape[1]
    alive = np.empty(s.left[0], dtype=np.int32)  # the largest first; -1 when placed
    rest = np.zeros(resources)
    for k in range(len(alive)):
        alive[k] = s.pool[len(alive) - 1 - k]
        for r in range(resources):
            rest[r] += s.demand[alive[k], r]
    room = np.zeros(resources)
    for b in order:
        for r in range(resources):
            room[r] += max(s.free[b, r], 0)
    price = np.zeros(resources)
    candidates = np.empty(sample, dtype=np.int32)
    chosen = np.empty(sample, dtype=np.int32)
    head, holes, left, spent = 0, 0, len(alive), 0
    for k in range(len(order)):
        b = order[k]
        if left == 0:
            break
        for r in range(resources):
            spare = 1.0 - rest[r] / room[r] if room[r] > 0.0 else 1.0
            price[r] = (len(order) - k) / (max(spare, _SPARE) * max(room[r], 1.0))
        while head < len(alive) and alive[head] < 0:
            head += 1
        number = draw(s, b, alive, head, candidates)
        spent += 2 * sample
        for r in range(resources):
            room[r] -= max(s.free[b, r], 0)
        if number == 0:
            continue
        size, looked = complete(s, b, alive, candidates[:number], price, limit, chosen)
        spent += looked
        for c in range(size):
            i = alive[chosen[c]]
            alive[chosen[c]] = -1
            put(s, i, b)
            for r in range(resources):
                rest[r] -= s.demand[i, r]
        left -= size
        holes += size
        if holes > len(alive) // 8:
            spent += len(alive) // 4
            kept = 0
            for x in range(len(alive)):
                if alive[x] >= 0:
                    alive[kept] = alive[x]
                    kept += 1
            alive = alive[:kept]
            head, holes = 0, 0
    s.left[0] = 0
    for x in range(len(alive) - 1, -1, -1):
        if alive[x] >= 0:
            s.pool[s.left[0]] = alive[x]
            s.left[0] += 1
    return spent


@kernel
def draw(s: Packing, b: int, alive: Indices, head: int, candidates: Indices) -> int:
    """Candidates for node b, as positions in ``alive``: the largest VM that fits, then one from each stretch of the rest; how many."""
    number = 0
    for x in range(head, len(alive)):
        if alive[x] >= 0 and may_enter(s, alive[x], b):
            candidates[0] = x
            number = 1
            break
    if number == 0:
        return 0
    first = candidates[0] + 1
    wanted = len(candidates) - 1
    behind = len(alive) - first
    if behind <= wanted:
        for x in range(first, len(alive)):
            if alive[x] >= 0 and may_enter(s, alive[x], b):
                candidates[number] = x
                number += 1
        return number
    for k in range(wanted):
        low, high = first + behind * k // wanted, first + behind * (k + 1) // wanted
        start = next_random(s.rng, high - low)
        for step in range(min(high - low, 8)):
            x = low + (start + step) % (high - low)
            if alive[x] >= 0 and may_enter(s, alive[x], b):
                candidates[number] = x
                number += 1
                break
    return number


@kernel
def may_enter(s: Packing, i: int, b: int) -> bool:
    """Is VM i allowed on node b, with what is there now?"""
    if not s.allowed[s.domain_of[i], b]:
        return False
    for r in range(s.demand.shape[1]):
        if s.free[b, r] < s.demand[i, r]:
            return False
    for x in range(s.group_start[i], s.group_start[i + 1]):
        g = s.group_of[x]
        if s.there[g, s.zone[g, b]] >= s.most[g]:
            return False
    return True


@kernel
def complete(s: Packing, b: int, alive: Indices, candidates: Indices, price: Floats, limit: int, chosen: Indices) -> tuple[int, int]:
    """(how many, comparisons): the set of ``candidates`` with the first one that fills node b best goes into ``chosen``.

    Depth first, at most ``limit`` branches.
    """
    number, resources = len(candidates), s.demand.shape[1]
    value = np.zeros(number)
    behind = np.zeros(number + 1)
    for c in range(number - 1, -1, -1):
        value[c] = 1e-12  # also one that demands nothing is to be placed
        for r in range(resources):
            value[c] += s.demand[alive[candidates[c]], r] * price[r]
        behind[c] = behind[c + 1] + value[c]
    room = 0.0
    free = s.free[b].copy()
    for r in range(resources):
        free[r] -= s.demand[alive[candidates[0]], r]
        room += max(free[r], 0) * price[r]
    picked = np.zeros(number, dtype=np.int32)
    chosen[0] = candidates[0]
    size, best, looked = 1, 0.0, 0
    depth, now, c = 1, 0.0, 1
    while looked < limit:
        if c < number and now + behind[c] > best and (best < room * (1.0 - 1e-9) or room <= 0.0):
            looked += 1
            i = alive[candidates[c]]
            fits = True
            for r in range(resources):
                if free[r] < s.demand[i, r]:
                    fits = False
                    break
            if fits and clashes(s, i, b, alive, candidates, picked, depth):
                fits = False
            if fits:
                for r in range(resources):
                    free[r] -= s.demand[i, r]
                now += value[c]
                picked[depth] = c
                depth += 1
                if now > best:
                    best, size = now, depth
                    for d in range(1, depth):
                        chosen[d] = candidates[picked[d]]
            c += 1
            continue
        if depth == 1:
            break
        depth -= 1
        c = picked[depth]
        for r in range(resources):
            free[r] += s.demand[alive[candidates[c]], r]
        now -= value[c]
        c += 1
    return size, looked


@kernel
def clashes(s: Packing, i: int, b: int, alive: Indices, candidates: Indices, picked: Indices, depth: int) -> bool:
    """Is a group of VM i full on node b, with those that were picked?"""
    for x in range(s.group_start[i], s.group_start[i + 1]):
        g = s.group_of[x]
        there = s.there[g, s.zone[g, b]]
        for d in range(depth):
            j = alive[candidates[picked[d]]]
            for y in range(s.group_start[j], s.group_start[j + 1]):
                if s.group_of[y] == g:
                    there += 1
        if there >= s.most[g]:
            return True
    return False
