"""The control loop on a simulated cluster: the daemon's own loop, executor and journal, on a virtual clock.

    Rehearsal(cluster, seconds=86400, load=workload.demand, ...).run() -> Figures

Decisions are made in place and take no virtual time.  With ``settings.workLimit`` given, the same input gives the same figures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from entropy.control.loop import ControlLoop, Level, Phase, Round
from entropy.control.safety import independent
from entropy.control.settings import LoopSettings
from entropy.control.wiring import planner_of
from entropy.execution.executor import Executor
from entropy.execution.journal import Journal
from entropy.execution.settings import ExecutionSettings
from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.platforms.directory import DriverDirectory
from entropy.scheduling.durations import DurationModel
from entropy.simulation import worlds
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import Event, Load, SimulatedCluster
from entropy.simulation.faults import Faults
from entropy.simulation.meter import Meter
from entropy.simulation.operations import Operation

__all__ = ["Diary", "Figures", "Rehearsal", "Said"]

T = TypeVar("T")

_WORLD = "rehearsal"
_KEPT = 200
"""Decisions that are kept for who looks on."""
_SOON = 1.0
_FAILED = ("failed", "refused", "given up")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the loop, at so many seconds."""

    at: float
    level: Level
    text: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured.  ``in_use`` and ``overloaded``: nodes, one number a ``period`` (seconds); ``moved_memory`` in MiB;
    ``decision_seconds``: real seconds of each decision; ``incidents``: what the simulated hypervisors should never have been asked;
    ``mistakes``: rounds that failed inside Entropy."""

    seconds: float
    period: float
    in_use: tuple[int, ...]
    overloaded: tuple[int, ...]
    node_hours: float
    overload_minutes: float
    migrations: int
    moved_memory: float
    failed_actions: int
    rounds: int
    plans: int
    decision_seconds: tuple[float, ...] = field(compare=False)
    incidents: tuple[Event, ...]
    mistakes: tuple[str, ...]


class Rehearsal:
    """One run.  It can be looked at while it runs: ``world``, ``meter``, ``sentence``, ``operations``, ``diary``, ``figures()``.

    ``on_tick`` is called, with the rehearsal, whenever there is something new to show; ``on_round`` after each round.
    ``stopwatch`` gives real seconds, for what decisions take.  ``noise``: the share by which durations of operations vary.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        seconds: float,
        load: Load | None = None,
        policy: Policy | None = None,
        settings: LoopSettings | None = None,
        execution: ExecutionSettings | None = None,
        period: float = 60.0,
        seed: int = 0,
        noise: float = 0.1,
        faults: Faults | None = None,
        stopwatch: Callable[[], float] = lambda: 0.0,
        on_tick: Callable[[Rehearsal], None] = lambda _rehearsal: None,
        on_round: Callable[[Round], None] = lambda _round: None,
    ) -> None:
        self.seconds, self.policy = seconds, policy or Policy()
        self.settings, self.execution = settings or LoopSettings(), execution or ExecutionSettings()
        self.world = SimulatedCluster(cluster, load=load, seed=seed, noise=noise, faults=faults)
        self.meter = Meter(self.world, period)
        self.diary = Diary(self._tick, on_round)
        self._stopwatch, self._on_tick = stopwatch, on_tick
        self._executor: Executor | None = None
        self._decision_seconds: list[float] = []
        self._moves = _Moves(cluster)

    @property
    def sentence(self) -> str:
        """What the loop does now, in the daemon's words."""
        return (self._executor.sentence() if self._executor else "") or self.diary.sentence

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What the hypervisors are doing now."""
        return tuple(self.world.operations.values())

    def run(self) -> Figures:
        """All of it, on a virtual clock that starts at 0.  Raises ``EntropyError`` when the loop cannot be set up."""
        return run_virtual(self._run())

    def figures(self) -> Figures:
        """What was measured so far."""
        self._moves.take(self.world)
        return Figures(
            seconds=len(self.meter.in_use) * self.meter.period,
            period=self.meter.period,
            in_use=tuple(self.meter.in_use),
            overloaded=tuple(self.meter.overloaded),
            node_hours=self.meter.node_hours,
            overload_minutes=self.meter.overload_minutes,
            migrations=self._moves.migrations,
            moved_memory=self._moves.memory,
            failed_actions=self._moves.failed,
            rounds=self.diary.rounds,
            plans=self.diary.plans,
            decision_seconds=tuple(self._decision_seconds),
            incidents=tuple(self.world.incidents),
            mistakes=tuple(self.diary.mistakes),
        )

    async def _run(self) -> Figures:
        clock = asyncio.get_running_loop().time
        worlds.register(_WORLD, self.world)
        adapter = SimulatedAdapter(self.world)
        directory = DriverDirectory({"simulated": {"file": _WORLD}}, "simulated")
        journal = Journal("sqlite://", clock)  # in memory
        try:
            self._executor = Executor(adapter, directory, journal, self.execution, on_change=lambda _progress, _number: self._tick())
            loop = ControlLoop(
                adapter=adapter,
                executor=self._executor,
                journal=journal,
                policy=lambda: self.policy,
                settings=self.settings,
                plan=planner_of(self.settings, DurationModel(), clock),
                verify=independent(lenient=True),
                watcher=self.diary,
                think=self._timed,
            )
            await self._play(loop)
        finally:
            worlds.forget(_WORLD)
            await directory.close()
            journal.close()
        return self.figures()

    async def _play(self, loop: ControlLoop) -> None:
        """The loop and the meter, side by side; when time is over, running actions are finished."""
        stopping = asyncio.Event()
        playing = asyncio.create_task(loop.run(stopping), name="control loop")
        metering = asyncio.create_task(self.meter.run(self.seconds, self._tick), name="meter")
        try:
            await asyncio.wait({playing, metering}, return_when=asyncio.FIRST_COMPLETED)
            stopping.set()
            if metering.done():
                metering.result()
            await playing
        finally:
            for task in (playing, metering):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _timed(self, work: Callable[[], T], /) -> T:
        began = self._stopwatch()
        try:
            return work()
        finally:
            self._decision_seconds.append(self._stopwatch() - began)

    def _tick(self) -> None:
        self._on_tick(self)


class Diary:
    """A ``Watcher`` that keeps what the loop did: ``changes`` has one sentence a round that acted, or could not."""

    def __init__(self, on_tick: Callable[[], None], on_round: Callable[[Round], None]) -> None:
        self._on_tick, self._on_round = on_tick, on_round
        self.doing: Phase = "starting"
        self.sentence = ""
        self.level: Level = "info"
        self.changes: deque[Said] = deque(maxlen=_KEPT)
        self.warnings: tuple[str, ...] = ()
        self.rounds = self.plans = 0
        self.mistakes: list[str] = []

    def phase(self, phase: Phase, text: str = "", plan: int | None = None, lasts: float | None = None) -> None:
        """What the loop does from now on."""
        self.doing = phase
        if text:
            self.sentence = text
        self._on_tick()
        if phase == "executing":  # look again when the first actions are under way
            asyncio.get_running_loop().call_later(_SOON, self._on_tick)

    def said(self, level: Level, text: str) -> None:
        """The level is shown with the sentence."""
        self.level = level

    def warned(self, texts: tuple[str, ...]) -> None:
        """What holds at present."""
        self.warnings = texts

    def broke(self, problem: Exception) -> None:
        """Counted: a rehearsal with mistakes is no success."""
        self.mistakes.append(f"{type(problem).__name__}: {problem}")

    def finished(self, outcome: Round) -> None:
        """The round is over."""
        self.rounds += 1
        self.plans += outcome.plan is not None
        self.sentence = outcome.sentence
        if outcome.plan is not None or outcome.level != "info":
            failed = outcome.report is not None and not outcome.report.ok
            text = f"{outcome.sentence} {outcome.report.sentence()}" if failed and outcome.report else outcome.sentence
            self.changes.append(Said(outcome.started, "warning" if failed else outcome.level, text))
        self._on_round(outcome)


class _Moves:
    """Counts what happened in the world, each event once."""

    def __init__(self, cluster: Cluster) -> None:
        self._memory = {vm.name: vm.demand.get("memory", 0.0) for vm in cluster.vms}
        self._read = 0
        self.migrations = self.failed = 0
        self.memory = 0.0

    def take(self, world: SimulatedCluster) -> None:
        """What is new in the world's trace."""
        for event in world.trace[self._read :]:
            if event.what in _FAILED:
                self.failed += 1
            elif event.what == "done" and event.type in ("migrate", "suspend", "resume"):
                self.migrations += event.type == "migrate"
                self.memory += self._memory.get(event.vm or "", 0.0)
        self._read = len(world.trace)
