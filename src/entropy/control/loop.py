"""The control loop: observe, decide, plan, verify, execute, again.

One round is one pass; the next is scheduled from the start of the last.  The loop never acts on what it has not just seen:
without monitoring it says so, waits longer each time and touches nothing.  It reads no clock but the running event loop's
and the journal's, so the same loop runs on a virtual clock in simulation and tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from entropy.control import sentence
from entropy.control.caution import Peaks
from entropy.control.decision import Decision, Planner, View, decide
from entropy.control.lenient import lenient
from entropy.control.safety import Verifier, caused
from entropy.control.settings import LoopSettings
from entropy.control.simplify import simplify
from entropy.control.staleness import changes
from entropy.control.waiting import Interrupted, Think, any_of, inline, unless
from entropy.execution.report import ActionReport
from entropy.model.amounts import seconds
from entropy.model.cluster import Cluster
from entropy.model.errors import EntropyError, PlatformError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.platforms.base import ConfigurationAdapter, Observation

__all__ = ["ControlLoop", "Executes", "Memory", "Phase", "Report", "Round", "Watcher"]

Phase = Literal["starting", "settling", "observing", "deciding", "executing", "waiting", "stopping", "stopped"]
Level = Literal["info", "warning", "error"]


class Report(Protocol):
    """What the executor says of a plan (``ExecutionReport``)."""

    @property
    def ok(self) -> bool: ...
    @property
    def actions(self) -> tuple[ActionReport, ...]: ...
    def sentence(self) -> str: ...


class Executes(Protocol):
    """The executor's part that the loop uses."""

    async def execute(self, plan: Plan, cluster: Cluster, *, reason: str = ..., stopping: asyncio.Event | None = ...) -> Report: ...


class Memory(Protocol):
    """The journal's part that the loop uses."""

    def now(self) -> float: ...
    def last_plan(self) -> int | None: ...
    def last_moved(self) -> dict[str, float]: ...
    def record_decision(self, sentence: str, acted: bool = ...) -> None: ...
    def remember(self, cluster: Cluster) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Round:
    """One iteration: its sentence, what was seen and decided, and what came of it.  ``wait``: seconds from its start to the
    next.  ``plan``: the number of the plan that was executed."""

    number: int
    started: float
    sentence: str
    level: Level = "info"
    wait: float
    cluster: Cluster | None = None
    decision: Decision | None = None
    plan: int | None = None
    report: Report | None = None
    warnings: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """What came of it: of the plan where one was executed, else the sentence."""
        return self.sentence if self.report is None else f"Plan {self.plan}: {self.report.sentence().rstrip('.')}."


class Watcher(Protocol):
    """Log and status: told what the loop does, when it does it."""

    def phase(self, phase: Phase, text: str = "", plan: int | None = None, lasts: float | None = None) -> None:
        """What the loop does from now on, and for how many seconds where that is known."""

    def said(self, level: Level, text: str) -> None:
        """A sentence for the log."""

    def warned(self, texts: tuple[str, ...]) -> None:
        """What holds at present beside the sentence; said once while it lasts."""

    def broke(self, problem: Exception) -> None:
        """A fault of ours; its details belong in the log, not before an operator."""

    def finished(self, outcome: Round) -> None:
        """The round is over."""


async def _nothing() -> tuple[str, ...]:
    return ()


