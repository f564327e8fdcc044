"""What a caller may say about how to plan, and what it gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Objective
from entropy.scheduling.durations import DurationModel

__all__ = ["PlanOptions", "Result"]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """How to plan.

    ``objective`` beats the policy's.  ``time_limit`` seconds of ``clock`` from now to the plan; ``work_limit`` deterministic units
    instead (same input, seed and workers: same answer).  ``workers`` threads, or the Dask cluster at the address ``dask``, solve
    sub-problems.  ``best_effort``: what cannot be mended is left as it is and listed, everything else is satisfied.  ``lenient``:
    rules may name what no longer exists.  ``held``: VMs that stay unless a rule drives them out.
    """

    objective: Objective | None = None
    time_limit: float = 10.0
    work_limit: float | None = None
    workers: int = 2
    seed: int = 0
    dask: str | None = None
    best_effort: bool = False
    lenient: bool = False
    held: frozenset[str] = frozenset()
    durations: DurationModel = field(default_factory=DurationModel)
    clock: Callable[[], float] = time.monotonic
    progress: Callable[[str], None] = lambda _text: None

    def __post_init__(self) -> None:
        for name, value in (("time limit", self.time_limit), ("work limit", self.work_limit)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"is {value:g}", where=name, accepted="a number above 0")
        if self.workers < 1:
            raise InputError(f"is {self.workers}", where="workers", accepted="a whole number of at least 1")
        if not 0 <= self.seed < 1 << 31:
            raise InputError(f"is {self.seed}", where="seed", accepted="a whole number from 0 to 2147483647")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A verified plan; ``sentence`` sums it up, ``reasons`` say why it is what it is, ``warnings`` what was odd in the input."""

    plan: Plan
    sentence: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
