"""The libvirt binding, set up once for the process; every module of this room takes ``libvirt`` from here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import libvirt

__all__ = ["in_thread", "libvirt", "prepare"]

T = TypeVar("T")
_prepared = threading.Lock()
_done = False


def prepare() -> None:
    """Silence libvirt's own printing and start its event loop, which keepalive needs; once, before the first connection."""
    global _done
    with _prepared:
        if _done:
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # every error comes as an exception already
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_turn, name="libvirt-events", daemon=True).start()
        _done = True


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def in_thread(function: Callable[[], T], name: str = "libvirt-call") -> asyncio.Future[T]:
    """Run a blocking call in a thread of its own; the future may be awaited, shielded, or let go.

    Not asyncio's pool: its few threads would all be taken by long migrations, and the calls that abort them would wait for
    them; nor may a call that hangs on a dead host hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = function()
        except Exception as problem:
            failure = problem  # the name of an except clause is gone when the loop delivers
            report(lambda: future.set_exception(failure))
        else:
            report(lambda: future.set_result(result))

    def report(deliver: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(lambda: None if future.done() else deliver())
        except RuntimeError:
            return  # the loop has ended; nobody waits any more

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
