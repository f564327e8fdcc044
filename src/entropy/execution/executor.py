"""Runs a plan: carries out the instructions of ``Progress`` on drivers, monitoring, journal and the running loop's clock.

    Executor(adapter, directory, journal, settings=ExecutionSettings(), *, on_change=None)
        await .execute(plan, cluster, reason="", stopping=None) -> ExecutionReport       raises PlatformError (journal)
        .sentence() -> "Executing plan 318: 3 of 6 done, 2 running, no failure."         empty when nothing runs
        .progress, .number                                                               of the plan under way

``stopping`` set: running actions are finished and confirmed, none is started.  Cancelled: the drivers are asked to give up,
and what is then unknown stays in the journal for ``settle``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from entropy.execution.confirm import Directory, Watch, driver_id, reason_of
from entropy.execution.journal import Journal
from entropy.execution.progress import Begin, Event, Instruction, Progress, Returned, Settle, Start, StopRequested, Unstartable
from entropy.execution.report import ActionReport, ExecutionReport, Outcome
from entropy.execution.settings import ExecutionSettings
from entropy.model.cluster import Cluster
from entropy.model.errors import EntropyError, InputError, PlatformError
from entropy.model.plan import Plan
from entropy.platforms.base import ConfigurationAdapter

__all__ = ["Executor"]

_log = logging.getLogger(__name__)


class Executor:
    """One plan at a time.  ``on_change`` is called after every change with the progress and the plan's number."""

    def __init__(
        self,
        adapter: ConfigurationAdapter,
        directory: Directory,
        journal: Journal,
        settings: ExecutionSettings | None = None,
        *,
        on_change: Callable[[Progress, int], None] | None = None,
    ) -> None:
        self.adapter, self.directory, self.journal = adapter, directory, journal
        self.settings = settings or ExecutionSettings()
        self.on_change = on_change
        self.progress: Progress | None = None
        self.number = 0

    def sentence(self) -> str:
        """For people; empty when no plan is executed."""
        return self.progress.sentence(self.number) if self.progress else ""

    async def execute(self, plan: Plan, cluster: Cluster, *, reason: str = "", stopping: asyncio.Event | None = None) -> ExecutionReport:
        """Execute ``plan``, made for ``cluster`` as it was just observed.  Ends whatever drivers and monitoring do.

        Raises ``PlatformError`` when the journal cannot be written before anything was started.
        """
        if self.progress is not None:
            raise RuntimeError("this executor runs a plan already")
        self.number = self.journal.open_plan(plan, reason, {a.id: self.settings.limit(a) for a in plan.actions})
        self.progress = Progress(plan, self.settings)
        try:
            return await _Execution(self, plan, cluster, self.progress, stopping).run()
        finally:
            self.progress = None


