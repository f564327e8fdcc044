"""Fewer nodes: one node after another is closed, and what ran there finds a place on the others by the packing searches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from entropy.placement.budget import Budget
from entropy.placement.metric import Floats
from entropy.placement.packing.completion import LIMIT, SAMPLE, fill
from entropy.placement.packing.ejection import WORK, pack
from entropy.placement.packing.state import width
from entropy.placement.packing.task import Task, Tasks
from entropy.placement.viability import is_viable
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

if TYPE_CHECKING:
    from entropy.placement.packing.dive import Dive

__all__ = ["Packed", "fewer_nodes", "repack"]

_WHOLE = 600
"""Nodes in use up to which all are repacked together."""
_PATIENCE = 30_000_000
_PATIENCE_A_VM = 50_000
"""Comparisons for one node at first: at most, and for each VM."""
_QUICK = 10
"""The first time, nodes are closed with so much less patience."""
_PARTS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the nodes in use that are filled anew, those with most room left."""
_FEWEST = 20
"""Nodes below which all are."""
_LEFT_OVER = 1_000_000
"""Comparisons for what bin completion leaves over."""
_LARGEST = 200_000_000
"""Nodes x VMs on one of them up to which everything is packed anew."""
_TRIALS = ((SAMPLE, LIMIT), (SAMPLE, LIMIT), (2 * SAMPLE, 10 * LIMIT), (12 * SAMPLE, 100 * LIMIT))
"""Candidates and branches for each node, one trial after another."""
_NOISE = 0.8
"""What a VM counts at least of its size when the order is shuffled."""
_SEEN = 12
"""Placements that the relaxation begins with."""
_FIRST = 2
"""Trials with some of the nodes."""
_BRANCHES = 40_000_000
"""Branches of all nodes together."""
_ATTEMPT = 1e-3
"""Work of setting up an attempt."""
_TURNS = 2
"""Nodes that are tried before a dive."""
_SUBSET = 120
"""Nodes that are repacked together in a larger cluster."""


@dataclass(frozen=True)
class Packed:
    """``host``: a placement whose nodes in use cost less, ``None`` where none was found; ``bound`` on that cost, proven for every
    placement (0: nothing was)."""

    host: Indices | None
    bound: int


def fewer_nodes(problem: Problem, host: Indices, node_cost: Integers, bound: int, budget: Budget) -> Indices | None:
    """``repack``, without what it proves."""
    return repack(problem, host, node_cost, bound, budget).host


def repack(problem: Problem, host: Indices, node_cost: Integers, bound: int, budget: Budget) -> Packed:
    """A placement like the viable ``host`` int32[V] whose nodes in use cost less, and the bound that the dives prove.

    Every hard rule is kept, and no soft one is violated more: VMs that a rule other than a hard group limit concerns stay where they
    are.  Ends when the cost reaches ``bound``, a proven bound on it, or one that it proves itself, or the budget is spent.
    """
    search = _Fewer(problem, host, node_cost, bound, budget)
    search.run()
    return Packed(search.host if search.gained else None, search.proven)


