"""VMs that kernels could not place: exact search over them and the nodes with most room, doubled until it works."""

from __future__ import annotations

import numpy as np

from entropy.placement.bounds import usable_nodes
from entropy.placement.budget import Budget
from entropy.placement.goals import Goals
from entropy.placement.metric import best_fit
from entropy.placement.restriction import Restrictor
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Problem, positions

__all__ = ["EXACT_PAIRS", "Widening"]

EXACT_PAIRS = 40_000
"""VM-node pairs up to which a whole problem is given to the exact model."""
_PAIRS = 12_000
"""The same for a neighbourhood."""


class Widening:
    """Settles VMs in a placement; ``proven_infeasible`` once the whole problem was looked at in vain."""

    def __init__(self, problem: Problem, goals: Goals, budget: Budget) -> None:
        self.problem, self.budget = problem, budget
        self.restrictor = Restrictor(problem, goals)
        self.proven_infeasible = False

    def __call__(self, working: Working, left: Indices) -> bool:
        """Place ``left`` in ``working``; true when all are."""
        for start in range(0, len(left), 4):
            if not self._settle(working, left[start : start + 4]) and not self._settle(working, left[working.host[left] < 0]):
                return False
        return True

    def _settle(self, working: Working, stuck: Indices) -> bool:
        from entropy.placement.exact import ExactModel, Limits

        problem, size = self.problem, 8
        order = self._roomiest(working, stuck)
        if not len(order):  # nobody may run anywhere
            self.proven_infeasible = True
        while len(order) and not self.budget.over:
            nodes = order[:size]
            whole = size >= len(order)
            part = self.restrictor.restrict(working.host, nodes, extra=stuck)
            if part.free_vms * part.free_nodes > (EXACT_PAIRS if whole else _PAIRS) * (1 if size > 8 else 100):
                return False
            vms = np.arange(part.problem.n_vms, dtype=np.int32)
            model = ExactModel(part.problem, part.host, vms, np.arange(part.problem.n_nodes, dtype=np.int32), part.goals.node_cost)
            limits = Limits(
                seconds=self.budget.remaining() * (0.8 if whole else 0.3),
                work=None if self.budget.work is None else self.budget.work * 0.5,
                workers=self.budget.workers,
                seed=self.budget.seed,
            )
            found = model.solve_moves(limits)
            self.budget.spend(found.work)
            if found.host is not None:
                free = part.vms[: part.free_vms]
                working.take_out(free)
                host = part.merged(found.host, working.host)
                for v in free:
                    working.put(int(v), int(host[v]))
                return True
            if whole:
                everything = part.free_vms == int(problem.runs_at_end().sum())
                self.proven_infeasible = found.status == "infeasible" and everything
                return False
            size *= 2
        return False

    def _roomiest(self, working: Working, stuck: Indices) -> Indices:
        """Nodes that the stuck VMs may use, most room first; then all others."""
        problem = self.problem
        allowed = np.asarray(problem.domains[problem.domain_of[stuck]].any(axis=0))
        usable = usable_nodes(problem)
        room = (working.free * best_fit(problem, usable).price).sum(axis=1)
        nodes = positions(usable)
        return nodes[np.lexsort((nodes, -room[nodes], ~allowed[nodes]))].astype(np.int32)