class ControlLoop:
    """See the module.

    ``policy`` is asked at the start of each round.  ``settle`` makes certain, by observing, what a crash or a failed plan left
    in doubt, and returns a sentence for each; ``think`` runs the deciding (in a thread, or in place in simulation).
    """

    def __init__(
        self,
        *,
        adapter: ConfigurationAdapter,
        executor: Executes,
        journal: Memory,
        policy: Callable[[], Policy],
        settings: LoopSettings,
        plan: Planner,
        verify: Verifier,
        watcher: Watcher,
        think: Think = inline,
        settle: Callable[[], Awaitable[tuple[str, ...]]] = _nothing,
        patience: float = 120.0,
    ) -> None:
        self.adapter, self.executor, self.journal, self.policy = adapter, executor, journal, policy
        self.settings, self.plan, self.verify, self.watcher, self.think = settings, plan, verify, watcher, think
        self.settle, self.patience = settle, patience
        self.wake = asyncio.Event()
        self._peaks = Peaks(settings.peak_window)
        self._failures = 0
        self._rounds = 0
        self._in_doubt = True  # what an earlier process may have left
        self._tried: dict[str, float] = {}  # VM -> when an action on it last failed, in the journal's time
        self._recorded = ""

    async def run(self, stopping: asyncio.Event, rounds: int | None = None) -> None:
        """Until ``stopping`` is set or so many ``rounds`` are done.  Running actions are waited for, none is started."""
        loop = asyncio.get_running_loop()
        while not stopping.is_set() and (rounds is None or self._rounds < rounds):
            self.wake.clear()
            started = loop.time()
            try:
                if self._in_doubt:
                    self.watcher.phase("settling")
                    for text in await unless(stopping, self._settle()):
                        self.watcher.said("warning", text)
                    self._in_doubt = False
                outcome = await self.round(stopping)
            except Interrupted:
                break
            except EntropyError as problem:
                outcome = self._failed(started, str(problem))
            except Exception as problem:
                self.watcher.broke(problem)
                outcome = self._failed(started, f"this round failed inside Entropy ({type(problem).__name__})")
            self.watcher.finished(outcome)
            if rounds is not None and self._rounds >= rounds:
                break
            pause = max(0.0, started + outcome.wait - loop.time())
            self.watcher.phase("waiting", outcome.result, outcome.plan, pause)
            await any_of((stopping, self.wake), pause)

    async def round(self, stopping: asyncio.Event) -> Round:
        """One pass.  Raises ``Interrupted`` when stopped before anything is executed; ``EntropyError`` when it cannot be done."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._rounds += 1
        self.watcher.phase("observing")
        try:
            seen = await unless(stopping, self._observe())
        except EntropyError as problem:
            return self._blind(started, str(problem))
        policy, lost = lenient(self.policy(), seen.cluster)
        view, blurred = self._view(seen.cluster, policy)
        self.watcher.phase("deciding")
        decision = await unless(stopping, self._decide(view))
        warnings = tuple(dict.fromkeys((*seen.warnings, *lost, *blurred, *decision.warnings)))
        self.watcher.warned(warnings)
        outcome = Round(
            number=self._rounds, started=started, sentence="", wait=self.settings.interval, cluster=view.cluster,
            decision=decision, warnings=warnings,
        )  # fmt: skip
        if decision.act and self.settings.reconfigure:
            if loop.time() - started > self.settings.interval and (late := await self._outdated(decision, policy, stopping)):
                return self._say(replace(outcome, sentence=late, wait=0.0))
            return await self._execute(outcome, decision, seen.cluster, stopping)
        text = sentence.describe(decision, view.cluster, dry_run=not self.settings.reconfigure, limit=self.settings.time_limit)
        level: Level = "error" if decision.kind == "refused" else "warning" if decision.broken else "info"
        self._failures = 0
        return self._say(replace(outcome, sentence=text, level=level))

    async def _settle(self) -> tuple[str, ...]:
        return await self.settle()

    async def _observe(self) -> Observation:
        try:
            async with asyncio.timeout(self.patience) as limit:
                seen = await self.adapter.observe()
        except TimeoutError as problem:
            if not limit.expired():
                raise PlatformError(f"monitoring: {problem or 'timed out'}") from problem
            raise PlatformError(f"monitoring does not answer within {seconds(self.patience)}") from problem
        self.journal.remember(seen.cluster)
        return seen

    def _view(self, cluster: Cluster, policy: Policy) -> tuple[View, tuple[str, ...]]:
        """What is decided upon: whole processing units if so set, recent peaks, and who moved lately."""
        warnings: tuple[str, ...] = ()
        if self.settings.simplify.activate:
            cluster, warnings = simplify(cluster, self.settings.simplify.threshold)
        self._peaks.observe(cluster, asyncio.get_running_loop().time())
        peaks = {vm.name: self._peaks.of(vm.name) for vm in cluster.vms if vm.state == "running"}
        since = self.journal.now() - self.settings.cool_down
        self._tried = {vm: at for vm, at in self._tried.items() if at > since}
        held = frozenset({*(vm for vm, moved in self.journal.last_moved().items() if moved > since), *self._tried})
        return View(cluster=cluster, policy=policy, peaks=peaks, held=held), warnings

    async def _decide(self, view: View) -> Decision:
        return await self.think(lambda: decide(view, self.settings, self.plan, self.verify))

    async def _outdated(self, decision: Decision, policy: Policy, stopping: asyncio.Event) -> str:
        """Planning took long: why the plan does not fit what is seen now, empty if it does."""
        assert decision.plan is not None
        self.watcher.phase("observing")
        now = (await unless(stopping, self._observe())).cluster
        if self.settings.simplify.activate:
            now, _ = simplify(now, self.settings.simplify.threshold)
        found = changes(decision.plan, now) or caused(
            self.verify(now, replace(decision.plan, cluster=""), policy), self.verify(now, Plan(), policy)
        )
        return f"The cluster changed while planning ({found[0].rstrip('.')}); planning again." if found else ""

    async def _execute(self, outcome: Round, decision: Decision, cluster: Cluster, stopping: asyncio.Event) -> Round:
        """Executes on the cluster as it was observed; amounts of the view do not matter to the executor."""
        assert decision.plan is not None
        assert outcome.cluster is not None
        if stopping.is_set():
            raise Interrupted
        number = (self.journal.last_plan() or 0) + 1
        text = sentence.describe(decision, outcome.cluster, number)
        level: Level = "warning" if decision.broken else "info"
        self.journal.record_decision(text, acted=True)
        self._recorded = text
        self.watcher.said(level, text)
        self.watcher.phase("executing", text, number)
        self._in_doubt = True
        report = await self.executor.execute(decision.plan, cluster, reason=text, stopping=stopping)
        self._in_doubt = not report.ok
        failed = (entry.action.vm for entry in report.actions if entry.outcome in ("failed", "in_doubt"))
        self._tried.update((vm, self.journal.now()) for vm in failed if vm is not None)
        self._failures = 0 if report.ok else self._failures + 1
        wait = self.settings.interval if report.ok else self._back_off()
        level = level if report.ok else "warning"
        outcome = replace(outcome, sentence=text, level=level, plan=number, report=report, wait=wait)
        self.watcher.said("info" if report.ok else "warning", outcome.result)
        return outcome

    def _blind(self, started: float, problem: str) -> Round:
        self._failures += 1
        wait = self._back_off()
        text = sentence.unreachable(problem, wait, self._failures)
        return self._say(Round(number=self._rounds, started=started, sentence=text, level="warning", wait=wait))

    def _failed(self, started: float, problem: str) -> Round:
        """Not even a decision: said, not journalled (the journal may be what failed)."""
        self._failures += 1
        wait = self._back_off()
        text = f"{problem[:1].upper()}{problem[1:].rstrip('.')}. Acting on nothing; next look in {seconds(wait)}."
        self.watcher.said("error", text)
        return Round(number=self._rounds, started=started, sentence=text, level="error", wait=wait)

    def _back_off(self) -> float:
        """The interval, doubled with every failure in a row up to the limit (never below the interval)."""
        doubled = self.settings.interval * 2.0 ** min(self._failures - 1, 30)
        return max(self.settings.interval, min(doubled, self.settings.back_off))

    def _say(self, outcome: Round) -> Round:
        """Said every round; journalled when it is another sentence than before, or the journal would hold little else."""
        if outcome.sentence != self._recorded:
            self.journal.record_decision(outcome.sentence, acted=False)
            self._recorded = outcome.sentence
        self.watcher.said(outcome.level, outcome.sentence)
        return outcome
