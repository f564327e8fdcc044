"""A placement in the making as kernels see it, and what may enter a node.

All amounts are integers.  Every kernel changes a placement through ``arrive`` and ``leave`` only, and asks ``admits`` before.
Counters of groups are kept in a table by open addressing (Knuth, The Art of Computer Programming 3, section 6.4): a table of
groups x zones would not fit into memory on a large cluster.
"""

from __future__ import annotations

from typing import NamedTuple

from entropy.placement.jit import kernel
from entropy.placement.rules import Rules
from entropy.problem.problem import Bools, Indices, Integers

__all__ = ["State", "admits", "allows", "arrive", "fits", "leave", "recount"]

_SPREAD = 40503
"""Multiplier that scatters the numbers of counters over the table."""


class State(NamedTuple):
    """``host`` int32[V] (-1: nowhere) and ``free`` int64[N, R] are the placement; everything counted follows from them (``recount``).

    ``row_start``, ``row_nodes``: the nodes of the rows of ``domains`` that have few; ``sparse`` bool[D] marks these rows.
    ``first`` int32[N], ``after``, ``before`` int32[V]: the VMs of each node as a list; ``vms_on`` int32[N] its length.
    ``keys``, ``counts``: the table of counters, and how many places of it are taken in ``taken[0]``.
    ``set_used`` and ``in_use``: what the limits of sets, and of nodes in use, have counted.
    """

    host: Indices
    free: Integers
    demand: Integers
    domains: Bools
    domain_of: Indices
    sparse: Bools
    row_start: Integers
    row_nodes: Indices
    rules: Rules
    first: Indices
    after: Indices
    before: Indices
    vms_on: Indices
    keys: Integers
    counts: Indices
    taken: Integers
    set_used: Integers
    in_use: Integers


@kernel
def slot(key: int, keys: Integers) -> int:
    """Where the counter ``key`` is in the table, or would be."""
    size = len(keys)
    i = key * _SPREAD % size
    while keys[i] != key and keys[i] >= 0:
        i += 1
        if i == size:
            i = 0
    return i


@kernel
def counted(key: int, keys: Integers, counts: Indices) -> int:
    """What the counter ``key`` says."""
    i = slot(key, keys)
    return int(counts[i]) if keys[i] >= 0 else 0


@kernel
def add(key: int, by: int, keys: Integers, counts: Indices, taken: Integers) -> None:
    """Count ``by`` more."""
    i = slot(key, keys)
    if keys[i] < 0:
        keys[i] = key
        counts[i] = 0
        taken[0] += 1
    counts[i] += by


@kernel
def count(v: int, n: int, by: int, state: State) -> None:
    """VM v arrived on node n (``by`` = 1) or left it (-1): what its rules count."""
    rules = state.rules
    for i in range(rules.vm_start[v], rules.vm_start[v + 1]):
        g = int(rules.vm_limits[i])
        add(rules.base[g] + rules.zones[rules.scope_of[g], n], by, state.keys, state.counts, state.taken)
    for i in range(rules.class_start[v], rules.class_start[v + 1]):
        add(rules.all_base[i] + n, by, state.keys, state.counts, state.taken)
        add(rules.own_base[i] + n, by, state.keys, state.counts, state.taken)


@kernel
def recount_groups(state: State) -> None:
    """The table of counters from scratch: those that went back to zero are dropped."""
    state.keys[:] = -1
    state.taken[0] = 0
    for v in state.rules.ruled:
        if state.host[v] >= 0:
            count(v, state.host[v], 1, state)


@kernel
def recount(state: State) -> None:
    """Everything that follows from ``host``, from scratch; free room excepted."""
    rules = state.rules
    state.first[:] = -1
    state.vms_on[:] = 0
    state.set_used[:] = 0
    state.in_use[:] = 0
    for v in range(len(state.host) - 1, -1, -1):
        n = int(state.host[v])
        if n < 0:
            continue
        state.vms_on[n] += 1
        state.before[v] = -1
        state.after[v] = int(state.first[n])
        if state.first[n] >= 0:
            state.before[state.first[n]] = v
        state.first[n] = v
    recount_groups(state)
    if len(rules.set_most):
        for v in range(len(state.host)):
            n = int(state.host[v])
            if n >= 0:
                for i in range(rules.set_start[n], rules.set_start[n + 1]):
                    state.set_used[rules.node_sets[i]] += rules.amount[rules.node_sets[i], v]
    if len(rules.use_most):
        for n in range(len(state.vms_on)):
            if state.vms_on[n]:
                for i in range(rules.use_start[n], rules.use_start[n + 1]):
                    state.in_use[rules.node_uses[i]] += 1


