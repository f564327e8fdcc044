"""One goal after another in the exact model: each is made small while those before it stay as good as they are."""

from __future__ import annotations

from typing import Literal

from entropy.placement.exact import Exact, ExactModel, Limits
from entropy.placement.exact.encodings import NOTHING
from entropy.placement.exact.sheet import Expression
from entropy.placement.goals import Goals, Value

__all__ = ["Step", "solve_step", "steps_of"]

Step = Literal["soft", "primary", "moved", "traded"]


def steps_of(goals: Goals) -> tuple[Step, ...]:
    """The goals in their order; the last two in one where they are traded off."""
    return ("soft", "traded") if goals.exchange is not None else ("soft", "primary", "moved")


def solve_step(model: ExactModel, goals: Goals, step: Step, now: Value, limits: Limits, *, bound: int = 0, gain: int = 0) -> Exact:
    """The best placement for ``step`` that is no worse than ``now`` in the goals before it.

    ``bound`` is one already proven.  ``gain`` above 0: a placement is wanted that is better by so much in the primary goal, with the
    least moved memory that this takes.
    """
    if step == "soft":
        return model.solve_soft(limits, bound=bound)
    if model.problem.has_soft:
        model.cap_soft(now.soft)
    primary = _primary(model, goals)
    match step:
        case "traded":
            per_unit, per_move = goals.exchange or (1, 0)
            return model.minimise(primary.times(per_unit).plus(model.moved.times(per_move)), limits, bound=bound)
        case "primary" if not gain:
            return model.minimise(primary, limits, bound=bound)
    if goals.objective != "repair":
        model.cap(primary, now.primary - gain)
    return model.solve_moves(limits, bound=bound)


def _primary(model: ExactModel, goals: Goals) -> Expression:
    match goals.objective:
        case "consolidate":
            return model.nodes
        case "balance":
            from entropy.placement.exact.spread import spread_goal

            return spread_goal(model.sheet, model.pairs, goals.resource_weight)
        case _:
            return NOTHING
