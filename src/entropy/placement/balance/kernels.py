"""The hot loops of balancing: bring every node into a window of load; bring VMs home inside it.

A window is a least and a most room left for each node and resource, in whole units, so that being inside is exact.  How far a node is
outside is its *penalty*: the sum over resources of the square of what sticks out, as a share.  A tournament over the penalties has the
worst node at its root, so a step costs no more at 100,000 nodes than at fifty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from entropy.placement.jit import kernel
from entropy.placement.kernels.state import State, allows, arrive, leave
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers

_FREE = 0.5
"""What a change costs beside the memory that it moves, in VMs of average memory: small steps lead nowhere."""
_REST = 12
"""Steps for which a VM rests that was moved for the worse."""
_AGAIN = 0.3
"""Share of its cost that moving a VM on costs: it may come home yet."""
__all__ = ["Moves", "Window", "narrow", "return_home"]


class Window(NamedTuple):
    """``least`` and ``most`` int64[N, R]: room left on each node; ``price`` float64[N, R]: the share that one unit of load is."""

    least: Integers
    most: Integers
    price: Floats


class Moves(NamedTuple):
    """``movable`` bool[V]; ``home`` int32[V], where a move is free; ``cost`` float64[V] of any other; ``rests`` int64[V]: step from which
    a VM may move again."""

    movable: Bools
    home: Indices
    cost: Floats
    rests: Integers


@kernel
def penalty(n: int, free: Integers, window: Window) -> float:
    """How far node n is outside its window."""
    total = 0.0
    for r in range(free.shape[1]):
        out = max(window.least[n, r] - free[n, r], free[n, r] - window.most[n, r])
        if out > 0:
            total += (out * window.price[n, r]) ** 2
    return total


@kernel
def settle(n: int, value: float, tree: Floats) -> None:
    """Node n has the penalty ``value`` in the tournament."""
    k = len(tree) // 2 + n
    tree[k] = value
    k //= 2
    while k:
        tree[k] = max(tree[2 * k], tree[2 * k + 1])
        k //= 2


@kernel
def worst_of(tree: Floats) -> int:
    """The node with the largest penalty, the first of equals."""
    k, leaves = 1, len(tree) // 2
    while k < leaves:
        k = 2 * k if tree[2 * k] >= tree[2 * k + 1] else 2 * k + 1
    return k - leaves


@kernel
def list_vms(n: int, turn: int, step: int, state: State, moves: Moves, out: Indices) -> int:
    """Fill ``out`` with the VMs of node n that may move; if they are more, with some that depend on ``turn``.  Returns how many."""
    total, most = 0, len(out)
    v = state.first[n]
    while v >= 0:
        if moves.movable[v] and moves.rests[v] <= step:
            total += 1
        v = state.after[v]
    skip = turn * most % total if total > most else 0
    found, seen = 0, 0
    v = state.first[n]
    while v >= 0:
        if moves.movable[v] and moves.rests[v] <= step:
            if (seen - skip) % total < most:
                out[found] = v
                found += 1
            seen += 1
        v = state.after[v]
    return found


@kernel
def exchange(i: int, j: int, b: int, n: int, state: State) -> None:
    """VM i (if any) goes from b to n and VM j (if any) from n to b, whatever the rules say."""
    if i >= 0:
        leave(i, state)
    if j >= 0:
        leave(j, state)
        arrive(j, b, state)
    if i >= 0:
        arrive(i, n, state)


@kernel
def keeps_rules(i: int, j: int, b: int, n: int, state: State) -> bool:
    """Would the rules allow this ``exchange``?"""
    rules = state.rules
    if not len(rules.ruled) and not len(rules.set_most) and not len(rules.use_most):
        return True
    if i >= 0:
        leave(i, state)
    if j >= 0:
        leave(j, state)
    good = i < 0 or allows(i, n, state)
    if i >= 0:
        arrive(i, n, state)
    good = good and (j < 0 or allows(j, b, state))
    if i >= 0:
        leave(i, state)
        arrive(i, b, state)
    if j >= 0:
        arrive(j, n, state)
    return good


@kernel
def _price(i: int, j: int, b: int, n: int, moves: Moves) -> float:
    """What the exchange costs in moved memory.  A second move of a VM costs little: it has been paid."""
    paid = _FREE
    if i >= 0 and moves.home[i] != n:
        paid += moves.cost[i] * (1.0 if moves.home[i] == b else _AGAIN)
    if j >= 0 and moves.home[j] != b:
        paid += moves.cost[j] * (1.0 if moves.home[j] == n else _AGAIN)
    return paid


@kernel
def narrow(
    steps: int, patience: int, sample: int, longest: int, dice: Indices, state: State, window: Window, moves: Moves, progress: Integers
) -> None:
    """Moves and swaps between the node furthest outside its window and others, until none is outside, ``steps`` are done, or ``patience``
    of them had to be for the worse.

    Each step takes the exchange that lowers the two nodes' penalty most for the memory it moves.  ``dice`` int32[...] are nodes in random
    order; a step looks at ``sample`` of them, at all before it gives up, and at ``longest`` VMs of a node.  Where no exchange lowers the
    penalty, the one that raises it least is done, and the VMs that it moves rest for some steps (tabu search, Glover 1989).  ``progress``
    int64[2]: steps done, those for the worse.
    """
    free = state.free
    leaves = 1
    while leaves < len(free):
        leaves *= 2
    tree = np.zeros(2 * leaves)
    for n in range(len(free)):
        tree[leaves + n] = penalty(n, free, window)
    for k in range(leaves - 1, 0, -1):
        tree[k] = max(tree[2 * k], tree[2 * k + 1])
    mine = np.empty(longest, dtype=np.int32)
    theirs = np.empty(longest, dtype=np.int32)
    found = np.empty(3, dtype=np.int64)
    progress[:] = 0
    moves.rests[:] = 0
    turn = 0
    while progress[0] < steps and tree[1] > 0.0 and progress[1] < patience:
        step = progress[0]
        b = worst_of(tree)
        count = list_vms(b, step, step, state, moves, mine)
        done = best_change(b, count, turn, sample, step, False, dice, mine, theirs, state, window, moves, found)
        turn += sample
        if not done and sample < len(dice):
            done = best_change(b, count, turn, len(dice), step, False, dice, mine, theirs, state, window, moves, found)
        if not done:
            progress[1] += 1
            done = best_change(b, count, turn, sample, step, True, dice, mine, theirs, state, window, moves, found)
            for k in range(2):
                if done and found[k] >= 0:
                    moves.rests[found[k]] = step + _REST
        progress[0] += 1
        if done:
            settle(b, penalty(b, free, window), tree)
            settle(found[2], penalty(found[2], free, window), tree)
        else:
            settle(b, 0.0, tree)  # nothing on it can move: it is looked at again when something comes


@kernel
def best_change(
    b: int,
    count: int,
    turn: int,
    looks: int,
    step: int,
    worse: bool,
    dice: Indices,
    mine: Indices,
    theirs: Indices,
    state: State,
    window: Window,
    moves: Moves,
    found: Integers,
) -> bool:
    """Do the best exchange (``found``: VM out, VM in, other node) between node b, whose VMs are ``mine``, and ``looks`` others.

    It lowers the penalty, or, with ``worse``, raises it as little as possible; what b has too much of, or lacks, it always mends.
    """
    free, demand, domains, domain_of = state.free, state.demand, state.domains, state.domain_of
    least, most, price = window
    n_resources = free.shape[1]
    worst, furthest, sign = 0, 0.0, 1
    for r in range(n_resources):
        if (least[b, r] - free[b, r]) * price[b, r] > furthest:
            worst, furthest, sign = r, (least[b, r] - free[b, r]) * price[b, r], 1
        if (free[b, r] - most[b, r]) * price[b, r] > furthest:
            worst, furthest, sign = r, (free[b, r] - most[b, r]) * price[b, r], -1
    best, any_found = 0.0, False
    mine_now = penalty(b, free, window)
    for look in range(min(looks, len(dice))):
        n = dice[(turn + look) % len(dice)]
        if n == b:
            continue
        others = list_vms(n, turn + look, step, state, moves, theirs)
        now = mine_now + penalty(n, free, window)
        for x in range(count + 1):
            i = mine[x] if x < count else -1
            if i >= 0 and not domains[domain_of[i], n]:
                continue
            for y in range(others + 1):
                j = theirs[y] if y < others else -1
                gone = (demand[i, worst] if i >= 0 else 0) - (demand[j, worst] if j >= 0 else 0)
                if sign * gone <= 0 or (j >= 0 and not domains[domain_of[j], b]):
                    continue
                enough = now * (1.0 - 1e-9) if not any_found else now - best * _FREE
                if worse:
                    enough = np.inf if not any_found else now - best
                then = 0.0
                for r in range(n_resources):
                    gone = (demand[i, r] if i >= 0 else 0) - (demand[j, r] if j >= 0 else 0)
                    here, there = free[b, r] + gone, free[n, r] - gone
                    if (gone > 0 and there < 0) or (gone < 0 and here < 0):
                        then = np.inf
                        break
                    out = max(least[b, r] - here, here - most[b, r])
                    if out > 0:
                        then += (out * price[b, r]) ** 2
                    out = max(least[n, r] - there, there - most[n, r])
                    if out > 0:
                        then += (out * price[n, r]) ** 2
                    if then >= enough:
                        break
                if then >= enough:
                    continue
                score = now - then if worse else (now - then) / _price(i, j, b, n, moves)
                if (score > best or not any_found) and keeps_rules(i, j, b, n, state):
                    best, any_found = score, True
                    found[0], found[1], found[2] = i, j, n
    if any_found:
        exchange(found[0], found[1], b, found[2], state)
    return any_found


@kernel
def return_home(order: Indices, state: State, window: Window, moves: Moves, weight: Integers) -> int:
    """Moved VMs of ``order`` go home where both nodes stay inside their windows; alone, or in exchange for the VM of their home that
    saves most moved memory.  Returns how many VMs are home again.
    """
    free, demand, domains, domain_of = state.free, state.demand, state.domains, state.domain_of
    home, movable = moves.home, moves.movable
    n_resources = free.shape[1]
    returned = 0
    for i in order:
        b, n = state.host[i], home[i]
        if n < 0 or b == n or b < 0 or not movable[i] or not domains[domain_of[i], n]:
            continue
        best, partner = -1, -1
        j = -1
        while True:  # first alone (j = -1), then with each VM of the home node
            gain = weight[i]
            if j >= 0:
                gain += (weight[j] if home[j] == b else 0) - (weight[j] if home[j] == n else 0)
            good = gain > best and (j < 0 or (gain > 0 and movable[j] and domains[domain_of[j], b]))
            if good:
                for r in range(n_resources):
                    gone = demand[i, r] - (demand[j, r] if j >= 0 else 0)
                    here, there = free[b, r] + gone, free[n, r] - gone
                    if gone > 0 and (there < 0 or there < window.least[n, r] or here > window.most[b, r]):
                        good = False
                        break
                    if gone < 0 and (here < 0 or here < window.least[b, r] or there > window.most[n, r]):
                        good = False
                        break
            following = state.first[n] if j < 0 else state.after[j]  # asking for the rules puts j first in its list
            if good and keeps_rules(i, j, b, n, state):
                best, partner = gain, j
            j = following
            if j < 0:
                break
        if best >= 0:
            exchange(i, partner, b, n, state)
            returned += 1
    return returned
