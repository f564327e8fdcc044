"""The dive: the linear programme over whole nodes says which nodes to fill how, the ejection search packs the rest.

Column generation (``bounds.columns``) is solved, the nodes that it fills with most certainty are fixed, and so on with what remains.  At
each depth the ejection search tries to pack the remainder into one node less than is known to do: it need not round anything, while what
was fixed is what it would not have found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entropy.placement.bounds.classes import Classes, merged
from entropy.placement.bounds.columns import Columns, Pool, generate, lattice
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.parts import Given
from entropy.placement.budget import Budget
from entropy.placement.metric import Floats
from entropy.placement.packing.ejection import pack
from entropy.placement.packing.state import Packing, packing
from entropy.placement.packing.task import Tasks
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Dive"]

_CLASSES, _NODE_CLASSES = 1_500, 32
_STEP = 0.12
"""Share of the remaining nodes that is fixed at a time."""
_SURE = 0.95
_ROUNDS, _THOROUGH = 15, 20_000
"""Rounds of column generation and branches of its searches, below the root."""
_SMALLEST = 12
"""VMs below which nothing is fixed any more: the ejection search has had its chance."""


@dataclass(frozen=True)
class _Root:
    """The relaxation, given that VMs are where ``fixed`` int32[V] says (-1: free).

    ``room`` int64[N, R] is what these leave, ``base`` the cost of their nodes.
    """

    fixed: Indices
    room: Integers
    base: int
    classes: Classes | None
    columns: Columns | None


class Dive:
    """Dives for one problem.

    ``bound`` on the cost of nodes in use, from the last dive: given what these searches do not move; ``proven``: for every placement.
    """

    def __init__(self, problem: Problem, tasks: Tasks, node_cost: Integers) -> None:
        self.problem, self.tasks, self.node_cost = problem, tasks, node_cost
        self.bound, self.proven = 0, 0
        self._aim = 0
        self._root: _Root | None = None

    def fewer(self, host: Indices, budget: Budget, seconds: float, patience: int, seed: int) -> Indices | None:
        """A placement that costs less than ``host``, or ``None``; at most so many seconds of column generation at first.

        ``patience``: comparisons of the ejection search at each depth.  The first dive aims at the bound; one that fails makes the next
        aim higher.
        """
        may_move = self.tasks.may_move(host)
        free = may_move & self.tasks.receives[host]
        fixed = np.where(free, -1, host).astype(np.int32)
        if self._root is None or not np.array_equal(self._root.fixed, fixed):
            self._root = self._relax(host, fixed, free, budget, seconds)
        root = self._root
        if root.classes is None or root.columns is None:
            return None
        bound = root.base + root.columns.bound
        self.bound = bound if np.array_equal(may_move, free) else 0
        self.proven = bound if self._anything_goes(free) else 0
        cost = int(self.node_cost[np.unique(host[host >= 0])].sum())
        if bound >= cost:
            return None
        step = lattice(root.classes)
        self._aim = min(max(self._aim, bound), cost - step)
        allowed = (self._aim - root.base, cost - step - root.base)
        found = _Descent(self, host, root.room, root.classes, allowed, budget, patience, seed).run(root.columns)
        if found is None:
            self._aim += max((cost - self._aim) // step // 3, 1) * step
            if self._aim >= cost:
                self._aim = bound
        return found

    def _anything_goes(self, free: Bools) -> bool:
        """Is what is free, and where it may go, all that the problem leaves open?"""
        problem = self.problem
        rows = np.unique(problem.domain_of[free])
        closed = problem.domains[rows][:, ~self.tasks.receives]
        return bool((free == (problem.runs_at_end() & ~problem.held)).all() and not closed.any())

    def _relax(self, host: Indices, fixed: Indices, free: Bools, budget: Budget, seconds: float) -> _Root:
        problem = self.problem
        room, anchored = self.tasks.fixed_room(host, free)
        base = int(self.node_cost[anchored].sum())
        known = Given(
            room=np.where(self.tasks.receives[:, None], np.maximum(room, 0), 0),
            cost=np.where(anchored, 0, self.node_cost).astype(np.int64),
            in_use=anchored,
            base=base,
            free=positions(free),
            on=fixed,
        )
        classes = merged(problem, known, most_classes=_CLASSES, most_nodes=_NODE_CLASSES) if free.any() else None
        if classes is None:
            return _Root(fixed, room, base, None, None)
        effort = _effort(budget, seconds)
        columns = generate(classes, _present(classes, host), effort)
        budget.spend(effort.spent)
        return _Root(fixed, room, base, classes, columns)


def _effort(budget: Budget, seconds: float) -> Effort:
    """What column generation may spend of ``budget``."""
    if budget.work is not None:
        return Effort(work=min(budget.work, seconds))
    until = budget.remaining() - seconds
    return Effort(remaining=lambda: min(budget.remaining(), budget.remaining() - until))


def _present(classes: Classes, host: Indices) -> Pool:
    """The patterns of the placement as it is."""
    pool = Pool()
    class_of = np.full(len(host), -1, dtype=np.int64)
    for k, vms in enumerate(classes.vms):
        class_of[vms] = k
    for m, nodes in enumerate(classes.nodes):
        for n in nodes:
            inside = class_of[(host == n) & (class_of >= 0)]
            if len(inside):
                pool.add(m, np.bincount(inside, minlength=len(classes.vms)).astype(np.int64))
    return pool


class _Descent:
    """One way down.  ``allowed``: cost of nodes besides those in use anyway that is aimed at, and that would do."""

    def __init__(
        self,
        dive: Dive,
        host: Indices,
        room: Integers,
        classes: Classes,
        allowed: tuple[int, int],
        budget: Budget,
        patience: int,
        seed: int,
    ) -> None:
        self.dive, self.start, self.room, self.classes = dive, host, room, classes
        self.budget, self.patience, self.rng = budget, patience, np.random.default_rng(seed)
        self.left, self.spare = allowed[0], allowed[1] - allowed[0]
        self.host = host.copy()
        self.open = [list(map(int, nodes)) for nodes in classes.nodes]
        self.waiting = [list(map(int, vms)) for vms in classes.vms]
        self.step = _STEP * float(self.rng.uniform(0.5, 1.5))
        for vms in self.waiting:
            self.host[vms] = -1

    def run(self, columns: Columns) -> Indices | None:
        """Down to the bottom, or to a packing that fits."""
        pool, uses = columns.pool, _all_uses(columns)
        left = self.classes
        while not self.budget.over:
            sizes = sum(len(vms) for vms in self.waiting)
            if sizes == 0:
                return self.host
            if (found := self._finish(pool, uses)) is not None:
                return found
            if sizes < _SMALLEST:
                return None
            count, available = self._fix(left, pool, uses)
            if not count.any() or self.left < 0:
                return None
            left = left.without(count, available)
            pool = _cut(pool, left)
            if not len(pool):
                return self.host if not left.count.any() else None
            effort = _effort(self.budget, min(5.0, self.budget.remaining()))
            again = generate(left, pool, effort, rounds=_ROUNDS, thorough=_THOROUGH)
            self.budget.spend(effort.spent)
            if again.bound > self.left:
                return None
            uses = _all_uses(again)
        return None

    def _fix(self, left: Classes, pool: Pool, uses: Floats) -> tuple[Integers, Integers]:
        """Fill the nodes that the relaxation is surest of; (VMs of each class, nodes of each class) that this took."""
        count, available = np.zeros_like(left.count), np.zeros_like(left.available)
        nodes = max(1, int(self.step * uses.sum()))
        jitter = uses * self.rng.uniform(0.9, 1.0, len(uses))
        for p in np.argsort(-jitter, kind="stable"):
            m, pattern = pool.node_class[p], pool.patterns[p]
            for _ in range(max(int(uses[p] + 1e-6), 1)):
                if uses[p] <= 1e-6 or (nodes <= 0 and uses[p] < _SURE):
                    return count, available
                if (pattern > left.count - count).any() or not self.open[m]:
                    break
                if not self._fill(m, pattern):
                    break
                count += pattern
                available[m] += 1
                nodes -= 1
        return count, available

    def _fill(self, m: int, pattern: Integers) -> bool:
        """A node of class m for ``pattern``: the one where most memory of such VMs is now; they are the first to be chosen.

        False when group limits do not allow it.
        """
        kinds = [int(k) for k in np.flatnonzero(pattern)]
        node = self._node_for(m, pattern, kinds)
        chosen: list[tuple[int, int]] = []
        for k in kinds:
            missing = int(pattern[k])
            for v in sorted(self.waiting[k], key=lambda v: self.start[v] != node):
                if missing and self.dive.tasks.admits(self.host, v, node):
                    self.host[v] = node
                    chosen.append((k, v))
                    missing -= 1
            if missing:
                for _, v in chosen:
                    self.host[v] = -1
                return False
        for k, v in chosen:
            self.waiting[k].remove(v)
        self.open[m].remove(node)
        self.left -= int(self.classes.cost[m])
        return True

    def _node_for(self, m: int, pattern: Integers, kinds: list[int]) -> int:
        kept: dict[int, int] = {}
        for k in kinds:
            here: dict[int, int] = {}
            for v in self.waiting[k]:
                n = int(self.start[v])
                here[n] = here.get(n, 0) + 1
            weight = int(self.dive.problem.weight[self.waiting[k][0]])
            for n, c in here.items():
                kept[n] = kept.get(n, 0) + weight * min(c, int(pattern[k]))
        mine = set(self.open[m])
        return max((n for n in kept if n in mine), key=lambda n: (kept[n], -n), default=self.open[m][0])

    def _finish(self, pool: Pool, uses: Floats) -> Indices | None:
        """The remainder, by the ejection search, on the nodes aimed at; what that leaves over, on the others that would do."""
        vms = np.array(sorted(v for waiting in self.waiting for v in waiting), dtype=np.int32)
        at = self.start[vms]
        for spare, patience in ((0, self.patience), (self.spare, self.patience // 8)):
            nodes = self._affordable(pool, uses, vms, self.left, at)
            if spare:
                nodes = np.union1d(nodes, self._affordable(pool, uses, vms, self.left + spare, at)).astype(np.int32)
            if not len(nodes):
                return None
            state = self._packing(vms, nodes, at)
            packed = pack(state, patience, self.budget)
            at = np.where(state.where >= 0, nodes[state.where], -1).astype(np.int32)
            if packed:
                out = self.host.copy()
                out[vms] = at
                return out
            if not self.spare:
                break
        return None

    def _packing(self, vms: Indices, nodes: Indices, at: Indices) -> Packing:
        problem = self.dive.problem
        rows, domain_of = np.unique(problem.domain_of[vms], return_inverse=True)
        column = np.full(problem.n_nodes + 1, -1, dtype=np.int32)  # the last entry is for "nowhere"
        column[nodes] = np.arange(len(nodes))
        allowed = problem.domains[rows][:, nodes] & self.dive.tasks.receives[nodes]
        seed = int(self.rng.integers(1 << 30))
        groups = self.dive.tasks.grouping(self.host, vms, nodes)
        return packing(problem.demand[vms], self.room[nodes], allowed, domain_of.reshape(-1).astype(np.int32), column[at], groups, seed)

    def _affordable(self, pool: Pool, uses: Floats, vms: Indices, left: int, at: Indices) -> Indices:
        """Nodes for ``vms`` of cost ``left``: as the relaxation uses their classes; those first that have them ``at`` them."""
        classes = self.classes
        times = np.bincount(np.asarray(pool.node_class, dtype=np.int64), weights=uses, minlength=len(classes.cost))
        running = np.bincount(at[at >= 0], minlength=self.dive.problem.n_nodes)
        chosen: list[int] = []
        rows: list[tuple[float, int, int]] = []
        for m, members in enumerate(self.open):
            nodes = sorted(members, key=lambda n: (-running[n], n))
            if classes.cost[m] == 0:
                chosen += nodes
            else:
                rows += [(float(times[m]) - k, m, n) for k, n in enumerate(nodes)]
        for _, m, n in sorted(rows, key=lambda row: (-row[0], row[1])):
            if classes.cost[m] <= left:
                chosen.append(n)
                left -= int(classes.cost[m])
        return np.array(sorted(chosen), dtype=np.int32)


def _all_uses(columns: Columns) -> Floats:
    """Uses of every pattern of the pool, also of those that came last."""
    uses = np.zeros(len(columns.pool))
    uses[: len(columns.uses)] = columns.uses
    return uses


def _cut(pool: Pool, left: Classes) -> Pool:
    """The patterns cut to what is left to place."""
    out = Pool()
    for m, pattern in zip(pool.node_class, pool.patterns, strict=True):
        if left.available[m] > 0 and (cut := np.minimum(pattern, left.count)).any():
            out.add(m, cut)
    return out
