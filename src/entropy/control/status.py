"""What the loop is doing, for ``entropy status``: a small file in the state directory, replaced at once when it changes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from entropy.control.lock import ACTING, INSTANCE, Holder, holder_of
from entropy.control.settings import Settings
from entropy.model.amounts import count
from entropy.model.errors import EntropyError

__all__ = ["FILE", "Status", "read_status", "write_status"]

FILE = "status.json"


@dataclass(frozen=True, kw_only=True)
class Status:
    """``facts`` is what the daemon wrote last; ``sentence`` sums up."""

    running: bool
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """One JSON object."""
        return orjson.dumps({"running": self.running, "sentence": self.sentence, **self.facts}, option=orjson.OPT_INDENT_2).decode()

    def as_text(self) -> str:
        """The sentence, then one line per fact."""
        lines = [self.sentence]
        for key, title in _TITLES:
            value = self.facts.get(key)
            if value not in (None, "", [], {}, self.sentence):
                lines.append(f"  {title + ':':<11} {_shown(value)}")
        lines += [f"  warning:    {text}" for text in self.facts.get("warnings", ())]
        return "\n".join(lines)


_TITLES = (
    ("phase", "doing"), ("since", "since"), ("next", "next look"), ("decision", "last round"), ("round", "round"), ("plan", "last plan"),
    ("dryRun", "dry run"), ("pid", "pid"), ("started", "started"), ("config", "config"), ("log", "log"),
)  # fmt: skip


def _shown(value: Any) -> str:
    return "yes" if value is True else "no" if value is False else str(value)


def write_status(directory: Path, facts: dict[str, Any]) -> None:
    """Replace the file at once; a full disk must not stop the loop, so a failure is nobody's error."""
    target = directory / FILE
    temporary = directory / f".{FILE}.{os.getpid()}"
    try:
        temporary.write_bytes(orjson.dumps(facts))
        os.replace(temporary, target)
    except OSError:
        return


def read_status(settings: Settings) -> Status:
    """What the daemon of this state directory is doing, or that none is running.  Raises ``InputError``."""
    directory = settings.state_directory
    facts = _read(directory / FILE)
    holder = holder_of(directory / INSTANCE) if directory.exists() else None
    if holder is None or holder.command == "entropy stop":
        acting = holder_of(directory / ACTING) if directory.exists() else None
        left = _at_work(settings, acting) if acting else _left(settings)
        facts = {key: facts[key] for key in ("decision", "round", "plan", "log", "config") if key in facts}
        return Status(running=False, sentence=f"Entropy is not running.{left}", facts=facts)
    if facts.get("pid") != holder.pid:
        return Status(running=True, sentence=f"Entropy is starting (pid {holder.pid}).", facts={"pid": holder.pid, "phase": "starting"})
    sentence = str(facts.get("decision") or f"Entropy is {facts.get('phase', 'running')}.")
    if facts.get("phase") == "executing" and (progress := _progress(settings, facts.get("plan"))):
        sentence = progress
    if facts.get("stopping"):
        sentence = f"Stopping: {sentence}"
    return Status(running=True, sentence=sentence, facts=facts)


def stamp(epoch: float) -> str:
    """Local time, to the second, with its offset."""
    return datetime.fromtimestamp(epoch, timezone.utc).astimezone().isoformat(sep=" ", timespec="seconds")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _progress(settings: Settings, number: Any = None) -> str:
    """How far a plan is, by default the newest; empty where nobody can say."""
    from entropy.execution.journal import Journal

    try:
        journal = Journal(settings.journal_url)
        try:
            return journal.plan_progress(int(journal.last_plan() or 0 if number is None else number)).sentence()
        finally:
            journal.close()
    except (EntropyError, TypeError, ValueError):
        return ""


def _at_work(settings: Settings, holder: Holder) -> str:
    """What another command is doing: ``apply``, or ``stop`` that settles."""
    if holder.command == "entropy stop":
        return f" {holder.command} (pid {holder.pid}) makes certain what it had left under way."
    return f" {holder.command} (pid {holder.pid}) is at work. {_progress(settings)}".rstrip()


def _left(settings: Settings) -> str:
    """What a crash left in doubt."""
    if settings.state.journal is None and not (settings.state_directory / "journal.sqlite").exists():
        return ""
    from entropy.execution.journal import Journal

    try:
        journal = Journal(settings.journal_url)
        try:
            pending = journal.in_doubt()
        finally:
            journal.close()
    except EntropyError as problem:
        return f" Its journal cannot be read: {problem}"
    if not pending:
        return ""
    return (
        f" It did not end by itself: {count(len(pending), 'action')} in doubt; `entropy stop` or the next start settles them by observing."
    )
