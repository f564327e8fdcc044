"""What commands share in front of a person: warnings, whether someone is looking, a line of progress."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import typer

__all__ = ["colours", "progress", "someone_reads_stderr", "someone_reads_stdout", "this_command", "warn"]


def warn(sentences: Iterable[str]) -> None:
    """One line each to standard error."""
    for sentence in sentences:
        typer.echo(f"entropy: warning: {sentence}", err=True)


def someone_reads_stdout() -> bool:
    """Is standard output a terminal?"""
    return sys.stdout.isatty()


def someone_reads_stderr() -> bool:
    """Is standard error a terminal?"""
    return sys.stderr.isatty()


def colours() -> bool:
    """May standard output be coloured: a terminal that can, and nobody asked for none (``NO_COLOR``)?"""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def this_command() -> str:
    """What to type to run this ``entropy`` again: its name, where the shell finds this very one by it, else as it was called."""
    called = sys.argv[0]
    folder, name = os.path.split(called)
    if name == "__main__.py" and os.path.basename(folder) == "entropy":
        return f"{shlex.quote(sys.executable)} -m entropy"
    if name != "entropy" or not os.path.exists(called):
        return "entropy"
    found = shutil.which("entropy")
    return "entropy" if found is not None and os.path.samefile(found, called) else shlex.quote(called)


@contextmanager
def progress(sentence: Callable[[float], str], clock: Callable[[], float], after: float = 1.0) -> Iterator[None]:
    """Show ``sentence(seconds so far)`` on standard error, renewed each half second, while the block takes longer than ``after``.

    Only on a terminal; the line is wiped when the block ends.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    start = clock()

    def show() -> None:
        shown = False
        pause = after
        while not done.wait(pause):
            line = sentence(clock() - start)[: shutil.get_terminal_size().columns - 1]  # a line that wraps could not be wiped
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            shown, pause = True, 0.5
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    watcher = threading.Thread(target=show, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
