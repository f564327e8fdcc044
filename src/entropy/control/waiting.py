"""Waiting that a stop interrupts, and thinking off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["Interrupted", "Think", "any_of", "inline", "in_thread", "unless"]

T = TypeVar("T")


class Interrupted(Exception):  # noqa: N818 - no error: a stop was asked for
    """A stop was asked for while waiting."""


class Think(Protocol):
    """Runs a pure computation and gives its result."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def inline(work: Callable[[], T], /) -> T:
    """In place: what simulation and tests use, since a thread and a virtual clock are not deterministic together."""
    return work()


async def in_thread(work: Callable[[], T], /) -> T:
    """In a thread of its own, which does not keep the process alive: a stop must not wait for a solver's time limit."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def deliver(method: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            method(value)

    def run() -> None:
        try:
            value = work()
        except BaseException as problem:  # handed to whoever waits
            method: Callable[[Any], None] = result.set_exception
            outcome: Any = problem
        else:
            method, outcome = result.set_result, value
        try:
            loop.call_soon_threadsafe(deliver, method, outcome)
        except RuntimeError:  # the loop has closed: nobody waits any more
            return

    threading.Thread(target=run, name="entropy-solver", daemon=True).start()
    return await result


async def unless(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, cancelled with ``Interrupted`` as soon as ``stopping`` is set."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Interrupted
    finally:
        for pending in (task, stop):
            if not pending.done():
                pending.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)


async def any_of(events: tuple[asyncio.Event, ...], seconds: float) -> None:
    """Wait until one of ``events`` is set, at most so many seconds."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
