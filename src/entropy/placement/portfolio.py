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
from entropy.placement.widening import EXACT_PAIRS, Widening
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Integers, Problem, positions

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
            least_moved = bounds.moved_bound(self.problem, self.leaving, affordable(goals.node_cost, self.least_primary))
            self.best.offer(
                consolidate(working, kept, goals.node_cost, self.least_primary, least_moved, self.rng, self.budget.share(0.5)).host
            )

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
