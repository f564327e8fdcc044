"""What placement answers: where each VM ends, how good that is, and what is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropy.problem.problem import Indices

__all__ = ["NOTHING", "Goal", "Outcome", "Placement"]

Outcome = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal's value and proven lower bound, in the problem's integer units."""

    value: int
    bound: int

    @property
    def proven(self) -> bool:
        """Is the value the optimum?"""
        return self.bound >= self.value


NOTHING = Goal(value=0, bound=0)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``host`` int32[V]: node of each VM that runs at the end (-1 otherwise); ``left_out`` VMs that found no node.

    ``soft``: cost of the soft rules broken; ``primary``: the objective's own goal (cost of the nodes in use, or spread); ``moved``: moved
    memory.  ``outcome``: optimal and feasible as they say; infeasible is proven; unknown when the limits ended the search.
    ``reasons``: where the bounds come from, for the operator.
    """

    outcome: Outcome
    host: Indices
    soft: Goal = NOTHING
    primary: Goal = NOTHING
    moved: Goal = NOTHING
    left_out: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
