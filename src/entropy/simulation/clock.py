"""An asyncio event loop on a virtual clock: a simulated day takes seconds, and every run with one seed is the same run.

    run_virtual(coro, start=0.0) -> result of coro
    VirtualClockLoop(start=0.0)          an event loop; ``loop.time()`` is virtual, in seconds
    DeadlockError                        everything waits, nothing can ever happen

``time()`` stands still while anything is ready to run and jumps to the next timer when nothing is.  ``asyncio.sleep``,
``timeout``, ``wait(timeout=...)`` and ``call_later`` need no change.  Threads started by ``run_in_executor`` or
``to_thread`` take no virtual time: the clock stands still until they return.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from entropy.model.errors import EntropyError

__all__ = ["DeadlockError", "VirtualClockLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DeadlockError(EntropyError, RuntimeError):
    """Nothing is ready to run and no timer is set, so nothing can ever happen; the text names what waits."""


class _Selector(selectors.DefaultSelector):
    """Asked to wait for ``timeout`` seconds, lets the clock jump instead."""

    def __init__(self, wait: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        return super().select(self._wait(timeout))


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` starts at ``start`` seconds and jumps from timer to timer."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._threads = 0
        super().__init__(_Selector(self._pass_time))
        # Timers closer than this fire together.  The real clock's resolution (1 ns) is below the spacing of floats when the
        # clock starts at an epoch of 1.7e9 s, and the loop would spin.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As in asyncio; the clock stands still until the thread returns."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_returned)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As in asyncio, which joins the threads in a thread that nobody else counts."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*args, **options)
        finally:
            self._threads -= 1

    def _thread_returned(self, _future: asyncio.Future[Any]) -> None:
        self._threads -= 1

    def _pass_time(self, timeout: float | None) -> float | None:
        """Nothing is ready for ``timeout`` seconds (``None``: ever); how long to wait for real."""
        if self._threads:
            return None
        if timeout is None:
            raise DeadlockError(self._waiting())
        self._now += timeout
        return 0

    def _waiting(self) -> str:
        tasks = sorted((t for t in asyncio.all_tasks(self) if not t.done()), key=lambda t: t.get_name())
        lines = [f"  {task.get_name()} waits in {_place(task)}" for task in tasks[:20]]
        return "\n".join([f"at {self._now:g} s of virtual time everything waits and no timer is set:", *lines])


def _place(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack()
    if not frames:
        return "nothing known"
    code = frames[-1].f_code
    return f"{code.co_qualname}, line {frames[-1].f_lineno}"


def run_virtual(coro: Coroutine[Any, Any, T], start: float = 0.0) -> T:
    """Run ``coro`` to its end on a new virtual-clock loop that starts at ``start`` seconds.

    Tasks that are left are cancelled, as ``asyncio.run`` does.  Raises ``DeadlockError`` instead of hanging.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(start)) as runner:
        return runner.run(coro)
