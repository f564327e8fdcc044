"""Looking at the cluster while something waits to be confirmed: one observation serves all, at most one a poll interval.

Directory                                            what execution needs of the drivers (see ``platforms/directory.py``)
await observe(adapter, timeout) -> Cluster | str     the string says why monitoring could not be asked
await ask_busy(directory, action, cluster, timeout) -> bool | None
Watch(adapter, directory, settings, cluster).run(confirming, wants_busy, tell)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from entropy.execution.progress import Looked
from entropy.execution.settings import ExecutionSettings
from entropy.execution.sight import look
from entropy.model.cluster import Cluster
from entropy.model.errors import EntropyError
from entropy.model.plan import Action, Plan
from entropy.platforms.base import ConfigurationAdapter

__all__ = ["Directory", "NamesDrivers", "Watch", "ask_busy", "driver_id", "observe", "reason_of"]


class Directory(Protocol):
    """Finds the driver of a node and asks it."""

    async def perform(self, action: Action, cluster: Cluster) -> None:
        """Returns when the hypervisor says it is done.

        Raises ``InputError`` when nobody could be asked (no driver fits, say), ``PlatformError`` when the hypervisor says
        it failed or may have been asked.  May be cancelled: the driver then asks the hypervisor to give up.
        """

    async def busy(self, vm: str, node_name: str, cluster: Cluster) -> bool | None:
        """Is an operation on this VM under way at this node?  ``None``: nobody can tell."""


@runtime_checkable
class NamesDrivers(Protocol):
    """A directory that can also say who would act, for the journal."""

    def for_action(self, action: Action, cluster: Cluster) -> tuple[object, str]:
        """The driver that performs ``action``, and its id.  Raises ``EntropyError`` when none fits."""


def driver_id(directory: Directory, action: Action, cluster: Cluster) -> str:
    """The id of the driver that would perform ``action``; empty when nobody can say."""
    if not isinstance(directory, NamesDrivers):
        return ""
    try:
        return directory.for_action(action, cluster)[1]
    except EntropyError:  # ``perform`` says it better
        return ""


def reason_of(problem: BaseException) -> str:
    """One line for people, whatever was raised."""
    text = str(problem).strip()
    if isinstance(problem, EntropyError) and text:
        return text
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


async def observe(adapter: ConfigurationAdapter, timeout: float) -> Cluster | str:  # noqa: ASYNC109 - of one look, in any loop
    """The cluster now, or why it cannot be observed; monitoring that never answers is given up after ``timeout`` seconds."""
    asked = asyncio.ensure_future(adapter.observe())
    try:
        await asyncio.wait({asked}, timeout=timeout)
        if not asked.done():
            return f"monitoring does not answer within {timeout:g} s"
        if asked.cancelled():  # by the adapter itself; its ``CancelledError`` must not end those who wait for this look
            return "the adapter cancelled its own observation"
        return asked.result().cluster
    except Exception as problem:
        return reason_of(problem)
    finally:
        asked.cancel()


async def ask_busy(directory: Directory, action: Action, cluster: Cluster, timeout: float) -> bool | None:  # noqa: ASYNC109
    """Is the operation of ``action`` still under way at any node that takes part?

    Of an operation on a node nobody can tell (``None``).
    """
    if action.vm is None:
        return None
    vm = action.vm

    async def one(node: str) -> bool | None:
        asked = asyncio.ensure_future(directory.busy(vm, node, cluster))
        try:
            await asyncio.wait({asked}, timeout=timeout)
            return asked.result() if asked.done() and not asked.cancelled() else None
        except Exception:
            return None
        finally:
            asked.cancel()

    answers = await asyncio.gather(*(one(node) for node in action.nodes))
    if any(answer is True for answer in answers):
        return True
    return None if None in answers else False


class Watch:
    """Observes while anything is confirming.  ``looks`` counts the observations."""

    def __init__(
        self, adapter: ConfigurationAdapter, directory: Directory, settings: ExecutionSettings, plan: Plan, cluster: Cluster
    ) -> None:
        self._adapter, self._directory, self._settings = adapter, directory, settings
        self._plan, self._cluster = plan, cluster
        self._wake = asyncio.Event()
        self.looks = 0

    def wake(self) -> None:
        """Something waits to be confirmed."""
        self._wake.set()

    async def run(
        self, confirming: Callable[[], tuple[str, ...]], wants_busy: Callable[[str], bool], tell: Callable[[Looked], None]
    ) -> None:
        """For ever: tell of every action that is ``confirming`` what is seen.  Ends by being cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            ids = confirming()
            if not ids:
                self._wake.clear()
                continue
            asked = [i for i in ids if wants_busy(i)]
            answers = await asyncio.gather(*(self._busy(self._plan.by_id[i]) for i in asked))
            busy = dict(zip(asked, answers, strict=True))
            at = loop.time()
            seen = await observe(self._adapter, self._settings.observe_timeout)
            self.looks += 1
            for id_ in ids:
                if isinstance(seen, str):
                    tell(Looked(at, id_, None, busy.get(id_), seen))
                else:
                    tell(Looked(at, id_, look(self._plan.by_id[id_], seen), busy.get(id_)))
            await asyncio.sleep(self._settings.confirm_poll)

    async def _busy(self, action: Action) -> bool | None:
        return await ask_busy(self._directory, action, self._cluster, self._settings.observe_timeout)
