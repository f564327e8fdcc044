"""A control loop around a simulated cluster, on the virtual clock, with everything that it said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from entropy.control.loop import ControlLoop, Level, Phase, Round
from entropy.control.safety import independent
from entropy.control.settings import LoopSettings
from entropy.control.wiring import planner_of
from entropy.execution.executor import Executor
from entropy.execution.journal import Journal
from entropy.execution.settle import settle
from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.scheduling.durations import DurationModel
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.driver import SimulatedDriver
from simulated_world import QUICK, SimulatedDirectory

__all__ = ["EXACT", "Controlled", "Notes", "controlled", "manager"]


@dataclass
class Notes:
    """A watcher that keeps everything."""

    rounds: list[Round] = field(default_factory=list)
    sayings: list[tuple[Level, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def phase(self, phase: Phase, text: str = "", plan: int | None = None, lasts: float | None = None) -> None:
        self.phases.append(phase)

    def said(self, level: Level, text: str) -> None:
        self.sayings.append((level, text))

    def warned(self, texts: tuple[str, ...]) -> None:
        self.warnings += [text for text in texts if text not in self.warnings]

    def broke(self, problem: Exception) -> None:
        self.faults.append(problem)

    def finished(self, outcome: Round) -> None:
        self.rounds.append(outcome)

    @property
    def sentences(self) -> list[str]:
        return [outcome.sentence for outcome in self.rounds]


@dataclass
class Controlled:
    """The parts; ``policy`` may be replaced while the loop runs."""

    world: SimulatedCluster
    adapter: SimulatedAdapter
    driver: SimulatedDriver
    journal: Journal
    executor: Executor
    loop: ControlLoop
    notes: Notes
    policy: Policy
    end: Cluster | None = None

    async def run(self, rounds: int) -> None:
        await self.loop.run(asyncio.Event(), rounds)

    def host(self, vm: str) -> str | None:
        """Where the VM is at the end, ``None`` if it is lost."""
        assert self.end is not None
        found = self.end.vm_by_name.get(vm)
        return found.node if found else None

    def moves(self) -> list[str]:
        return [event.vm or "" for event in self.world.trace if event.what == "begun" and event.type == "migrate"]


EXACT = LoopSettings(headroom=0.0, work_limit=1.0)
"""Plans are proven, not timed, and pack to the brim."""


def manager(world: SimulatedCluster, journal: Journal, settings: LoopSettings = EXACT, policy: Policy | None = None) -> Controlled:
    """A loop around ``world`` that has not run yet."""
    adapter, driver = SimulatedAdapter(world), SimulatedDriver(world)
    directory, notes = SimulatedDirectory(driver), Notes()
    executor = Executor(adapter, directory, journal, QUICK)
    found: Controlled
    loop = ControlLoop(
        adapter=adapter, executor=executor, journal=journal, policy=lambda: found.policy, settings=settings,
        plan=planner_of(settings, DurationModel(), time.monotonic), verify=independent(lenient=True), watcher=notes,
        settle=lambda: settle(adapter, directory, journal, QUICK),
    )  # fmt: skip
    found = Controlled(world, adapter, driver, journal, executor, loop, notes, policy or Policy())
    return found


def controlled(
    make: Callable[[], SimulatedCluster],
    scenario: Callable[[Controlled], Awaitable[None]],
    *,
    settings: LoopSettings = EXACT,
    policy: Policy | None = None,
    journal: Path | None = None,
) -> Controlled:
    """Run ``scenario`` with a loop around the world that ``make`` makes, on a virtual clock that starts at 1e6 s."""

    async def main() -> Controlled:
        book = Journal(f"sqlite:///{journal}" if journal else "sqlite://", asyncio.get_running_loop().time)
        try:
            found = manager(make(), book, settings, policy)
            await scenario(found)
            found.end = found.world.view().cluster
        finally:
            book.close()
        return found

    return run_virtual(main(), start=1e6)
