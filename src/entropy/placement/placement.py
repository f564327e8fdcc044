"""What placement answers: where each VM ends, how good that is, and what is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropy.problem.problem import Indices

__all__ = ["Goal", "Outcome", "Placement"]

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


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``host`` int32[V]: node of each VM that runs at the end (-1 otherwise); ``left_out`` VMs that found no node.

    ``outcome``: optimal and feasible as they say; infeasible is proven; unknown when the limits ended the search.
    """

    outcome: Outcome
    host: Indices
    nodes: Goal
    moved: Goal
    left_out: tuple[int, ...] = ()
