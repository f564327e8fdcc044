"""Placement, anytime: kernels first, from the observed placement; then bounds, neighbourhoods and, where it is small, the whole exactly.

The order of attack: simple bounds; repair; the objective's own kernels; strong bounds and searches where a gap is left; large
neighbourhood search.  It ends on proof or when the budget is spent.
"""

from __future__ import annotations

import numpy as np

from entropy.placement import bounds
from entropy.placement.budget import Budget, Share
from entropy.placement.consolidate import consolidate
from entropy.placement.executor import outcome
from entropy.placement.goals import Goals, affordable
from entropy.placement.improve import improve
from entropy.placement.incumbent import Incumbent
from entropy.placement.partition import independent_parts
from entropy.placement.placement import Placement
from entropy.placement.repair import repair
from entropy.placement.restriction import Part
from entropy.placement.whole import pairs_of, solve_whole
from entropy.placement.widening import EXACT_PAIRS, Widening
from entropy.placement.working import Working
from entropy.problem.problem import Problem

__all__ = ["place", "place_part", "primary_bound"]


def primary_bound(problem: Problem, goals: Goals) -> int:
    """Least value of the objective's own goal, by arguments that take no search."""
    if goals.objective == "consolidate":
        return bounds.node_bound(problem, goals.node_cost)
    return 0


def place(problem: Problem, goals: Goals, budget: Budget) -> Placement:
    """Where each VM ends: a viable placement, the best found for ``goals``, with proven bounds."""
    parts = independent_parts(problem, goals)
    if len(parts) < 2:
        return _Search(problem, goals, budget).run()
    return _place_apart(problem, goals, budget, parts)


def place_part(part: Part, share: Share, seed: int) -> Placement:
    """``place`` for one part, wherever that runs."""
    return _Search(part.problem, part.goals, share.budget(seed)).run()


def _place_apart(problem: Problem, goals: Goals, budget: Budget, parts: list[Part]) -> Placement:
    """Independent parts side by side: their optima and bounds add up.  What time is left goes to the whole."""
    turns = -(-len(parts) // budget.workers)
    share = Share(seconds=budget.remaining() * 0.8 / turns, work=None if budget.work is None else budget.work * 0.8 / len(parts))
    tasks = [budget.executor.submit(place_part, part, share, budget.seed + k) for k, part in enumerate(parts)]
    host = bounds.observed_hosts(problem)
    found = []
    for part, task in zip(parts, tasks, strict=True):
        placed = outcome(task, share.seconds * turns) or place_part(part, share, budget.seed)
        found.append(placed)
        host = part.merged(placed.host, host)
    budget.spend(0.0 if share.work is None else share.work * len(parts))
    left = [int(part.vms[v]) for part, placed in zip(parts, found, strict=True) for v in placed.left_out]
    if left:
        proven = any(placed.outcome == "infeasible" for placed in found)
        return Placement(outcome="infeasible" if proven else "unknown", host=host, left_out=tuple(sorted(left)))
    best = Incumbent(problem, goals, host, budget.progress)
    best.prove(soft=sum(p.soft.bound for p in found), primary=sum(p.primary.bound for p in found), moved=sum(p.moved.bound for p in found))
    best.reasons |= {reason.split(": ")[0]: reason.split(": ", 1)[1] for p in found for reason in p.reasons}
    budget.progress(best.sentence())
    if not best.optimal and not budget.over:
        improve(best, bounds.usable_nodes(problem) & ~problem.untouchable, budget)
    return best.placement()


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
        self.best = Incumbent(problem, self.goals, working.host, budget.progress)
        self._prove_simply()
        budget.progress(self.best.sentence())
        if not self.best.optimal:
            self._towards_goal(working)
            self._prove_simply()
        if not self.best.optimal and not budget.over:
            self._search_on()
        return self.best.placement()

    def _towards_goal(self, working: Working) -> None:
        """The kernels of the objective."""
        goals = self.goals
        if goals.objective == "consolidate":
            kept = bounds.kept_weight(self.problem, self.leaving)
            least = self.least_primary
            if goals.exchange is not None:  # nodes that are worth less than the memory that leaving them moves
                per_node, per_move = goals.exchange
                least = max(least, int(goals.node_cost[kept * per_move > goals.node_cost * per_node].sum()))
            least_moved = bounds.moved_bound(self.problem, self.leaving, affordable(goals.node_cost, least))
            self.best.offer(consolidate(working, kept, goals.node_cost, least, least_moved, self.rng, self.budget.share(0.5)).host)

    def _prove_simply(self) -> None:
        best, goals = self.best, self.goals
        best.prove(primary=self.least_primary, why="volume")
        # strict priorities: only placements with no more nodes than this one compete with it
        strict = goals.objective == "consolidate" and goals.exchange is None
        most = affordable(goals.node_cost, best.value.primary) if strict else None
        best.prove(moved=bounds.moved_bound(self.problem, self.leaving, most), why="what must leave its node")

    def _search_on(self) -> None:
        """Exact search over everything where that is small, else neighbourhoods."""
        problem, best, budget = self.problem, self.best, self.budget
        if pairs_of(problem) <= EXACT_PAIRS:
            solve_whole(best, budget, self._prove_simply)
        if not best.optimal and not budget.over:
            improve(best, bounds.usable_nodes(problem) & ~problem.untouchable, budget)
        self._prove_simply()
