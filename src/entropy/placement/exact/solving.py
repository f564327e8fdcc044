"""One solve: its limits, its outcome, and Ctrl-C."""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ortools.sat.python import cp_model

from entropy.placement.exact.sheet import Variables
from entropy.problem.problem import Indices

__all__ = ["Exact", "Limits", "Solved", "Status", "interruptible", "solve"]

Status = Literal["optimal", "feasible", "infeasible", "unknown"]
_NAP = 0.2
"""Seconds after which whoever waits for a solver looks whether Ctrl-C was pressed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``seconds`` of wall clock, ``work`` in CP-SAT's deterministic time (``None``: unlimited), ``workers``, ``seed``."""

    seconds: float
    work: float | None = None
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Outcome of one solve: ``host`` of every VM, value and proven bound of the goal that was solved, work spent."""

    status: Status
    host: Indices | None
    value: int
    bound: int
    work: float


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What the solver says: the value of every variable, or ``None``; the bound on the objective, without its constant."""

    status: Status
    solution: Variables | None
    bound: int
    work: float


def solve(model: cp_model.CpModel, limits: Limits) -> Solved:
    """The answer to ``model`` within ``limits``.  With ``work`` and no clock in the way it is a function of model, seed and workers."""
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(min(limits.seconds, 1e9), 0.01)
    if limits.work is not None:
        solver.parameters.max_deterministic_time = max(limits.work, 0.001)
    solver.parameters.num_workers = limits.workers
    solver.parameters.interleave_search = limits.workers > 1
    solver.parameters.random_seed = limits.seed
    code = interruptible(solver, model)  # no callback: which of several equal solutions it sees first is a race
    answer = solver.response_proto
    work = float(answer.deterministic_time)
    if code not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        status: Status = "infeasible" if code == cp_model.INFEASIBLE else "unknown"
        return Solved(status=status, solution=None, bound=0, work=work)
    return Solved(
        status="optimal" if code == cp_model.OPTIMAL else "feasible",
        solution=np.array(answer.solution, dtype=np.int64),
        bound=_whole(answer.best_objective_bound),
        work=work,
    )


def _whole(bound: float) -> int:
    """The bound as an integer that is proven: a double rounds numbers from 2^53 on, upwards as well."""
    return math.ceil(bound - 1e-6 - abs(bound) * 2.0**-50)


def interruptible(solver: cp_model.CpSolver, model: cp_model.CpModel) -> Any:
    """The status of a solve that Ctrl-C ends at once.

    The solver would take the signal for itself, answer with what it has, and nobody else would hear of it; and while it works on the
    thread that Python delivers signals to, none gets through.
    """
    solver.parameters.catch_sigint_signal = False
    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            outcome.set_result(solver.solve(model))
        except BaseException as problem:  # for the thread that waits
            outcome.set_exception(problem)

    thread = threading.Thread(target=work, name="solver", daemon=True)
    try:
        thread.start()
        while not wait((outcome,), timeout=_NAP).done:
            pass  # a signal that comes just before a thread falls asleep does not wake it
        return outcome.result()
    except KeyboardInterrupt:
        solver.stop_search()
        thread.join()
        raise
