"""The process that runs the loop: one instance, its log and status, and what its signals mean.

SIGTERM and SIGINT: running actions finish, none starts, the process ends; a second one changes nothing.  SIGHUP: the Policy
document is read again.  SIGKILL: the journal has what was intended; the next start, or ``entropy stop``, settles it by
observing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

from entropy.control.board import Board, open_log
from entropy.control.lock import ACTING, INSTANCE, StateLock, prepare
from entropy.control.loop import ControlLoop
from entropy.control.safety import independent
from entropy.control.settings import Settings
from entropy.control.waiting import in_thread
from entropy.control.wiring import Parts, build, durations_of, planner_of, read_policy
from entropy.model.errors import EntropyError, InputError
from entropy.model.policy import Policy

__all__ = ["run_daemon"]


def run_daemon(settings: Settings, *, rounds: int | None = None, detached: bool = False, ready_fd: int | None = None) -> int:
    """Run the loop until stopped or for so many ``rounds``; the exit code: with ``rounds``, 4 when a plan failed in the last
    one and 2 when monitoring did not answer; else 0.

    ``detached``: no terminal.  ``ready_fd``: told ``ready`` once the loop is up, or why it is not.  Raises ``EntropyError``.
    """
    ready = _Ready(ready_fd)
    try:
        code = _guarded(settings, rounds, detached, ready)
    except EntropyError as problem:
        ready.say(f"{problem.exit_code} {problem}")
        raise
    except BaseException as problem:
        ready.say(f"70 something went wrong that should not: {type(problem).__name__}: {problem}")
        raise
    if any(thread.name.startswith("entropy-") for thread in threading.enumerate()):
        _leave(code)
    return code


def _guarded(settings: Settings, rounds: int | None, detached: bool, ready: _Ready) -> int:
    prepare(settings.state_directory)
    with contextlib.ExitStack() as stack:
        stack.enter_context(StateLock(settings.state_directory / INSTANCE, "entropy run"))
        if settings.loop.reconfigure:  # a loop that only looks leaves acting to others
            stack.enter_context(StateLock(settings.state_directory / ACTING, "entropy run"))
        stack.enter_context(contextlib.chdir(settings.home))
        logger = open_log(settings, console=not detached)
        stack.callback(_close, logger)
        board = Board(settings, logger, time.time, os.getpid())
        return asyncio.run(_serve(settings, rounds, board, logger, ready))


async def _serve(settings: Settings, rounds: int | None, board: Board, logger: logging.Logger, ready: _Ready) -> int:
    policy = _PolicyFile(settings, logger)
    durations = durations_of(settings)
    for text in settings.warnings:
        logger.warning("%s", text)
    parts = build(settings)
    stopping = asyncio.Event()
    try:
        loop = ControlLoop(
            adapter=parts.adapter,
            executor=parts.executor,
            journal=parts.journal,
            policy=lambda: policy.current,
            settings=settings.loop,
            plan=planner_of(settings.loop, durations, time.monotonic),
            verify=independent(lenient=True),
            watcher=board,
            think=in_thread,
            settle=_settler(parts, settings, board),
        )
        _obey_signals(loop, stopping, policy, board, logger)
        _warm_up()
        mode = "" if settings.loop.reconfigure else "; dry run, nothing is executed"
        logger.info("Entropy is up (pid %d, %s%s).", os.getpid(), settings.file, mode)
        ready.say("ready")
        await loop.run(stopping, rounds)
        return _code(board) if rounds is not None and not stopping.is_set() else 0
    finally:
        board.phase("stopping")
        await _closed(parts, logger)
        board.phase("stopped")
        logger.info("Entropy has stopped.")


def _settler(parts: Parts, settings: Settings, board: Board) -> Callable[[], Awaitable[tuple[str, ...]]]:
    """Makes certain what is in doubt; a loop that only looks leaves that to whoever acts."""
    from entropy.execution.settle import settle

    async def settled() -> tuple[str, ...]:
        if not settings.loop.reconfigure:
            return ()
        say = partial(board.said, "info")
        return await settle(parts.adapter, parts.directory, parts.journal, settings.execution, say=say)

    return settled


def _code(board: Board) -> int:
    last = board.last
    if last is None:
        return 0
    if last.report is not None and not last.report.ok:
        return 4
    return 2 if last.cluster is None else 0


async def _closed(parts: Parts, logger: logging.Logger) -> None:
    try:
        await parts.close()
    except Exception as problem:  # a connection that will not close is no reason not to stop
        logger.warning("While closing: %s", problem)


class _PolicyFile:
    """The Policy document as it was last read well."""

    def __init__(self, settings: Settings, logger: logging.Logger) -> None:
        self._settings, self._logger = settings, logger
        self.current: Policy = read_policy(settings)

    def reload(self) -> None:
        """Read it again; one that cannot be read changes nothing."""
        try:
            self.current = read_policy(self._settings)
        except InputError as problem:
            self._logger.error("The policy stays as it was: %s", problem)
        else:
            self._logger.info("Read %s again: %d rules.", self._settings.policy_file or "no policy", len(self.current.constraints))


def _obey_signals(loop: ControlLoop, stopping: asyncio.Event, policy: _PolicyFile, board: Board, logger: logging.Logger) -> None:
    def stop() -> None:
        if stopping.is_set():
            logger.info("Stopping already: what runs is being finished.")
            return
        stopping.set()
        board.stopping()
        logger.info("Stopping: running actions finish, none starts.")

    def reload() -> None:
        policy.reload()
        loop.wake.set()

    running = asyncio.get_running_loop()
    running.add_signal_handler(signal.SIGTERM, stop)
    running.add_signal_handler(signal.SIGINT, stop)
    # a foreground loop whose terminal goes away ends with it
    running.add_signal_handler(signal.SIGHUP, stop if sys.stdin is not None and sys.stdin.isatty() else reload)


def _warm_up() -> None:
    """Compile the placement kernels beside the first round, where that part is installed."""

    def work() -> None:
        try:
            from entropy.placement.warmup import warm_up

            warm_up()
        except Exception as problem:  # kernels compile when they are first called, too
            logging.getLogger("entropy").debug("warming up failed: %s", problem)

    threading.Thread(target=work, name="entropy-warm-up", daemon=True).start()


class _Ready:
    """The line that `entropy start` waits for."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def say(self, text: str) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._fd, text.encode()[:4096])
            os.close(self._fd)
        self._fd = None


def _close(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def _leave(code: int) -> NoReturn:
    """End without waiting for a solver: its native code knows no interruption, and nothing is left to be written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