class _Execution:
    """One run of one plan."""

    def __init__(self, executor: Executor, plan: Plan, cluster: Cluster, progress: Progress, stopping: asyncio.Event | None) -> None:
        self._settings, self._journal, self._directory = executor.settings, executor.journal, executor.directory
        self._number, self._on_change = executor.number, executor.on_change
        self._plan, self._cluster, self._progress, self._stopping = plan, cluster, progress, stopping
        self._events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()  # ours: attempts, the watch, waiting for a stop
        self._asked: set[asyncio.Task[None]] = set()  # theirs: drivers at work
        self._watch = Watch(executor.adapter, executor.directory, executor.settings, plan, cluster)
        self._warnings: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def run(self) -> ExecutionReport:
        """Until every action has an outcome."""
        self._spawn(self._watch.run(lambda: self._progress.confirming, self._progress.wants_busy, self._events.put_nowait), "watch")
        if self._stopping is not None:
            self._spawn(self._await_stop(self._stopping), "stop")
        try:
            self._feed(Begin(self._began))
            while not self._progress.finished:
                event = await self._events.get()
                if isinstance(event, BaseException):
                    raise event
                self._feed(event)
            report = self._report()
            self._write(lambda: self._journal.close_plan(self._number, f"{report.sentence()}."))
            return self._report()
        finally:
            await self._clean_up()

    def _feed(self, event: Event) -> None:
        """One event, and everything that follows without waiting."""
        if self._stopping is not None and self._stopping.is_set() and not self._progress.stopping:
            self._carry_out(self._progress.handle(StopRequested(self._loop.time())))
        self._carry_out(self._progress.handle(event))
        if self._progress.confirming:
            self._watch.wake()
        if self._on_change is not None:
            try:
                self._on_change(self._progress, self._number)
            except (EntropyError, OSError) as problem:  # who watches must not disturb, nor a terminal that is gone
                _log.warning("%s", reason_of(problem))

    def _carry_out(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Start):
                self._start(instruction)
            else:
                self._settle(instruction)

    def _start(self, start: Start) -> None:
        action = self._plan.by_id[start.id]
        if start.attempt > 1:
            _log.info("%s: attempt %d", action.describe(), start.attempt)
        try:
            self._journal.intend(self._number, start.id, start.attempt, driver_id(self._directory, action, self._cluster))
        except PlatformError as problem:
            self._warnings.append(str(problem))
            now = self._loop.time()
            self._events.put_nowait(StopRequested(now, f"stopped: {problem}"))
            self._events.put_nowait(Unstartable(now, start.id, str(problem)))
            return
        self._spawn(self._attempt(start), f"attempt {start.id}")

    def _settle(self, settle: Settle) -> None:
        action, outcome = self._plan.by_id[settle.id], settle.outcome
        self._write(lambda: self._journal.settle(self._number, settle.id, outcome, settle.detail))
        level = logging.INFO if outcome in ("done", "skipped") else logging.WARNING
        _log.log(level, "%s: %s%s", action.describe(), outcome.replace("_", " "), f" ({settle.detail})" if settle.detail else "")

    def _write(self, change: Callable[[], None]) -> None:
        """An outcome that cannot be written stays intended in the journal, so that it is settled later."""
        try:
            change()
        except PlatformError as problem:
            if str(problem) not in self._warnings:
                self._warnings.append(str(problem))
                _log.warning("%s", problem)
            self._events.put_nowait(StopRequested(self._loop.time(), f"stopped: {problem}"))

    async def _attempt(self, start: Start) -> None:
        """Ask the hypervisor, and say what it answered; the limit holds even against a driver that ignores being cancelled."""
        task = asyncio.create_task(self._perform(start.id), name=f"perform {start.id}")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # whatever comes late is nobody's
        given_up = False
        await asyncio.wait({task}, timeout=start.limit)
        if not task.done():
            given_up = True
            task.cancel()
            await asyncio.wait({task}, timeout=self._settings.cancel_grace)
        now = self._loop.time()
        if not task.done() or task.cancelled():
            self._say_at_once(start, f"no answer within {start.limit:g} s, so it was told to give up")
            self._events.put_nowait(Returned(now, start.id, given_up=True))
        elif isinstance(problem := task.exception(), InputError):
            self._events.put_nowait(Unstartable(now, start.id, str(problem)))
        elif problem is not None:
            self._say_at_once(start, reason_of(problem))
            self._events.put_nowait(Returned(now, start.id, reason_of(problem), given_up))
        else:
            self._events.put_nowait(Returned(now, start.id))

    def _say_at_once(self, start: Start, problem: str) -> None:
        """The outcome is not known before the cluster has been seen, which may take minutes; why is known now."""
        _log.info("%s: %s. Looking what became of it.", self._plan.by_id[start.id].describe(), problem.rstrip("."))

    async def _perform(self, id_: str) -> None:
        await self._directory.perform(self._plan.by_id[id_], self._cluster)

    async def _await_stop(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._events.put_nowait(StopRequested(self._loop.time()))

    def _spawn(self, coro: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            self._events.put_nowait(mistake)  # ours: it must end the execution, not hang it

    async def _clean_up(self) -> None:
        for task in (*self._tasks, *self._asked):
            task.cancel()
        if left := {*self._tasks, *self._asked}:
            await asyncio.wait(left, timeout=self._settings.cancel_grace)

    def _report(self) -> ExecutionReport:
        entries = []
        for action in self._plan.actions:
            track = self._progress.track(action.id)
            assert track.phase in ("done", "failed", "skipped", "in_doubt")
            outcome: Outcome = track.phase
            started = None if track.started is None else track.started - self._began
            ended = None if track.ended is None or started is None else track.ended - self._began
            entries.append(
                ActionReport(action=action, outcome=outcome, detail=track.detail, attempts=track.attempt, started=started, ended=ended)
            )
        return ExecutionReport(
            number=self._number,
            actions=tuple(entries),
            stopped=bool(self._progress.stopping),
            seconds=self._loop.time() - self._began,
            warnings=tuple(self._warnings),
        )
