"""The ejection search: VMs that are nowhere force their way onto a node, and throw out what is easier to place.

Nagata and Braysy (Operations Research Letters 37, 2009: fewer vehicles) carried over to vectors: the VM to be placed next takes the node
where those that must leave have the least penalty; a VM's penalty grows each time it finds no room, so that what is hard to place stays.
In between, VMs are swapped at random wherever that leaves the room in larger pieces, as in the descent of Buljubasic and Vasquez
(Computers & Operations Research 76, 2016), whose sizes are what penalties begin with.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.budget import Budget
from entropy.placement.jit import kernel
from entropy.placement.packing.state import Packing, admits, next_random, put, take
from entropy.problem.problem import Indices

__all__ = ["eject", "pack"]

NEVER = 1 << 60
CHUNK = 1_000_000
"""Comparisons between two questions whether time is up."""
_PLAIN = 20_000
"""As long as nothing is compiled."""
WORK = 2e-8
"""Work of one comparison, in the exact model's units: about as many seconds on an ordinary machine."""
_TRIPLES, _PAIRS = 24, 128
"""VMs on a node up to which three, or two, are thrown out at once."""
_STIR = 100
"""Swaps tried after each ejection."""
_DOWNHILL = 95
"""Per cent of the swaps that would break room up which are refused."""


def pack(s: Packing, most: int, budget: Budget) -> bool:
    """The ejection search for at most so many comparisons, or until the budget is spent; is everything placed?"""
    if budget.work is not None:
        most = min(most, int(budget.work / WORK) + 1)
    spent = 0
    while spent < most and s.left[0] > 0 and budget.remaining() > 0:
        run = eject.on(_PLAIN)
        looked = run(s, min(most - spent, _PLAIN if run is eject.python else CHUNK))
        spent += abs(looked)
        if looked <= 0:
            break
    budget.spend(spent * WORK)  # at once, so that the size of the pieces does not tell in the sum
    return bool(s.left[0] == 0)


@kernel
def eject(s: Packing, most: int) -> int:
    """Place the VMs of the pool, until it is empty or ``most`` comparisons are spent; how many were, negative when there is no way."""
    leaving = np.zeros(3, dtype=np.int32)
    spent = 0
    hopeless = 0
    while s.left[0] > 0 and spent < most:
        s.left[0] -= 1
        i = s.pool[s.left[0]]
        b = roomy(s, i)
        spent += 10 + s.number.shape[0]
        if b >= 0:
            put(s, i, b)
            hopeless = 0
            continue
        s.penalty[i] += 1
        b, leavers, looked = cheapest(s, i, leaving)
        spent += looked
        if b >= 0:
            for k in range(leavers):
                throw_out(s, leaving[k])
        else:
            b = clear(s, i)
        if b >= 0:
            put(s, i, b)
            hopeless = 0
            spent += stir(s, _STIR)
            continue
        for k in range(s.left[0], 0, -1):  # no node takes it, whoever leaves: the others first
            s.pool[k] = s.pool[k - 1]
        s.pool[0] = i
        s.left[0] += 1
        hopeless += 1
        if hopeless == s.left[0]:
            return -int(spent)
    return int(spent)


@kernel
def throw_out(s: Packing, i: int) -> None:
    """VM i leaves its node for the pool, where it is the next."""
    take(s, i)
    s.pool[s.left[0]] = i
    s.left[0] += 1


@kernel
def clear(s: Packing, i: int) -> int:
    """Throw out as many as it takes of some node for VM i, which three do not make room for; the node, -1: none is large enough."""
    nodes, resources = s.free.shape
    first = next_random(s.rng, max(nodes, 1))
    for k in range(nodes):
        b = (first + k) % nodes
        if not s.allowed[s.domain_of[i], b] or not admits(s, i, b, s.pool, 0):
            continue
        enough = True
        for r in range(resources):
            room = s.free[b, r]
            for x in range(s.number[b]):
                room += s.demand[s.items[b, x], r]
            if room < s.demand[i, r]:
                enough = False
                break
        if not enough:
            continue
        for r in range(resources):
            while s.free[b, r] < s.demand[i, r]:
                out = -1
                for x in range(s.number[b]):
                    j = s.items[b, x]
                    if s.demand[j, r] > 0 and (out < 0 or s.penalty[j] < s.penalty[out]):
                        out = j
                throw_out(s, out)
        return int(b)
    return -1