@kernel
def fits(v: int, n: int, free: Integers, demand: Integers) -> bool:
    """Is there room for VM v on node n?"""
    for r in range(demand.shape[1]):  # noqa: SIM110 (Numba compiles no generator in all())
        if free[n, r] < demand[v, r]:
            return False
    return True


@kernel
def allows(v: int, n: int, state: State) -> bool:
    """Do the rules let VM v, which is nowhere, enter node n?  Room and domain are not looked at."""
    rules = state.rules
    for i in range(rules.vm_start[v], rules.vm_start[v + 1]):
        g = int(rules.vm_limits[i])
        if counted(rules.base[g] + rules.zones[rules.scope_of[g], n], state.keys, state.counts) >= rules.most[g]:
            return False
    for i in range(rules.class_start[v], rules.class_start[v + 1]):
        concerned = counted(rules.all_base[i] + n, state.keys, state.counts)
        if concerned != counted(rules.own_base[i] + n, state.keys, state.counts):
            return False
    if len(rules.set_most):
        for i in range(rules.set_start[n], rules.set_start[n + 1]):
            s = int(rules.node_sets[i])
            if rules.amount[s, v] > 0 and state.set_used[s] + rules.amount[s, v] > rules.set_most[s]:
                return False
    if len(rules.use_most) and state.vms_on[n] == 0:
        for i in range(rules.use_start[n], rules.use_start[n + 1]):
            if state.in_use[rules.node_uses[i]] >= rules.use_most[rules.node_uses[i]]:
                return False
    return True


@kernel
def admits(v: int, n: int, state: State) -> bool:
    """May VM v, which is nowhere, run on node n beside what is there: domain, room and rules?"""
    return state.domains[state.domain_of[v], n] and fits(v, n, state.free, state.demand) and allows(v, n, state)


@kernel
def arrive(v: int, n: int, state: State) -> None:
    """VM v, which is nowhere, goes to node n."""
    rules = state.rules
    state.host[v] = n
    for r in range(state.demand.shape[1]):
        state.free[n, r] -= state.demand[v, r]
    state.before[v] = -1
    state.after[v] = int(state.first[n])
    if state.first[n] >= 0:
        state.before[state.first[n]] = v
    state.first[n] = v
    state.vms_on[n] += 1
    if len(rules.ruled):
        if 4 * state.taken[0] > 3 * len(state.keys):
            recount_groups(state)  # this VM is counted with the others
        else:
            count(v, n, 1, state)
    if len(rules.set_most):
        for i in range(rules.set_start[n], rules.set_start[n + 1]):
            state.set_used[rules.node_sets[i]] += rules.amount[rules.node_sets[i], v]
    if len(rules.use_most) and state.vms_on[n] == 1:
        for i in range(rules.use_start[n], rules.use_start[n + 1]):
            state.in_use[rules.node_uses[i]] += 1


@kernel
def leave(v: int, state: State) -> int:
    """VM v leaves the node where it is for nowhere; returns that node."""
    rules = state.rules
    n = int(state.host[v])
    state.host[v] = -1
    for r in range(state.demand.shape[1]):
        state.free[n, r] += state.demand[v, r]
    if state.before[v] >= 0:
        state.after[state.before[v]] = int(state.after[v])
    else:
        state.first[n] = int(state.after[v])
    if state.after[v] >= 0:
        state.before[state.after[v]] = state.before[v]
    state.vms_on[n] -= 1
    if len(rules.ruled):
        count(v, n, -1, state)
    if len(rules.set_most):
        for i in range(rules.set_start[n], rules.set_start[n + 1]):
            state.set_used[rules.node_sets[i]] -= rules.amount[rules.node_sets[i], v]
    if len(rules.use_most) and state.vms_on[n] == 0:
        for i in range(rules.use_start[n], rules.use_start[n + 1]):
            state.in_use[rules.node_uses[i]] -= 1
    return n
