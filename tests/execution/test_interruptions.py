"""Every interruption point: asked to stop at every event of a plan; killed at every write, before and after, and at any time."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entropy.execution.executor import Executor
from entropy.execution.journal import Journal
from entropy.execution.progress import Progress
from entropy.execution.report import ExecutionReport
from entropy.execution.settle import settle
from entropy.model.plan import Action, Plan
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.driver import SimulatedDriver
from entropy.simulation.faults import ActionFault, FaultKind, Faults
from simulated_world import QUICK, SimulatedDirectory, cluster_of, migrate

# Two nodes with room for two VMs each swap a and b over the pivot n3; c and d move besides, d in two hops.
SWAP = cluster_of({"a": "n1", "x": "n1", "b": "n2", "y": "n2", "c": "n4", "d": "n4"}, capacity=2500, nodes=6)
PLAN = Plan(
    actions=(
        migrate("m1", "a", "n1", "n3"),
        migrate("m2", "b", "n2", "n1", "m1"),
        migrate("m3", "a", "n3", "n2", "m2"),
        migrate("m4", "c", "n4", "n5"),
        migrate("m5", "d", "n4", "n6", "m4"),
        migrate("m6", "d", "n6", "n3", "m5", "m3"),
    )
)
SCENARIOS: dict[str, tuple[Faults, float]] = {
    "no fault": (Faults(), 0.0),
    "monitoring lags": (Faults(), 4.0),
    "breaks off once": (Faults(actions=(ActionFault(kind="broken", subject="b"),)), 0.0),
    "breaks off always": (Faults(actions=(ActionFault(kind="broken", subject="b", attempt=None),)), 2.0),
    "says failure, happens": (Faults(actions=(ActionFault(kind="false-failure", subject="a"),)), 2.0),
    "says success, does not": (Faults(actions=(ActionFault(kind="false-success", subject="c"),)), 0.0),
    "hangs": (Faults(actions=(ActionFault(kind="hang", subject="b"),)), 0.0),
    "never answers": (Faults(actions=(ActionFault(kind="silent", subject="b"),)), 3.0),
}


def world_with(scenario: str) -> tuple[SimulatedCluster, float]:
    faults, lag = SCENARIOS[scenario]
    return SimulatedCluster(SWAP, faults=faults, noise=0.2, seed=7), lag


def happened(world: SimulatedCluster) -> set[str]:
    """Ids of the plan's actions that took effect in the world, each at most once."""
    done = [(e.vm, e.nodes) for e in world.trace if e.what == "done"]
    assert len(done) == len(set(done))
    return {a.id for a in PLAN.actions if (a.vm, a.nodes) in done}


def coherent(world: SimulatedCluster, journal: Journal) -> dict[str, str]:
    """The journal's states; they agree with the world, nothing runs, nothing was harmed, no plan is open."""
    assert not world.operations
    assert not world.incidents
    assert not journal.open_plans()
    with journal._engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT action, state FROM actions WHERE plan = 1").all()
    states = {row.action: row.state for row in rows}
    assert set(states) == {a.id for a in PLAN.actions}, "an action is lost"
    assert {i for i, state in states.items() if state == "done"} == happened(world)
    begun = {(e.vm, e.nodes) for e in world.trace if e.what == "begun"}
    for action in PLAN.actions:
        assert (action.vm, action.nodes) not in begun or states[action.id] != "skipped"
        assert all(states[other] == "done" for other in action.after) or (action.vm, action.nodes) not in begun
    return states


# ------------------------------------------------------------------ stop


def stopped(scenario: str, k: int, url: str = "sqlite://") -> tuple[int, bool, SimulatedCluster, ExecutionReport, Journal]:
    """Asked to stop at the k-th event; how many events there were, and whether anything was begun after it."""
    world, lag = world_with(scenario)

    async def run() -> tuple[int, bool, ExecutionReport, Journal]:
        stopping, seen = asyncio.Event(), 0
        journal = Journal(url, asyncio.get_running_loop().time)

        def changed(progress: Progress, _number: int) -> None:
            nonlocal seen
            progress.check()
            if seen == k:
                stopping.set()
            seen += 1

        executor = Executor(SimulatedAdapter(world, lag), SimulatedDirectory(SimulatedDriver(world)), journal, QUICK, on_change=changed)
        intended_after_stop = []
        intend = journal.intend

        def watched(number: int, action: str, attempt: int, driver: str = "") -> None:
            if stopping.is_set():
                intended_after_stop.append(action)
            intend(number, action, attempt, driver)

        journal.intend = watched  # type: ignore[method-assign]
        report = await executor.execute(PLAN, SWAP, stopping=stopping)
        return seen, bool(intended_after_stop), report, journal

    seen, started, report, journal = run_virtual(run())
    return seen, started, world, report, journal


