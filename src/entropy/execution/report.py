"""What became of a plan.

ExecutionReport.ok    .sentence()    .of(outcome) -> ActionReports    .by_id
under_way(number, total=..., ...) -> "Executing plan 318: 3 of 6 done, 2 running, no failure."
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from entropy.model.plan import Action

__all__ = ["ActionReport", "ExecutionReport", "Outcome", "under_way"]

Outcome = Literal["done", "failed", "skipped", "in_doubt"]
"""Seen to have happened; seen not to have; never started; not known, to be settled by observing."""

_WORDS = {"failed": "failed", "skipped": "skipped", "in_doubt": "in doubt"}


def under_way(number: int, *, total: int, done: int, running: int, in_doubt: int, failed: int, stopping: bool = False) -> str:
    """The one sentence about a plan that is being executed, from how many of its actions are where."""
    parts = [f"{done} of {total} done"]
    if running:
        parts.append(f"{running} running")
    if in_doubt:
        parts.append(f"{in_doubt} in doubt")
    parts.append(f"{failed} failed" if failed else "no failure")
    return f"Executing plan {number}: {', '.join(parts)}{'; stopping' if stopping else ''}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionReport:
    """``detail`` says why, or what is seen.  ``started``, ``ended``: seconds since the plan's execution began."""

    action: Action
    outcome: Outcome
    detail: str = ""
    attempts: int = 0
    started: float | None = None
    ended: float | None = None

    def sentence(self) -> str:
        """For people: ``migrate web-1 from n1 to n2: n2 refused``."""
        return f"{self.action.describe()}: {self.detail}" if self.detail else self.action.describe()


@dataclass(frozen=True, kw_only=True)
class ExecutionReport:
    """One entry an action, in the plan's order.  ``number``: the plan in the journal; ``stopped``: somebody asked to stop."""

    number: int
    actions: tuple[ActionReport, ...]
    stopped: bool = False
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Everything was done."""
        return all(entry.outcome == "done" for entry in self.actions)

    @cached_property
    def by_id(self) -> Mapping[str, ActionReport]:
        """Entries by action id."""
        return {entry.action.id: entry for entry in self.actions}

    def of(self, outcome: Outcome) -> tuple[ActionReport, ...]:
        """The entries with this outcome."""
        return tuple(entry for entry in self.actions if entry.outcome == outcome)

    def sentence(self) -> str:
        """For people: ``5 of 6 done, 1 failed: migrate web-1 from n1 to n2: n2 refused``."""
        if not self.actions:
            return "nothing to do"
        parts = [f"{len(self.of('done'))} of {len(self.actions)} done"]
        outcomes: tuple[Outcome, ...] = ("failed", "in_doubt", "skipped")
        for outcome in outcomes:
            if entries := self.of(outcome):
                parts.append(f"{len(entries)} {_WORDS[outcome]}")
        text = ", ".join(parts)
        if bad := (*self.of("failed"), *self.of("in_doubt")):
            more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
            return f"{text}: {'; '.join(entry.sentence() for entry in bad[:3])}{more}"
        return f"{text}: stopped" if self.stopped and self.of("skipped") else text
