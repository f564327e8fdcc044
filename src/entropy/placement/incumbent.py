"""The best placement so far, and what is proven about it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.goals import Goals, Value, value_of
from entropy.placement.placement import Goal, Outcome, Placement
from entropy.problem.problem import Indices, Problem

__all__ = ["Incumbent"]


class Incumbent:
    """``host`` int32[V] and its ``value``; bounds only ever rise, the value only ever falls.

    The bound on moved memory holds for every placement that is no worse than this one in the goals before it.
    """

    def __init__(self, problem: Problem, goals: Goals, host: Indices, progress: Callable[[str], None] = lambda _text: None) -> None:
        self.problem, self.goals, self.progress = problem, goals, progress
        self.host, self.value = host.copy(), value_of(problem, goals, host)
        self.bound = Value(0, 0, 0)
        self.traded_bound = 0
        self.reasons: dict[str, str] = {}

    def offer(self, host: Indices) -> bool:
        """Take ``host`` if it is better; was it?"""
        value = value_of(self.problem, self.goals, host)
        if self.goals.key(value) >= self.goals.key(self.value):
            return False
        self.host, self.value = host.copy(), value
        self.progress(self.sentence())
        return True

    def prove(self, *, soft: int = 0, primary: int = 0, moved: int = 0, why: str = "") -> None:
        """Raise the bounds.  Bounds above the value are cut: ties are proven, nothing more is claimed."""
        raised = Value(*(min(max(old, new), value) for old, new, value in zip(self.bound, (soft, primary, moved), self.value, strict=True)))
        if why:
            self.reasons |= {name: why for name, old, new in zip(Value._fields, self.bound, raised, strict=True) if new > old}
        self.bound = raised

    def prove_traded(self, bound: int) -> None:
        """Raise the bound on what is traded off."""
        self.traded_bound = max(self.traded_bound, bound)

    @property
    def gaps(self) -> Value:
        """What may still be gained in each goal, at most."""
        return Value(*(v - b for v, b in zip(self.value, self.bound, strict=True)))

    @property
    def optimal(self) -> bool:
        """Is nothing left to gain?"""
        gaps = self.gaps
        traded = self.goals.exchange is not None and self.traded_bound >= self.goals.traded(self.value)
        return gaps.soft == 0 and (traded or (gaps.primary == 0 and gaps.moved == 0))

    def sentence(self) -> str:
        """For whoever waits."""
        resources = self.problem.resources
        gib = 1024 * (float(self.problem.scale[resources.index("memory")]) if "memory" in resources else 1.0)
        known = f"{self.value.moved / gib:.3g} GiB moved (at least {self.bound.moved / gib:.3g})"
        used = len(np.unique(self.host[self.host >= 0]))
        proven = self.bound.primary >= self.value.primary
        match self.goals.objective:
            case "consolidate":
                text = f"{used} nodes in use, {known}, {'no fewer nodes possible' if proven else 'fewer nodes sought'}"
            case "balance":
                text = f"{known}, {'no smaller spread possible' if proven else 'a smaller spread sought'}"
            case _:
                text = f"{used} nodes in use, {known}"
        return f"{text}; soft rules broken" if self.value.soft else text

    def placement(self) -> Placement:
        """The answer as it stands."""
        outcome: Outcome = "optimal" if self.optimal else "feasible"
        soft, primary, moved = (Goal(value=v, bound=b) for v, b in zip(self.value, self.bound, strict=True))
        reasons = tuple(f"{goal}: {why}" for goal, why in sorted(self.reasons.items()))
        return Placement(outcome=outcome, host=self.host, soft=soft, primary=primary, moved=moved, reasons=reasons)
