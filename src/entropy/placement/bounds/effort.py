"""What a bound may cost: seconds of a clock that is passed in, and deterministic work."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Effort"]

_RATE = 50_000_000
"""Steps of work that make a unit: about a second on an ordinary machine."""


def _ever() -> float:
    return float("inf")


class Effort:
    """What may be spent, and what was.

    ``remaining()``: seconds that are left (asked often).  ``work``: units (about seconds) that may be done, ``None`` for any; with a
    limit on work alone, what is found is a function of the problem.  ``target``: a bound that is enough (the value to be proven).
    """

    def __init__(self, remaining: Callable[[], float] = _ever, work: float | None = None, target: int | None = None) -> None:
        self.remaining, self.work, self.target = remaining, work, target
        self.spent = 0.0
        self._whole: Effort | None = None

    def spend(self, steps: float) -> None:
        """Account for so many elementary steps."""
        self.spend_units(steps / _RATE)

    def spend_units(self, units: float) -> None:
        """Account for so many units of work."""
        self.spent += units
        if self._whole is not None:
            self._whole.spend_units(units)

    @property
    def work_left(self) -> float:
        """Units of work."""
        return float("inf") if self.work is None else max(self.work - self.spent, 0.0)

    @property
    def steps_left(self) -> float:
        """Elementary steps."""
        return self.work_left * _RATE

    @property
    def over(self) -> bool:
        """Is nothing left?"""
        return self.work_left <= 0 or self.remaining() <= 0

    def share(self, part: float) -> Effort:
        """``part`` of what is left, spent from the whole."""
        seconds = self.remaining()
        kept = seconds * (1 - part)
        share = Effort(
            self.remaining if seconds == float("inf") else lambda: self.remaining() - kept,
            None if self.work is None else self.work_left * part,
            self.target,
        )
        share._whole = self
        return share