@dataclass
class _Fewer:
    problem: Problem
    host: Indices
    node_cost: Integers
    bound: int
    budget: Budget
    gained: bool = False
    proven: int = 0
    seen: list[Indices] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = Tasks(self.problem)
        self.rng = np.random.default_rng(self.budget.seed)

    @property
    def cost(self) -> int:
        """Of the nodes in use."""
        return int(self.node_cost[np.unique(self.host[self.host >= 0])].sum())

    def run(self) -> None:
        """What moves little first: close nodes; fill the emptiest anew, then more of them; then search while there is hope and time."""
        patience = min(_PATIENCE, _PATIENCE_A_VM * int((self.host >= 0).sum()))
        self._close_nodes(patience // _QUICK)
        self._anew()
        while self.cost > self.bound and not self.budget.over:
            if not self._close_nodes(patience):
                return
            found = self._dive.fewer(self.host, self.seen, self.budget, patience // 2, int(self.rng.integers(1 << 30)))
            self.bound = max(self.bound, self._dive.bound)
            self.proven = max(self.proven, self._dive.proven)
            if found is None or not self._accept(found):
                patience *= 2

    def _close_nodes(self, patience: int) -> bool:
        """Close one node after another until some in a row cannot be closed; false when there is none that might be."""
        attempt = 0
        while attempt < _TURNS and self.cost > self.bound and not self.budget.over:
            task = self._task(attempt)
            if task is None:
                return False
            self.budget.spend(_ATTEMPT)
            attempt += 1
            if pack(task.state, patience, self.budget) and self._accept(task.merged(self.host, self.node_cost)):
                attempt = 0
        return True

    def _anew(self) -> None:
        """Fill the nodes with most room left from scratch by bin completion: some of them, then more, at last all."""
        for part in _PARTS:
            trial = 0
            while trial < (_FIRST if part < 1.0 else len(_TRIALS)) and self.cost > self.bound and not self.budget.over:
                task = self._afresh(part, self.budget.seed + trial)
                if task is None:
                    break
                rows = np.arange(len(task.nodes), dtype=np.int32)
                needed = self._enough(task.room, task.state.demand.sum(axis=0)) + trial
                sample, limit = _TRIALS[trial]
                if trial % 2:
                    self._shuffle(task)
                limit = min(limit, max(_BRANCHES // needed, LIMIT))
                run = fill.on(len(task.vms) * sample)
                for some in (rows[:needed], rows[needed:]):
                    self.budget.spend(run(task.state, some, sample, limit) * WORK)
                trial += 1
                packed = pack(task.state, _LEFT_OVER, self.budget)
                found = task.merged(self.host, self.node_cost)
                self.seen = [*self.seen[1 - _SEEN :], found]
                if packed and self._accept(found):
                    trial = 0

    def _shuffle(self, task: Task) -> None:
        """Another order of VMs, not quite the largest first."""
        pool = task.state.pool[: task.state.left[0]]
        pool[:] = pool[np.argsort(task.state.size[pool] * self.rng.uniform(_NOISE, 1.0, len(pool)), kind="stable")]

    def _afresh(self, part: float, seed: int) -> Task | None:
        """All that may move on ``part`` of the nodes in use, those with most room left, nowhere; nodes in the order to fill them in."""
        tasks, host, cost = self.tasks, self.host, self.node_cost
        free = tasks.may_move(host)
        room, anchored = tasks.fixed_room(host, free)
        used = self._used()
        usable = tasks.receives & (room > 0).any(axis=1)
        price = self._price()
        mine = positions(used & usable)
        left = (room[mine] * price).sum(axis=1) - self._load(free)[mine]
        chosen = mine[np.lexsort((mine, -left))][: int(np.ceil(part * len(mine)))]
        if part < 1.0 and len(chosen) < _FEWEST:
            return None
        nodes = np.concatenate((chosen, positions(usable & ~used)))
        worth = (np.maximum(room[nodes], 0) * price).sum(axis=1) / np.maximum(np.where(anchored, 0, cost)[nodes], 1e-9)
        order = nodes[np.lexsort((nodes, ~used[nodes], -worth))].astype(np.int32)
        if not len(order) or not free.any() or len(order) * width(self.problem.demand[free], room[order]) > _LARGEST:
            return None
        closed = positions(used & ~tasks.receives & ~anchored)
        return tasks.task(host, order, closed, room, seed, afresh=True)

    @staticmethod
    def _enough(room: Integers, demand: Integers) -> int:
        """How many of the first nodes have the room that everything together needs."""
        total = np.cumsum(np.maximum(room, 0), axis=0)
        return int(max(np.searchsorted(total[:, r], demand[r]) for r in range(len(demand)))) + 1

    @cached_property
    def _dive(self) -> Dive:
        from entropy.placement.packing.dive import Dive  # here: it loads HiGHS

        return Dive(self.problem, self.tasks, self.node_cost)

    def _accept(self, host: Indices) -> bool:
        used = np.unique(host[host >= 0])
        if int(self.node_cost[used].sum()) >= self.cost or not is_viable(self.problem, host):
            return False
        self.host, self.gained = host, True
        self.budget.progress(f"{len(used)} nodes in use")
        return True

    def _task(self, attempt: int) -> Task | None:
        """Close one node; ``None`` when there is none to close."""
        room, anchored = self.tasks.fixed_room(self.host, self.tasks.may_move(self.host))
        used = self._used()
        closable = positions(used & ~anchored & (self.node_cost > 0))
        if not len(closable):
            return None
        load = self._load(self.host >= 0)
        closable = closable[np.lexsort((closable, load[closable]))]
        victim = closable[min(attempt, len(closable) - 1) if attempt % 2 == 0 else int(self.rng.integers(len(closable)))]
        others = positions(used & self.tasks.receives)
        others = others[others != victim]
        if len(others) > _WHOLE:
            spare = (room * self._price()).sum(axis=1) - load
            roomy = others[np.lexsort((others, -spare[others]))][: _SUBSET // 2]
            others = np.union1d(roomy, self.rng.choice(others, _SUBSET // 2, replace=False)).astype(np.int32)
        return self.tasks.task(self.host, others, np.array([victim], dtype=np.int32), room, int(self.rng.integers(1 << 30)))

    def _used(self) -> Bools:
        used = np.zeros(self.problem.n_nodes, dtype=np.bool_)
        used[self.host[self.host >= 0]] = True
        return used

    def _price(self) -> Floats:
        problem = self.problem
        offered = np.maximum(problem.capacity.sum(axis=0), 1).astype(np.float64)
        return np.asarray(problem.demand[problem.runs_at_end()].sum(axis=0) / offered / offered)

    def _load(self, vms: Bools) -> Floats:
        """float64[N]: size of what runs on each node, of ``vms`` bool[V]."""
        load = np.zeros(self.problem.n_nodes)
        placed = positions(vms)
        np.add.at(load, self.host[placed], self.problem.demand[placed] @ self._price())
        return load
