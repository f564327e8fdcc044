"""Placement, anytime: kernels first, from the observed placement; then bounds, neighbourhoods and, where it is small, the whole exactly.

The order of attack: simple bounds; repair; the objective's own kernels; strong bounds and searches where a gap is left; large
neighbourhood search.  It ends on proof or when the budget is spent.
"""

from __future__ import annotations

import numpy as np

from entropy.placement import bounds
from entropy.placement.budget import Budget
from entropy.placement.consolidate import consolidate
from entropy.placement.goals import Goals, affordable
from entropy.placement.improve import improve
from entropy.placement.incumbent import Incumbent
from entropy.placement.placement import Placement
from entropy.placement.repair import repair
from entropy.placement.widening import EXACT_PAIRS, Widening
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Integers, Problem, positions

__all__ = ["place", "primary_bound"]


def primary_bound(problem: Problem, goals: Goals) -> int:
    """Least value of the objective's own goal, by arguments that take no search."""
    if goals.objective == "consolidate":
        return bounds.node_bound(problem, goals.node_cost)
    return 0


def place(problem: Problem, goals: Goals, budget: Budget) -> Placement:
    """Where each VM ends: a viable placement, the best found for ``goals``, with proven bounds."""
    return _Search(problem, goals, budget).run()


class _Search:
    def __init__(self, problem: Problem, goals: Goals, budget: Budget) -> None:
        self.problem, self.goals, self.budget = problem, goals, budget
        self.rng = np.random.default_rng(budget.seed)
        self.leaving, self.cheapest = bounds.must_leave(problem)
        self.least_primary = primary_bound(problem, goals)

    def run(self) -> Placement:
        """All of it."""
        problem, budget = self.problem, self.budget
        working = Working(problem, bounds.observed_hosts(problem))
        widening = Widening(problem, self.goals, budget)
        left = repair(working, self.cheapest, self.rng, budget.share(0.6), widening)
        if len(left):
            outcome = "infeasible" if widening.proven_infeasible else "unknown"
            return Placement(outcome=outcome, host=working.host, left_out=tuple(int(v) for v in left))  # type: ignore[arg-type]
        working = self._towards_goal(working)
        self.best = Incumbent(problem, self.goals, working.host, budget.progress)
        self._prove_simply()
        budget.progress(self.best.sentence())
        if not self.best.optimal and not budget.over:
            self._search_on()
        return self.best.placement()

    def _towards_goal(self, working: Working) -> Working:
        """The kernels of the objective."""
        goals = self.goals
        if goals.objective != "consolidate":
            return working
        kept = bounds.kept_weight(self.problem, self.leaving)
        least_moved = bounds.moved_bound(self.problem, self.leaving, affordable(goals.node_cost, self.least_primary))
        return consolidate(working, kept, goals.node_cost, self.least_primary, least_moved, self.rng, self.budget.share(0.5))

    def _prove_simply(self) -> None:
        best, goals = self.best, self.goals
        best.prove(primary=self.least_primary, why="volume")
        # strict priorities: only placements with no more nodes than this one compete with it
        strict = goals.objective == "consolidate" and goals.trade_off is None
        most = affordable(goals.node_cost, best.value.primary) if strict else None
        best.prove(moved=bounds.moved_bound(self.problem, self.leaving, most), why="what must leave its node")

    def _search_on(self) -> None:
        """Exact search over everything where that is small, else neighbourhoods."""
        problem, best, budget = self.problem, self.best, self.budget
        open_nodes = bounds.usable_nodes(problem) & ~problem.untouchable
        if _pairs(problem) <= EXACT_PAIRS:
            self._whole()
        if not best.optimal and not budget.over:
            improve(best, open_nodes, budget)
        self._prove_simply()

    def _whole(self) -> None:
        """The whole problem exactly, one goal after another."""
        from entropy.placement.exact import ExactModel, Limits

        problem, goals, best, budget = self.problem, self.goals, self.best, self.budget
        vms = positions(problem.runs_at_end())
        nodes = positions(bounds.usable_nodes(problem))

        def model() -> ExactModel:
            exact = ExactModel(problem, best.host, vms, nodes, goals.node_cost)
            exact.hint(best.host)
            return exact

        def limits(share: float) -> Limits:
            work = None if budget.work is None else budget.work * share
            return Limits(seconds=budget.remaining() * share, work=work, workers=budget.workers, seed=budget.seed)

        if goals.objective == "consolidate" and best.gaps.primary:
            found = model().solve_nodes(limits(0.5), bound=best.bound.primary)
            budget.spend(found.work)
            if found.host is not None:
                best.offer(found.host)
                best.prove(primary=found.bound, why="exact search")
                self._prove_simply()
        if best.optimal or budget.over:
            return
        exact = model()
        if goals.objective == "consolidate":
            exact.cap_nodes(best.value.primary)
        found = exact.solve_moves(limits(0.6), bound=best.bound.moved)
        budget.spend(found.work)
        if found.host is not None:
            best.offer(found.host)
            best.prove(moved=found.bound, why="exact search")


def _pairs(problem: Problem) -> int:
    """VM-node pairs that the exact model would see."""
    sizes: Integers = problem.domains.sum(axis=1)
    free: Indices = positions(problem.runs_at_end() & ~problem.held)
    return int(sizes[problem.domain_of[free]].sum())
