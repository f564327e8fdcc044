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
from entropy.placement.bounds.parts import Given
from entropy.placement.budget import Budget, Share
from entropy.placement.executor import outcome
from entropy.placement.packing.descent import descend, effort_of
from entropy.placement.packing.task import Tasks
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Dive"]

_CLASSES, _NODE_CLASSES = 1_500, 32


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

    def fewer(self, host: Indices, seen: list[Indices], budget: Budget, patience: int, seed: int) -> Indices | None:
        """A placement that costs less than ``host``, or ``None``; up to half of the budget goes into the relaxation at first.

        ``seen``: other placements, whose nodes are patterns to begin with; ``patience``: comparisons of the ejection search at each
        depth.  The first dive aims at the bound; those that fail make the next ones aim higher.  As many dives as the budget has workers
        go down side by side.
        """
        may_move = self.tasks.may_move(host)
        free = may_move & self.tasks.receives[host]
        fixed = np.where(free, -1, host).astype(np.int32)
        if self._root is None or not np.array_equal(self._root.fixed, fixed):
            self._root = self._relax(host, seen, fixed, free, budget)
        root = self._root
        if root.classes is None or root.columns is None:
            return None
        bound = root.base + root.columns.bound
        self.bound = bound if np.array_equal(may_move, free) else 0
        self.proven = bound if self._anything_goes(free) else 0
        cost = int(self.node_cost[np.unique(host[host >= 0])].sum())
        if bound >= cost or budget.over:
            return None
        step = lattice(root.classes)
        self._aim = min(max(self._aim, bound), cost - step)
        allowed = (self._aim - root.base, cost - step - root.base)
        share = Share(seconds=budget.remaining(), work=None if budget.work is None else budget.work / budget.workers)
        tasks = [
            budget.executor.submit(descend, self.tasks, host, root.room, root.classes, root.columns, allowed, share, patience, seed + k)
            for k in range(budget.workers)
        ]
        best: Indices | None = None
        for task in tasks:
            found, work = outcome(task, share.seconds) or (None, 0.0)
            budget.spend(work)
            if found is not None and (better := int(self.node_cost[np.unique(found[found >= 0])].sum())) < cost:
                best, cost = found, better
        if best is None:
            self._aim += max((cost - self._aim) // step // 3, 1) * step
            if self._aim >= cost:
                self._aim = bound
        return best

    def _anything_goes(self, free: Bools) -> bool:
        """Is what is free, and where it may go, all that the problem leaves open?"""
        problem = self.problem
        rows = np.unique(problem.domain_of[free])
        closed = problem.domains[rows][:, ~self.tasks.receives]
        return bool((free == (problem.runs_at_end() & ~problem.held)).all() and not closed.any())

    def _relax(self, host: Indices, seen: list[Indices], fixed: Indices, free: Bools, budget: Budget) -> _Root:
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
        effort = effort_of(budget, (budget.remaining() if budget.work is None else budget.work) / 2)
        columns = generate(classes, _present(classes, [host, *seen]), effort)
        budget.spend(effort.spent)
        return _Root(fixed, room, base, classes, columns)


def _present(classes: Classes, hosts: list[Indices]) -> Pool:
    """The patterns of the nodes in these placements."""
    pool = Pool()
    number = len(classes.vms)
    kind: dict[int, int] = {int(n): m for m, nodes in enumerate(classes.nodes) for n in nodes}
    vms = np.concatenate(classes.vms)
    class_of = np.repeat(np.arange(number), [len(members) for members in classes.vms])
    for host in hosts:
        order = np.argsort(host[vms], kind="stable")
        nodes, starts = np.unique(host[vms][order], return_index=True)
        for n, inside in zip(nodes.tolist(), np.split(class_of[order], starts[1:]), strict=True):
            if n in kind:
                pool.add(kind[n], np.bincount(inside, minlength=number).astype(np.int64))
    return pool