@pytest.mark.parametrize("scenario", ["no fault", "monitoring lags", "breaks off once", "says failure, happens", "never answers", "hangs"])
def test_stop_at_every_event(scenario: str) -> None:
    counts = []
    for k in itertools.count():
        seen, started, world, report, journal = stopped(scenario, k)
        assert not started, f"something was started after the stop at event {k}"
        states = coherent(world, journal)
        assert states == {entry.action.id: entry.outcome for entry in report.actions}
        counts.append(len(report.of("done")))
        if k >= seen:
            break
        assert report.stopped or k == seen - 1
    assert counts[-1] == len(PLAN.actions), report.sentence()  # never asked to stop
    assert counts == sorted(counts)  # the later, the more is done


# ------------------------------------------------------------------ kill


class Killed(BaseException):
    """SIGKILL."""


class MortalJournal(Journal):
    """The process dies at its ``point``-th write: just before it (even), or just after it (odd)."""

    def __init__(self, url: str, clock: Callable[[], float], point: int | None, die: Callable[[], None]) -> None:
        super().__init__(url, clock)
        self.point, self.die, self.writes, self.dead = point, die, 0, False

    def _step(self) -> None:
        if self.dead:
            raise Killed
        if self.writes == self.point:
            self.dead = True
            self.die()
            raise Killed
        self.writes += 1

    def _set(self, number: int, action: str, **values: object) -> None:
        self._step()
        super()._set(number, action, **values)
        self._step()

    def close_plan(self, number: int, outcome: str) -> None:
        self._step()
        super().close_plan(number, outcome)
        self._step()


def killed(scenario: str, url: str, *, point: int | None = None, at: float | None = None) -> bool:
    """Executes, dies, starts again: settles, and a new plan brings the rest about.  False: it ended before it died."""
    world, lag = world_with(scenario)

    async def first() -> bool:
        driver = SimulatedDriver(world)
        journal = MortalJournal(url, asyncio.get_running_loop().time, point, driver.abandon)
        executor = Executor(SimulatedAdapter(world, lag), SimulatedDirectory(driver), journal, QUICK)
        task = asyncio.create_task(executor.execute(PLAN, SWAP))
        await asyncio.wait({task}, timeout=at)
        survived = task.done() and not isinstance(task.exception(), Killed)
        if not task.done():
            journal.dead = True
            driver.abandon()
            task.cancel()
            await asyncio.wait({task})
        journal.close()
        return survived

    async def again() -> None:
        journal = Journal(url, asyncio.get_running_loop().time)
        adapter, directory = SimulatedAdapter(world, lag), SimulatedDirectory(SimulatedDriver(world))
        try:
            sentences = await settle(adapter, directory, journal, QUICK)
            assert not any("still in doubt" in text for text in sentences)
            assert not journal.in_doubt()
            states = coherent(world, journal)
            assert "in_doubt" not in states.values()
            assert await settle(adapter, directory, journal, QUICK) == ()
            # The loop observes and plans again: what is not done is done now, once.
            await asyncio.sleep(lag)
            left = tuple(a for a in PLAN.actions if states[a.id] != "done")
            ids = {a.id for a in left}
            rest = Plan(actions=tuple(_without(a, ids) for a in left))
            world.faults = Faults()
            report = await Executor(adapter, directory, journal, QUICK).execute(rest, world.view().cluster)
            assert report.ok, report.sentence()
            assert happened(world) == {a.id for a in PLAN.actions}
            assert not world.incidents
        finally:
            journal.close()

    async def both() -> bool:
        survived = await first()
        await asyncio.sleep(0.25)
        await again()
        return not survived

    return run_virtual(both())


def _without(action: Action, ids: set[str]) -> Action:
    return migrate(action.id, action.vm or "", action.source or "", action.target or "", *(i for i in action.after if i in ids))


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Files, for hundreds of journals; nobody cuts the power here."""
    monkeypatch.setattr("entropy.execution.database._SYNCHRONOUS", "OFF")
    return (f"sqlite:///{tmp_path / f'{k}.db'}" for k in itertools.count())


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "hangs"])
def test_killed_at_every_write(scenario: str, urls: Iterator[str]) -> None:
    points = 0
    for point in itertools.count():
        if not killed(scenario, next(urls), point=point):
            break
        points += 1
    assert points >= 8


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "hangs"])
def test_killed_at_any_time(scenario: str, urls: Iterator[str]) -> None:
    times = 0
    for step in itertools.count(1):
        if not killed(scenario, next(urls), at=step * 2.9):
            break
        times += 1
    assert times >= 9


def test_kinds_of_fault_in_scenarios_exist() -> None:
    kinds: set[FaultKind] = {fault.kind for faults, _ in SCENARIOS.values() for fault in faults.actions}
    assert kinds == {"broken", "false-failure", "false-success", "hang", "silent"}
