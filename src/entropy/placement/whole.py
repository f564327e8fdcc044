"""A small problem, the whole of it exactly: one goal after another, each with what is proven before."""

from __future__ import annotations

from collections.abc import Callable

from entropy.placement.bounds import usable_nodes
from entropy.placement.budget import Budget
from entropy.placement.incumbent import Incumbent
from entropy.problem.problem import Problem, positions

__all__ = ["pairs_of", "solve_whole"]

_SHARE = 0.6
"""Of what is left, for each goal."""


def pairs_of(problem: Problem) -> int:
    """VM-node pairs that the exact model would see."""
    sizes = problem.domains.sum(axis=1)
    return int(sizes[problem.domain_of[problem.runs_at_end() & ~problem.held]].sum())


def solve_whole(best: Incumbent, budget: Budget, prove_more: Callable[[], None]) -> None:
    """Better placements and bounds into ``best``; ``prove_more`` is called when a goal has reached its optimum."""
    from entropy.placement.exact import ExactModel, Limits
    from entropy.placement.lexicographic import solve_step, steps_of

    problem, goals = best.problem, best.goals
    vms, nodes = positions(problem.runs_at_end()), positions(usable_nodes(problem))
    for step in steps_of(goals):
        if best.optimal or budget.over:
            return
        known = best.traded_bound if step == "traded" else getattr(best.bound, step)
        if step != "traded" and getattr(best.gaps, step) == 0:
            continue
        model = ExactModel(problem, best.host, vms, nodes, goals.node_cost)
        model.hint(best.host)
        limits = Limits(
            seconds=budget.remaining() * _SHARE,
            work=None if budget.work is None else budget.work * _SHARE,
            workers=budget.workers,
            seed=budget.seed,
        )
        found = solve_step(model, goals, step, best.value, limits, bound=known)
        budget.spend(found.work)
        if found.host is None:
            continue
        best.offer(found.host)
        if step == "traded":
            best.prove_traded(found.bound)
        elif step != "moved" or not best.gaps.soft:  # else what breaks fewer soft rules may cost more first, and move less
            best.prove(**{step: found.bound}, why="exact search")
        prove_more()
