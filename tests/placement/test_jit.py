"""Kernels and their compiled twins: who decides when, and what is kept on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from entropy import placement
from entropy.placement import jit
from entropy.placement.jit import Kernel, bring_up, kernel
from entropy.placement.warmup import compile_steps


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit._Use, "spent", 0)
    monkeypatch.setattr(jit._Use, "begun", True)
    monkeypatch.setattr(jit._Use, "coming", set())


@kernel
def _twice(x: int) -> int:
    return 2 * x


@kernel
def _four_times(x: int) -> int:
    return _twice(_twice(x))


def test_kernels_call_kernels_in_both_twins() -> None:
    assert _four_times(3) == 12
    assert _four_times.python(3) == 12
    assert _four_times.compiled(3) == 12


def test_the_name_on_disk_changes_with_a_kernel_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Kernel(_four_times.python).digest

    def other(x: int) -> int:
        return x + x

    monkeypatch.setitem(_four_times.python.__globals__, "_twice", Kernel(other))
    assert Kernel(_four_times.python).digest != before


def test_little_work_is_done_by_the_plain_function_much_by_the_compiled_one() -> None:
    fresh = Kernel(_twice.python)
    assert fresh.on(jit.COMPILE_FROM) is fresh.python
    assert fresh.on(1) is fresh.compiled


def test_once_at_hand_the_compiled_one_does_everything() -> None:
    fresh = Kernel(_twice.python)
    fresh.at_hand()
    assert fresh.on(1) is fresh.compiled


def test_nobody_waits_long_for_what_is_being_compiled() -> None:
    fresh, other = Kernel(_twice.python), Kernel(_four_times.python)
    steps = ((fresh, lambda: None), (other, lambda: None))
    loading: Iterator[str] = bring_up(steps, lambda: True)
    assert next(loading) == "_twice"
    assert fresh.on(jit.COMPILE_FROM + 1) is fresh.python  # waited a moment in vain
    assert next(loading) == "_four_times"
    assert fresh.on(1) is fresh.compiled
    assert other.on(1) is other.python
    assert list(loading) == []
    assert other.on(1) is other.compiled


def test_a_failure_while_loading_leaves_nobody_waiting() -> None:
    fresh = Kernel(_twice.python)

    def fail() -> None:
        raise OSError("no room on the disk")

    with pytest.raises(OSError, match="no room"):
        list(bring_up(((fresh, fail),), lambda: True))
    assert fresh.on(jit.COMPILE_FROM + 1) is fresh.compiled


def test_a_program_that_ends_stops_loading() -> None:
    assert list(bring_up(((_twice, lambda: None),), lambda: False)) == []


def test_where_nothing_can_be_kept_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = numba.njit

    def njit(*args: object, **options: object) -> object:
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(*args, **options)

    monkeypatch.setattr(numba, "njit", njit)
    assert Kernel(_twice.python).compiled(4) == 8


def test_every_kernel_that_python_calls_is_compiled_ahead_of_time() -> None:
    called = {
        name.rpartition(".")[2].lstrip("_")
        for path in Path(placement.__path__[0]).rglob("*.py")
        for name in re.findall(r"([\w.]+)\.on\(", path.read_text(encoding="utf-8"))
    }
    assert "fit" in called
    assert called == {kernel.__name__ for kernel, _ in compile_steps()}
