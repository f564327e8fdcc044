"""What is in doubt is settled by observing: at work, at rest, unknown, unseen."""

import asyncio
from collections.abc import Callable

import pytest

from entropy.execution.journal import Journal
from entropy.execution.settle import settle
from entropy.model.cluster import Cluster
from entropy.model.errors import PlatformError
from entropy.model.plan import Action, Plan
from entropy.platforms.base import Endpoint
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.driver import SimulatedDriver
from entropy.simulation.faults import ActionFault, FaultKind, Faults, Window
from simulated_world import QUICK, SimulatedDirectory, cluster_of, migrate

TWO = cluster_of({"a": "n1", "b": "n2"}, nodes=3)
MOVE = migrate("m1", "a", "n1", "n3")


class Speechless(SimulatedDirectory):
    """Its driver cannot tell whether it is busy."""

    async def busy(self, vm: str, node_name: str, cluster: Cluster) -> bool | None:
        return None


class Busy(SimulatedDirectory):
    """Its hypervisors say that they are at work on the VM until 20 s, wherever it is seen."""

    async def busy(self, vm: str, node_name: str, cluster: Cluster) -> bool | None:
        return asyncio.get_running_loop().time() < 20


class Case:
    """A plan of ``actions`` whose first was intended at 0 s, and asked of the world if ``asked``; the manager was killed."""

    def __init__(self, *actions: Action, faults: Faults | None = None, asked: bool = True, limit: float = 42.0) -> None:
        self.actions, self.faults, self.asked, self.limit = actions or (MOVE,), faults, asked, limit
        self.said: list[str] = []

    def run(
        self,
        directory: Callable[[SimulatedDriver], SimulatedDirectory] = SimulatedDirectory,
        *,
        after: float = 1.0,
        lag: float = 0.0,
        patience: float | None = None,
        confirm_timeout: float = QUICK.confirm_timeout,
    ) -> tuple[tuple[str, ...], float, dict[str, str]]:
        """Sentences, the time at which it was settled, and the states in the journal."""
        world = SimulatedCluster(TWO, faults=self.faults)

        async def main() -> tuple[tuple[str, ...], float, dict[str, str]]:
            loop = asyncio.get_running_loop()
            self.journal = Journal("sqlite://", loop.time)
            number = self.journal.open_plan(Plan(actions=self.actions), "", {a.id: self.limit for a in self.actions})
            self.journal.intend(number, self.actions[0].id, 1)
            if self.asked:
                world.begin("migrate", "a", "n1", "n3")
            await asyncio.sleep(after)
            texts = await settle(
                SimulatedAdapter(world, lag),
                directory(SimulatedDriver(world)),
                self.journal,
                QUICK.model_copy(update={"confirm_timeout": confirm_timeout}),
                say=self.said.append,
                patience=patience,
            )
            with self.journal._engine.begin() as connection:
                rows = connection.exec_driver_sql("SELECT action, state FROM actions").all()
            return texts, loop.time(), {row.action: row.state for row in rows}

        return run_virtual(main())


def test_at_work_is_waited_for() -> None:
    case = Case()
    texts, took, states = case.run()
    assert texts == (
        "migrate a from n1 to n3 (plan 1): it happened, a runs on n3.",
        "Plan 1 was cut off: 1 of 1 done.",
    )
    assert took == 11.0
    assert states == {"m1": "done"}
    assert case.said == ["migrate a from n1 to n3 (plan 1): waiting, its hypervisor is at work on it."]
    assert case.journal.last_moved() == {"a": 11.0}


def test_at_work_is_waited_for_however_prompt_monitoring_is() -> None:
    assert Case().run(confirm_timeout=0.0)[1:] == (11.0, {"m1": "done"})


def test_already_there_is_done_at_once() -> None:
    assert Case().run(after=300.0)[1:] == (300.0, {"m1": "done"})


def test_there_already_and_still_at_work_is_waited_for_until_it_could_be_ours_no_more() -> None:
    assert Case().run(Busy, after=12.0)[1:] == (20.0, {"m1": "done"})
    assert Case(limit=15.0).run(Busy, after=12.0)[1:] == (15.0, {"m1": "done"})


def test_at_rest_where_it_was_is_not_done_once_monitoring_cannot_be_late_any_more() -> None:
    texts, took, states = Case(asked=False).run()
    assert texts[0] == "migrate a from n1 to n3 (plan 1): it did not happen, a runs on n1."
    assert took == 1.0 + QUICK.confirm_timeout
    assert states == {"m1": "failed"}


@pytest.mark.parametrize("after", [0.5, 10.9, 11.1, 14.0])
def test_monitoring_that_lags_does_not_mislead(after: float) -> None:
    assert Case().run(after=after, lag=10.0)[2] == {"m1": "done"}
    assert Case().run(Speechless, after=after, lag=10.0)[2] == {"m1": "done"}


