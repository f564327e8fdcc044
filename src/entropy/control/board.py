"""Log and status of a running loop: one watcher that writes both."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

from entropy.control.loop import Level, Phase, Round
from entropy.control.settings import Settings
from entropy.control.status import stamp, write_status
from entropy.model.errors import InputError

__all__ = ["Board", "open_log"]

LOGGER = logging.getLogger("entropy")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FIGURE = re.compile(r"(?<![\w.-])\d+(\.\d+)?(?![\w-]|\.\d)")


def open_log(settings: Settings, *, console: bool) -> logging.Logger:
    """The logger ``entropy``, writing to ``log.file`` (rotated at midnight) and, for a foreground loop, to standard error.

    Raises ``InputError`` when the file cannot be written.
    """
    path: Path = settings.log_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        to_file = TimedRotatingFileHandler(path, when="midnight", backupCount=settings.log.keep, encoding="utf-8")
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where=str(path), accepted="a log file, see log.file") from problem
    logging.raiseExceptions = False  # a full disk or a closed terminal must not stop the loop
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    LOGGER.addHandler(to_file)
    if console:
        to_terminal = logging.StreamHandler()
        to_terminal.setFormatter(_Short("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        LOGGER.addHandler(to_terminal)
    LOGGER.setLevel(_LEVELS[settings.log.level])
    LOGGER.propagate = False
    return LOGGER


class _Short(logging.Formatter):
    """No traceback on a terminal; it is in the log."""

    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return super().format(record)


class Board:
    """A ``Watcher``.  ``clock`` gives epoch seconds."""

    def __init__(self, settings: Settings, logger: logging.Logger, clock: Callable[[], float], pid: int) -> None:
        self._directory, self._logger, self._clock = settings.state_directory, logger, clock
        self._held: dict[str, list[str]] = {}  # without their figures -> as last said
        self.last: Round | None = None
        self.facts: dict[str, Any] = {
            "pid": pid, "started": stamp(clock()), "phase": "starting", "since": stamp(clock()), "dryRun": not settings.loop.reconfigure,
            "config": str(settings.file), "log": str(settings.log_file), "warnings": list(settings.warnings),
        }  # fmt: skip
        self._write()

    def phase(self, phase: Phase, text: str = "", plan: int | None = None, lasts: float | None = None) -> None:
        """What the loop does from now on, and for how many seconds where that is known."""
        self.facts |= {"phase": phase, "since": stamp(self._clock())}
        self.facts.pop("next", None)
        if text:
            self.facts["decision"] = text
        if plan is not None:
            self.facts["plan"] = plan
        if lasts is not None:
            self.facts["next"] = stamp(self._clock() + lasts)
        self._write()

    def said(self, level: Level, text: str) -> None:
        """A sentence for the log."""
        self._logger.log(_LEVELS[level], "%s", text)

    def warned(self, texts: tuple[str, ...]) -> None:
        """Said when it begins, and when it is over; one of which only a figure changes (``silent for 81 s``) goes on."""
        now: dict[str, list[str]] = {}
        for text in dict.fromkeys(texts):
            now.setdefault(_FIGURE.sub("#", text), []).append(text)
        for key, alike in now.items():
            for text in () if key in self._held else alike:
                self._logger.warning("%s", text)
        for key, alike in sorted(self._held.items()):
            for text in () if key in now else alike:
                self._logger.info("No longer: %s", text)
        self._held = now
        self.facts["warnings"] = list(dict.fromkeys(texts))

    def broke(self, problem: Exception) -> None:
        """A fault of ours: its details, for the log alone."""
        self._logger.error("A fault inside Entropy; please report it with what follows in the log.", exc_info=problem)

    def finished(self, outcome: Round) -> None:
        """The round is over."""
        self.last = outcome
        self.facts |= {"round": outcome.number, "decision": outcome.result, "level": outcome.level}
        if outcome.plan is not None:
            self.facts["plan"] = outcome.plan
        if outcome.cluster is not None:
            cluster = outcome.cluster
            self.facts["cluster"] = {"nodes": len(cluster.nodes), "vms": len(cluster.vms), "nodesInUse": len(cluster.running_on)}
        self._write()

    def stopping(self) -> None:
        """A stop was asked for."""
        self.facts["stopping"] = True
        self._write()

    def _write(self) -> None:
        write_status(self._directory, self.facts)
