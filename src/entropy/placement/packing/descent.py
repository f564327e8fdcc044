"""One dive: nodes are fixed as the linear programme fills them, a few at each depth, and the ejection search is asked for the rest."""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds.classes import Classes
from entropy.placement.bounds.columns import Columns, Pool, generate
from entropy.placement.bounds.effort import Effort
from entropy.placement.budget import Budget, Share
from entropy.placement.metric import Floats
from entropy.placement.packing.ejection import pack
from entropy.placement.packing.state import Packing, packing
from entropy.placement.packing.task import Tasks
from entropy.problem.problem import Indices, Integers

__all__ = ["Descent", "descend", "effort_of"]

_STEP = 0.12
"""Share of the remaining nodes that is fixed at a time."""
_SURE = 0.95
_ROUNDS, _THOROUGH = 15, 20_000
"""Rounds of column generation and branches of its searches, below the root."""
_SMALLEST = 12
"""VMs below which nothing is fixed any more: the ejection search has had its chance."""


def descend(
    tasks: Tasks,
    host: Indices,
    room: Integers,
    classes: Classes,
    columns: Columns,
    allowed: tuple[int, int],
    share: Share,
    patience: int,
    seed: int,
) -> tuple[Indices | None, float]:
    """(a placement as ``Descent`` finds it, or ``None``; the work it took): can be run anywhere."""
    budget = share.budget(seed)
    found = Descent(tasks, host, room, classes, allowed, budget, patience, seed).run(columns)
    return found, 0.0 if share.work is None or budget.work is None else share.work - budget.work


def effort_of(budget: Budget, seconds: float) -> Effort:
    """What column generation may spend of ``budget``."""
    if budget.work is not None:
        return Effort(work=min(budget.work, seconds))
    until = budget.remaining() - seconds
    return Effort(remaining=lambda: min(budget.remaining(), budget.remaining() - until))


class Descent:
    """One way down.  ``allowed``: cost of nodes besides those in use anyway that is aimed at, and that would do."""

    def __init__(
        self,
        tasks: Tasks,
        host: Indices,
        room: Integers,
        classes: Classes,
        allowed: tuple[int, int],
        budget: Budget,
        patience: int,
        seed: int,
    ) -> None:
        self.tasks, self.start, self.room, self.classes = tasks, host, room, classes
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
        left, depth = self.classes, 0
        while not self.budget.over:
            sizes = sum(len(vms) for vms in self.waiting)
            if sizes == 0:
                return self.host
            if (depth or sizes < _SMALLEST) and (found := self._finish(pool, uses)) is not None:  # at the top it has been tried
                return found
            depth += 1
            if sizes < _SMALLEST:
                return None
            count, available = self._fix(left, pool, uses)
            if not count.any() or self.left < 0:
                return None
            left = left.without(count, available)
            pool = _cut(pool, left)
            if not len(pool):
                return self.host if not left.count.any() else None
            effort = effort_of(self.budget, min(5.0, self.budget.remaining()))
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
                if missing and self.tasks.admits(self.host, v, node):
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
            weight = int(self.tasks.problem.weight[self.waiting[k][0]])
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
        problem = self.tasks.problem
        rows, domain_of = np.unique(problem.domain_of[vms], return_inverse=True)
        column = np.full(problem.n_nodes + 1, -1, dtype=np.int32)  # the last entry is for "nowhere"
        column[nodes] = np.arange(len(nodes))
        allowed = problem.domains[rows][:, nodes] & self.tasks.receives[nodes]
        seed = int(self.rng.integers(1 << 30))
        groups = self.tasks.grouping(self.host, vms, nodes)
        return packing(problem.demand[vms], self.room[nodes], allowed, domain_of.reshape(-1).astype(np.int32), column[at], groups, seed)

    def _affordable(self, pool: Pool, uses: Floats, vms: Indices, left: int, at: Indices) -> Indices:
        """Nodes for ``vms`` of cost ``left``: as the relaxation uses their classes; those first that have them ``at`` them."""
        classes = self.classes
        times = np.bincount(np.asarray(pool.node_class, dtype=np.int64), weights=uses, minlength=len(classes.cost))
        running = np.bincount(at[at >= 0], minlength=self.tasks.problem.n_nodes)
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
