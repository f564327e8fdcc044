"""``entropy start`` and ``entropy stop``: the daemon's beginning and end, seen from another process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from entropy.control.lock import ACTING, INSTANCE, Holder, StateLock, holder_of, prepare
from entropy.control.settings import Settings
from entropy.model.amounts import count
from entropy.model.errors import ActionFailedError, EntropyError, InputError, PlatformError

__all__ = ["start_daemon", "stop_daemon"]

STOPPER = "entropy stop"
_POLL = 0.1  # s between two looks at a lock
_TELL = 5.0  # s between two words of progress


class _StartError(EntropyError):
    """The daemon's own error, with its own exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = code


def start_daemon(settings: Settings) -> str:
    """Start the loop in a process and session of its own; the sentence once it is up.

    Raises ``InputError`` when one runs already, and whatever error kept the daemon from coming up.
    """
    prepare(settings.state_directory)
    if holder := holder_of(settings.state_directory / INSTANCE):
        raise InputError(
            f"Entropy is running already ({holder.command}, pid {holder.pid})",
            where=str(settings.state_directory),
            accepted="one instance per state directory; `entropy status` tells what it is doing",
        )
    errors = _errors_file(settings)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "entropy", "run", "--config", str(settings.file), "--detached", "--ready-fd", str(writer)]
    with open(errors, "ab") as stream:
        process = subprocess.Popen(
            command, cwd=settings.home, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, pass_fds=(writer,),
            start_new_session=True,
        )  # fmt: skip
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")  # until the daemon closes its end: it is up, or it is gone
    if answer == "ready":
        process.returncode = 0  # it is the init process's child from now on, not ours to wait for
        return f"Entropy is running (pid {process.pid}); log: {settings.log_file}."
    code, _, text = answer.partition(" ")
    if code.isdigit() and text:
        process.wait()
        raise _StartError(text, int(code))
    raise _StartError(f"the daemon ended before it was up (exit code {process.wait()}): {_tail(errors)}", 2)


def _errors_file(settings: Settings) -> Path:
    """What the daemon's process says past its log: nothing, or how it crashed."""
    path = settings.log_file.with_suffix(".err")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where=str(path), accepted="a log folder, see log.file") from problem
    return path


def _tail(path: Path, most: int = 500) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1][-most:]
    return f"nothing was said; see {path}"


def stop_daemon(settings: Settings, say: Callable[[str], None]) -> str:
    """Ask the loop to stop and return once the cluster is coherent, not before; the last sentence.

    Running actions finish, none starts.  Where the loop was killed, what the journal has in doubt is settled by observing.
    Nothing running and nothing in doubt is no error.  Raises ``ActionFailedError`` when the cluster's state could not be made
    certain, ``InputError`` when the daemon belongs to somebody else.
    """
    directory = settings.state_directory
    if not directory.exists():
        return "Entropy is not running."
    asked: set[int] = set()
    with contextlib.ExitStack() as stack:
        for name in (INSTANCE, ACTING):
            lock = StateLock(directory / name, STOPPER)
            _wait_for(settings, lock, asked, say)
            stack.callback(lock.release)
        found = _settle(settings, say)
    for text in found:
        say(text)
    if asked:
        return "Entropy has stopped; nothing is under way."
    return "Entropy was not running; what it had left under way is settled." if found else "Entropy is not running."


def _wait_for(settings: Settings, lock: StateLock, asked: set[int], say: Callable[[str], None]) -> None:
    """Until the lock is ours, asking each holder once to stop."""
    told, words = time.monotonic(), ""
    while not lock.try_acquire():
        holder = holder_of(lock.path)
        if holder and holder.pid and holder.pid not in asked and holder.command != STOPPER:
            _ask(holder)
            asked.add(holder.pid)
            say(f"Stopping {holder.command} (pid {holder.pid}): running actions finish, none starts.")
            told = time.monotonic()
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            if (now := _progress(settings)) and now != words:
                words = now
                say(words)
        time.sleep(_POLL)


def _ask(holder: Holder) -> None:
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as problem:
        raise InputError(
            f"{holder.command} (pid {holder.pid}) belongs to another user", where="stop", accepted="the user who started it, or root"
        ) from problem


def _progress(settings: Settings) -> str:
    from entropy.control.status import read_status

    try:
        return read_status(settings).sentence
    except EntropyError:
        return ""


def _settle(settings: Settings, say: Callable[[str], None]) -> tuple[str, ...]:
    """What a crash left in doubt, made certain by observing."""
    if settings.state.journal is None and not (settings.state_directory / "journal.sqlite").exists():
        return ()
    from entropy.execution.journal import Journal

    journal = Journal(settings.journal_url)
    try:
        pending, open_plans = journal.in_doubt(), journal.open_plans()
    finally:
        journal.close()
    if not pending and not open_plans:
        return ()
    from entropy.control.wiring import build
    from entropy.execution.settle import settle

    async def settled() -> tuple[tuple[str, ...], int]:
        parts = build(settings)
        try:
            texts = await settle(parts.adapter, parts.directory, parts.journal, settings.execution, say=say)
            return texts, len(parts.journal.in_doubt())
        except PlatformError as problem:
            return (str(problem),), max(1, len(parts.journal.in_doubt()))
        finally:
            await parts.close()

    with contextlib.chdir(settings.home):
        texts, left = asyncio.run(settled())
    if left:
        raise ActionFailedError(
            f"{count(left, 'action')} of the last plan stay in doubt, so the cluster's state is not certain:\n  " + "\n  ".join(texts)
        )
    return texts
