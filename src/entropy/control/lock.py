"""One instance per state directory: a lock that the kernel lets go of when its holder dies, however it dies.

Two locks: ``entropy.lock`` is held by the running loop, ``acting.lock`` by whoever executes or settles (the loop unless it
only looks, ``apply``, ``stop`` while it settles).  The file holds the holder's pid and command; it means something only
while the lock is held, so a pid that a crash left behind deceives nobody.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from entropy.model.errors import InputError

__all__ = ["ACTING", "INSTANCE", "Holder", "StateLock", "holder_of", "prepare"]

INSTANCE = "entropy.lock"
ACTING = "acting.lock"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; ``pid`` is 0 in the instant before it has written itself down."""

    pid: int
    command: str


class StateLock:
    """``with StateLock(path, "entropy run"):`` holds the lock.  ``acquire`` raises ``InputError`` naming the holder."""

    def __init__(self, path: Path, command: str) -> None:
        self.path, self.command = path, command
        self._file: int | None = None

    def acquire(self) -> Self:
        """At once, or ``InputError``."""
        if not self.try_acquire():
            holder = holder_of(self.path) or Holder(0, "another process")
            who = f"{holder.command}, pid {holder.pid}" if holder.pid else holder.command
            raise InputError(
                f"is in use by {who}", where=str(self.path.parent), accepted="one instance per state directory; `entropy stop` ends it"
            )
        return self

    def try_acquire(self) -> bool:
        """At once; is it ours?"""
        file = _open(self.path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()} {self.command}\n".encode(), 0)
        self._file = file
        return True

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self if self._file is not None else self.acquire()

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def prepare(directory: Path) -> None:
    """Make the state directory.  Raises ``InputError`` when it cannot be made or written to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"cannot be made: {problem.strerror}", where=str(directory), accepted="a state directory that can be written to"
        ) from problem


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock at ``path``, if anybody does."""
    if not path.exists():
        return None
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pid, _, command = os.pread(file, 4096, 0).decode(errors="replace").strip().partition(" ")
            return Holder(int(pid) if pid.isdigit() else 0, command or "entropy")
        return None
    finally:
        os.close(file)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as problem:
        raise InputError(
            f"cannot be written: {problem.strerror}", where=str(path), accepted="a state directory that can be written to"
        ) from problem
