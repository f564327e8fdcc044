"""What a search may still spend: seconds of wall clock, or work in deterministic units."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from entropy.placement.executor import INLINE

__all__ = ["Budget", "Share"]

_BLOCK_WORK = 0.02
"""Work of ``squeeze.BLOCK`` trades, in the exact model's units: about as many seconds on an ordinary machine."""


@dataclass
class Budget:
    """``remaining()`` seconds, and ``work`` in CP-SAT's deterministic units if limited.

    ``workers``: how many sub-problems are solved at once, through ``executor``; ``progress`` hears of every better placement.
    """

    remaining: Callable[[], float]
    work: float | None = None
    workers: int = 1
    seed: int = 0
    progress: Callable[[str], None] = lambda _text: None
    executor: Executor = field(default=INLINE)

    def spend(self, work: float) -> None:
        """Account for work done."""
        if self.work is not None:
            self.work = max(self.work - work, 0.0)

    def share(self, part: float) -> Callable[[], bool]:
        """Tells when ``part`` of what remains now has been used; it is asked every ``squeeze.BLOCK`` trades, which count as work."""
        if self.work is not None:
            least = self.work * (1 - part)

            def over() -> bool:
                self.spend(_BLOCK_WORK)
                return self.work is not None and self.work <= least

            return over
        left = self.remaining()
        return lambda: left < float("inf") and self.remaining() <= left * (1 - part)

    def part(self, part: float) -> Budget:
        """A budget of ``part`` of what remains now."""
        left = self.remaining()
        remaining = self.remaining if left == float("inf") else lambda: self.remaining() - left * (1 - part)
        return replace(self, remaining=remaining, work=None if self.work is None else self.work * part)

    def settle(self, part: Budget, given: float) -> None:
        """Account for what was spent of a part that was ``given`` so much work."""
        if part.work is not None:
            self.spend(given - part.work)

    @property
    def over(self) -> bool:
        """Is nothing left?"""
        return self.remaining() <= 0 or self.work == 0


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one sub-problem may spend, wherever it is solved: ``seconds`` from when it starts there, or deterministic ``work``."""

    seconds: float
    work: float | None = None

    def budget(self, seed: int) -> Budget:
        """A budget that begins now."""
        began = time.monotonic()
        remaining = (lambda: float("inf")) if self.work is not None else (lambda: self.seconds - (time.monotonic() - began))
        return Budget(remaining=remaining, work=self.work, seed=seed)