@kernel
def roomy(s: Packing, i: int) -> int:
    """The node that VM i fits on with least room left, -1: none."""
    best, best_room = -1, 0.0
    for b in range(s.number.shape[0]):
        if not s.allowed[s.domain_of[i], b]:
            continue
        fits, room = True, 0.0
        for r in range(s.demand.shape[1]):
            if s.free[b, r] < s.demand[i, r]:
                fits = False
                break
            room += s.free[b, r] * s.price[r]
        if fits and (best < 0 or room < best_room) and admits(s, i, b, s.pool, 0):
            best, best_room = b, room
    return best


@kernel
def cheapest(s: Packing, i: int, leaving: Indices) -> tuple[int, int, int]:
    """(node, how many leave, comparisons): the cheapest up to three VMs of one node that make room for VM i, ties at random.

    They are put into ``leaving``; node -1: none.
    """
    best, leavers, price, ties, looked = -1, 0, NEVER, 0, 0
    found = np.zeros(3, dtype=np.int32)
    for b in range(s.number.shape[0]):
        if not s.allowed[s.domain_of[i], b]:
            continue
        count = s.number[b]
        for x in range(count):
            first = s.items[b, x]
            one = s.penalty[first]
            if one > price:
                continue
            looked += 1
            found[0] = first
            fits = True
            for r in range(s.demand.shape[1]):
                if s.free[b, r] + s.demand[first, r] < s.demand[i, r]:
                    fits = False
                    break
            if fits and admits(s, i, b, found, 1):
                ties = 0 if one < price else ties + 1
                if ties == 0 or next_random(s.rng, ties + 1) == 0:
                    best, leavers, price = b, 1, one
                    leaving[0] = first
                continue
            if count > _PAIRS:
                continue
            for y in range(x + 1, count):
                second = s.items[b, y]
                two = one + s.penalty[second]
                if two > price:
                    continue
                looked += 1
                found[1] = second
                fits = True
                for r in range(s.demand.shape[1]):
                    if s.free[b, r] + s.demand[first, r] + s.demand[second, r] < s.demand[i, r]:
                        fits = False
                        break
                if fits and admits(s, i, b, found, 2):
                    ties = 0 if two < price else ties + 1
                    if ties == 0 or next_random(s.rng, ties + 1) == 0:
                        best, leavers, price = b, 2, two
                        leaving[0], leaving[1] = first, second
                    continue
                if count > _TRIPLES:
                    continue
                for z in range(y + 1, count):
                    third = s.items[b, z]
                    three = two + s.penalty[third]
                    if three > price:
                        continue
                    looked += 1
                    found[2] = third
                    fits = True
                    for r in range(s.demand.shape[1]):
                        if s.free[b, r] + s.demand[first, r] + s.demand[second, r] + s.demand[third, r] < s.demand[i, r]:
                            fits = False
                            break
                    if fits and admits(s, i, b, found, 3):
                        ties = 0 if three < price else ties + 1
                        if ties == 0 or next_random(s.rng, ties + 1) == 0:
                            best, leavers, price = b, 3, three
                            leaving[0], leaving[1], leaving[2] = first, second, third
    return best, leavers, looked


@kernel
def stir(s: Packing, tries: int) -> int:
    """Swap pairs of VMs, or move one, at random, where both fit; mostly such swaps as make full nodes fuller.  Returns comparisons."""
    n, resources = s.demand.shape
    pair = np.zeros(1, dtype=np.int32)
    looked = tries // 5
    for _ in range(tries):
        i = next_random(s.rng, n)
        a = s.where[i]
        if a < 0:
            continue
        j = next_random(s.rng, n)
        b = s.where[j]
        if b < 0 or b == a or not s.allowed[s.domain_of[i], b]:
            continue
        looked += 1
        fits = bool(s.allowed[s.domain_of[j], a])
        if fits:
            for r in range(resources):
                more = s.demand[i, r] - s.demand[j, r]
                if s.free[a, r] + more < 0 or s.free[b, r] < more:
                    fits = False
                    break
        if fits:
            room = 0.0  # how much more room a has than b
            for r in range(resources):
                room += (s.free[a, r] - s.free[b, r]) * s.price[r]
            gain = s.size[j] - s.size[i]  # what a gets
            if gain * (gain - room) < 0.0 and next_random(s.rng, 100) < _DOWNHILL:
                continue
            pair[0] = j
            fits = admits(s, i, b, pair, 1)
            pair[0] = i
            if fits and admits(s, j, a, pair, 1):
                take(s, i)
                take(s, j)
                put(s, i, b)
                put(s, j, a)
                continue
        fits = True
        for r in range(resources):
            if s.free[b, r] < s.demand[i, r]:
                fits = False
                break
        if fits and admits(s, i, b, pair, 0):
            take(s, i)
            put(s, i, b)
    return looked
