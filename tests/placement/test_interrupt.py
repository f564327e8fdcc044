"""Ctrl-C while the exact model is being solved."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ortools.sat.python import cp_model

from entropy.placement.exact.solving import interruptible


class _Endless:
    """A solver that works until it is told to stop; its first act is to have Ctrl-C pressed."""

    def __init__(self) -> None:
        self.parameters = SimpleNamespace(catch_sigint_signal=True)
        self.stopped = threading.Event()

    def solve(self, _model: object) -> int:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self.stopped.wait()
        return 0

    def stop_search(self) -> None:
        self.stopped.set()


def test_ctrl_c_stops_the_search_and_is_passed_on() -> None:
    """The solver took the signal for itself: the command went on, and ended as if nothing had been pressed."""
    solver = _Endless()
    with pytest.raises(KeyboardInterrupt):
        interruptible(cast("Any", solver), cast("Any", None))
    assert solver.stopped.is_set()
    assert solver.parameters.catch_sigint_signal is False


def test_what_goes_wrong_in_the_solver_is_passed_on() -> None:
    with pytest.raises(AttributeError):
        interruptible(cp_model.CpSolver(), cast("Any", None))
