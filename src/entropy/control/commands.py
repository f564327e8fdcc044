"""``entropy observe`` and ``entropy apply``: one look, one plan."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from entropy.control.lock import ACTING, StateLock, prepare
from entropy.control.safety import caused, independent
from entropy.control.settings import Settings
from entropy.control.staleness import changes
from entropy.control.wiring import adapter_of, build, read_policy
from entropy.model.amounts import count
from entropy.model.errors import ActionFailedError, InvalidPlanError, StalePlanError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.platforms.base import Observation

__all__ = ["apply_plan", "observe_once", "refuse_if_unfit"]


def observe_once(settings: Settings) -> Observation:
    """The cluster as the configured monitoring sees it.  Raises ``InputError``, ``PlatformError``.

    VMs that are silent are looked up in the journal, where there is one.
    """

    async def look() -> Observation:
        adapter = adapter_of(settings)
        with contextlib.ExitStack() as stack:
            if settings.state.journal is not None or (settings.state_directory / "journal.sqlite").exists():
                from entropy.execution.journal import Journal

                journal = Journal(settings.journal_url)
                stack.callback(journal.close)
                adapter.recall = journal.last_known
            try:
                return await adapter.observe()
            finally:
                await adapter.close()

    with contextlib.chdir(settings.home):
        return asyncio.run(look())


def apply_plan(settings: Settings, plan: Plan, say: Callable[[str], None]) -> str:
    """Execute ``plan`` on the cluster as it is now; the last sentence.  ``say`` is told how far it is.

    Raises ``StalePlanError`` when a VM, node or state that the plan touches has changed, ``InvalidPlanError`` when it is not
    safe with the new figures, ``ActionFailedError`` when an action failed; before the first action nothing was changed.
    """
    if not plan.actions:
        return "The plan has no actions; nothing to do."
    policy = read_policy(settings)
    prepare(settings.state_directory)
    with StateLock(settings.state_directory / ACTING, "entropy apply"), contextlib.chdir(settings.home):
        return asyncio.run(_apply(settings, plan, policy, say))


async def _apply(settings: Settings, plan: Plan, policy: Policy, say: Callable[[str], None]) -> str:
    from entropy.execution.settle import settle

    parts = build(settings)
    try:
        for text in await settle(parts.adapter, parts.directory, parts.journal, settings.execution, say=say):
            say(text)
        seen = await parts.adapter.observe()
        for warning in seen.warnings:
            say(f"warning: {warning}")
        refuse_if_unfit(plan, seen, policy)
        parts.journal.remember(seen.cluster)
        parts.executor.on_change = _Told(parts.executor.sentence, say)
        stopping = asyncio.Event()
        _obey_signals(stopping, say)
        report = await parts.executor.execute(plan, seen.cluster, reason="entropy apply", stopping=stopping)
        text = f"Plan {report.number}: {report.sentence()}."
        if not report.ok:
            raise ActionFailedError(text)
        return text
    finally:
        await parts.close()


def refuse_if_unfit(plan: Plan, seen: Observation, policy: Policy) -> None:
    """Raises ``StalePlanError`` or ``InvalidPlanError`` when ``plan`` must not be executed on the cluster that is seen."""
    if stale := changes(plan, seen.cluster):
        raise StalePlanError(
            f"the cluster has changed where the plan touches it ({count(len(stale), 'finding')}):\n  " + "\n  ".join(stale[:20])
        )
    verify = independent(lenient=False)
    if broken := caused(verify(seen.cluster, plan, policy), verify(seen.cluster, Plan(), policy)):
        raise InvalidPlanError("the plan is not safe on the cluster as it is now:", broken[:20])


class _Told:
    """Says the executor's sentence when it has changed."""

    def __init__(self, sentence: Callable[[], str], say: Callable[[str], None]) -> None:
        self._sentence, self._say, self._last = sentence, say, ""

    def __call__(self, *_change: object) -> None:
        text = self._sentence()
        if text and text != self._last:
            self._last = text
            self._say(text)


def _obey_signals(stopping: asyncio.Event, say: Callable[[str], None]) -> None:
    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            say("Stopping: running actions finish, none starts.")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