def test_where_nobody_can_tell_its_time_limit_decides() -> None:
    _, took, states = Case(asked=False).run(Speechless)
    assert (took, states) == (42.0 + QUICK.confirm_timeout, {"m1": "failed"})
    _, took, states = Case(asked=False).run(Speechless, after=1000.0)
    assert (took, states) == (1000.0, {"m1": "failed"})


@pytest.mark.parametrize("kind", ["broken", "false-success"])
def test_it_broke_off_while_nobody_looked(kind: FaultKind) -> None:
    case = Case(faults=Faults(actions=(ActionFault(kind=kind, subject="a"),)))
    _, took, states = case.run()
    assert states == {"m1": "failed"}
    assert 5.5 + QUICK.confirm_timeout <= took <= 5.5 + QUICK.confirm_timeout + 2


def test_at_work_for_ever_is_left_in_doubt_when_patience_ends() -> None:
    case = Case(MOVE, migrate("m2", "b", "n2", "n1", "m1"), faults=Faults(actions=(ActionFault(kind="stuck", subject="a"),)))
    texts, took, states = case.run(patience=100.0)
    assert texts == ("migrate a from n1 to n3 (plan 1): still in doubt.",)
    assert took == 101.0
    assert states == {"m1": "intended", "m2": "waiting"}
    assert case.journal.open_plans() == (1,)


def test_what_was_never_started_is_skipped_and_the_plan_closed() -> None:
    case = Case(MOVE, migrate("m2", "b", "n2", "n1", "m1"), asked=False)
    texts, _, states = case.run()
    assert states == {"m1": "failed", "m2": "skipped"}
    assert texts[1] == "Plan 1 was cut off: 0 of 2 done, 1 failed, 1 skipped."
    assert (case.journal.open_plans(), case.journal.in_doubt()) == ((), ())


def test_an_outage_is_waited_out_and_not_for_ever() -> None:
    assert Case(faults=Faults(outages=(Window(start=0, end=13),))).run()[2] == {"m1": "done"}
    case = Case(faults=Faults(outages=(Window(start=0, end=1e9),)))
    with pytest.raises(PlatformError, match=r"cannot be observed .*in doubt what became of: migrate a from n1 to n3"):
        case.run()
    assert [p.state for p in case.journal.in_doubt()] == ["intended"]


def test_nothing_in_doubt_asks_nobody() -> None:
    async def main() -> tuple[tuple[str, ...], int]:
        adapter = SimulatedAdapter(SimulatedCluster(TWO))
        return await settle(adapter, Speechless(SimulatedDriver(adapter.world)), Journal("sqlite://")), adapter.looks

    assert run_virtual(main()) == ((), 0)


def test_a_node_being_switched_is_settled_by_its_time_limit() -> None:
    case = Case(Action(id="up", type="startup", node="n3", end=60.0), asked=False, limit=30.0)
    assert case.run()[2] == {"up": "done"}  # n3 is online
    case = Case(Action(id="down", type="shutdown", node="n3", end=30.0), asked=False, limit=30.0)
    assert case.run()[1:] == (30.0 + QUICK.confirm_timeout, {"down": "failed"})


def test_the_driver_says_what_it_knows_of_a_node_that_died() -> None:
    async def main() -> list[bool | None]:
        world = SimulatedCluster(TWO)
        driver = SimulatedDriver(world)
        world.begin("migrate", "a", "n1", "n3")
        before = [await driver.busy("a", Endpoint(name=n)) for n in ("n1", "n2", "n3")]
        world.kill_node("n3")
        return [*before, *[await driver.busy("a", Endpoint(name=n)) for n in ("n1", "n3")]]

    assert run_virtual(main()) == [True, False, True, False, None]


def test_a_wall_clock_that_was_set_back_is_not_waited_for() -> None:
    """The machine came up a year ahead, was killed, and its clock was put right."""

    async def main() -> tuple[tuple[str, ...], float]:
        loop, ahead = asyncio.get_running_loop(), 3e7
        world, journal = SimulatedCluster(TWO), Journal("sqlite://", lambda: loop.time() + ahead)
        journal.intend(journal.open_plan(Plan(actions=(MOVE,)), "", {"m1": 42.0}), "m1", 1)
        ahead = 0.0
        return await settle(SimulatedAdapter(world), Speechless(SimulatedDriver(world)), journal, QUICK), loop.time()

    texts, took = run_virtual(main())
    assert texts[0] == "migrate a from n1 to n3 (plan 1): it did not happen, a runs on n1."
    assert took == 42.0 + QUICK.confirm_timeout
