"""What a crash or an unanswered driver left in doubt is settled by observing, never by guessing.

    await settle(adapter, directory, journal, settings, *, say=None, patience=None) -> sentences

Used when the daemon starts, by ``entropy stop`` when the daemon was killed, and by the loop before it plans again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from entropy.execution.confirm import Directory, ask_busy, observe
from entropy.execution.journal import Journal, PendingAction
from entropy.execution.settings import ExecutionSettings
from entropy.execution.sight import Sight, look
from entropy.model.errors import PlatformError
from entropy.platforms.base import ConfigurationAdapter

__all__ = ["settle"]


@dataclass(slots=True)
class _Case:
    """One action in doubt.  Times are the journal's; ``over``: when it would have been given up at the latest."""

    pending: PendingAction
    over: float
    busy: bool | None = None
    quiet: float = 0.0  # since when its hypervisors said that nothing is under way
    told: bool = False


async def settle(
    adapter: ConfigurationAdapter,
    directory: Directory,
    journal: Journal,
    settings: ExecutionSettings | None = None,
    *,
    say: Callable[[str], None] | None = None,
    patience: float | None = None,
) -> tuple[str, ...]:
    """Settle every action in doubt, then close every plan that was cut off; one sentence each.

    Not while a plan is executed.  Its hypervisors are at work on it: waited for (once it is seen at its destination, at most
    until it would have been given up: a job that lasts longer is somebody else's).  Seen at its destination: done.  Otherwise it
    did not happen once it is still not seen ``confirm_timeout`` seconds (monitoring may lag) after they said that nothing is
    under way, or, where they cannot tell, after the action's own time limit.  Actions that were never started are written as
    skipped.

    ``say`` is told once of each action that is waited for.  ``patience``: seconds after which the rest stays in doubt
    (``None``: as long as it takes).  Raises ``PlatformError`` when the cluster cannot be observed for ``confirm_timeout``
    seconds on end; what was not settled by then stays in doubt.
    """
    settings = settings or ExecutionSettings()
    began = seen_at = journal.now()
    # A wall clock that has been set back must not make an intention lie in the future, to be waited for.
    cases = [_Case(p, min(p.intended, began) + (p.limit or settings.limit(p.action))) for p in journal.in_doubt()]
    sentences: list[str] = []
    while cases:
        at = journal.now()
        seen = await observe(adapter, settings.observe_timeout)
        if isinstance(seen, str):
            if at - seen_at >= settings.confirm_timeout:
                left = ", ".join(case.pending.action.describe() for case in cases)
                raise PlatformError(f"the cluster cannot be observed ({seen}), so it stays in doubt what became of: {left}")
        else:
            seen_at = at
            asked = (ask_busy(directory, case.pending.action, seen, settings.observe_timeout) for case in cases)
            for case, busy in zip(list(cases), await asyncio.gather(*asked), strict=True):
                sight = look(case.pending.action, seen)
                if _is_known(case, sight, busy, at, journal.now(), settings.confirm_timeout):
                    cases.remove(case)
                    sentences.append(_write(journal, case.pending, sight))
        if patience is not None and journal.now() - began >= patience:
            break
        if cases:
            _tell(cases, say)
            await asyncio.sleep(settings.confirm_poll)
    sentences += [f"{_name(case.pending)}: still in doubt." for case in cases]
    sentences += _close_what_was_cut_off(journal, {case.pending.plan for case in cases})
    return tuple(sentences)


def _is_known(case: _Case, sight: Sight, busy: bool | None, at: float, now: float, lag: float) -> bool:
    """``at``: when the observation began; ``busy`` was answered after it, at ``now``."""
    if busy or case.busy or (busy is False and case.busy is None):
        case.quiet = now  # at work, or it may have been until now
    case.busy = busy
    if sight.verdict == "done":
        return not busy or at >= case.over
    if busy:
        return False
    return at >= (case.quiet if busy is False else max(case.quiet, case.over)) + lag


def _write(journal: Journal, pending: PendingAction, sight: Sight) -> str:
    if sight.verdict == "done":
        journal.settle(pending.plan, pending.action.id, "done", sight.text)
        return f"{_name(pending)}: it happened, {sight.text}."
    detail = f"it did not happen, {sight.text}"
    journal.settle(pending.plan, pending.action.id, "failed", f"{pending.detail}; {detail}" if pending.detail else detail)
    return f"{_name(pending)}: {detail}."


def _tell(cases: list[_Case], say: Callable[[str], None] | None) -> None:
    for case in cases:
        if say is not None and not case.told:
            case.told = True
            why = "its hypervisor is at work on it" if case.busy else "until the cluster is seen to agree"
            say(f"{_name(case.pending)}: waiting, {why}.")


def _close_what_was_cut_off(journal: Journal, still_in_doubt: set[int]) -> list[str]:
    sentences = []
    for number in journal.open_plans():
        if number in still_in_doubt:
            continue
        for action in journal.waiting(number):
            journal.settle(number, action.id, "skipped", "the manager ended before it was started")
        progress = journal.plan_progress(number)
        counts = {"failed": progress.failed, "skipped": progress.skipped}
        parts = [f"{progress.done} of {progress.total} done", *(f"{n} {word}" for word, n in counts.items() if n)]
        journal.close_plan(number, f"cut off; {', '.join(parts)}.")
        sentences.append(f"Plan {number} was cut off: {', '.join(parts)}.")
    return sentences


def _name(pending: PendingAction) -> str:
    return f"{pending.action.describe()} (plan {pending.plan})"
