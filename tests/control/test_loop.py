"""The loop on a simulated cluster and a virtual clock: what it does, says, and never does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from controlled_loop import EXACT, Controlled, controlled, manager
from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Spread
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.faults import ActionFault, Faults, NodeDeath, Window
from simulated_world import cluster_of

SCATTERED = {"a": "n1", "b": "n2", "c": "n3", "d": "n3"}  # four VMs of 1250 MiB fit one node of 5000 MiB


def overloaded() -> Cluster:
    """n1 runs five VMs of 1250 MiB and holds four; n2 is empty."""
    return cluster_of(dict.fromkeys("abcde", "n1"), nodes=2)


def test_scattered_vms_are_gathered_on_one_node_and_then_left_alone() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(3)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario)
    assert {it.host(vm) for vm in "abcd"} == {"n3"}
    assert sorted(it.moves()) == ["a", "b"]
    first, second, third = it.notes.rounds
    assert first.sentence.startswith("Plan 1: 2 moves, 2.44 GiB, about ")
    assert "frees n1 and n2" in first.sentence
    assert second.sentence == third.sentence
    assert third.sentence.startswith("Watching 3 nodes, 4 VMs. 1 node in use; 1 is proven the least")
    assert third.sentence.endswith("Nothing to do.")
    assert it.world.incidents == []


def test_a_dry_run_decides_the_same_and_executes_nothing() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(2)

    settings = EXACT.model_copy(update={"reconfigure": False})
    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario, settings=settings)
    assert it.moves() == []
    assert it.notes.sentences[0].startswith("Dry run: a plan: 2 moves, 2.44 GiB")
    assert it.notes.sentences[0].endswith("Nothing is executed.")
    assert it.notes.rounds[0].decision is not None
    assert it.notes.rounds[0].decision.act


def test_the_next_round_starts_an_interval_after_the_last_began_or_at_once_when_that_is_over() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(4)

    settings = EXACT.model_copy(update={"interval": 10.0})
    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario, settings=settings)
    started = [outcome.started - 1e6 for outcome in it.notes.rounds]
    assert started[0] == 0
    assert started[1] == 11  # the first round moved for 11 s, longer than the interval
    assert [round(b - a, 6) for a, b in pairwise(started[1:])] == [10, 10]


def test_an_overload_is_mended_with_the_least_moves_before_anything_is_gained() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(2)

    it = controlled(lambda: SimulatedCluster(overloaded()), scenario)
    assert len(it.moves()) == 1
    assert it.notes.sentences[0].startswith("n1 is overloaded (memory 125 %). Plan 1 mends it: 1 move, 1.22 GiB")
    assert it.end is not None
    assert sorted(len(vms) for vms in it.end.running_on.values()) == [1, 4]


def test_monitoring_that_cannot_be_reached_is_said_waited_for_and_nothing_is_touched() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(6)

    outage = Faults(outages=(Window(start=0, end=1e6 + 100),))
    settings = EXACT.model_copy(update={"interval": 10.0, "back_off": 60.0})
    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED), faults=outage), scenario, settings=settings)
    starts = [round(outcome.started - 1e6) for outcome in it.notes.rounds]
    assert starts[:5] == [0, 10, 30, 70, 130]  # 10, 20, 40, then the limit of 60 s
    assert it.notes.sentences[0].startswith("Monitoring cannot be used: the simulated monitoring cannot be reached.")
    assert "Acting on nothing" in it.notes.sentences[2]
    assert it.notes.rounds[4].plan == 1
    begun = [event.at for event in it.world.trace if event.what == "begun"]
    assert min(begun) >= 1e6 + 100


@pytest.mark.parametrize("kind", ["refused", "broken", "false-failure", "false-success", "hang", "silent"])
def test_whatever_fails_the_loop_observes_and_plans_again_until_it_is_done(kind: str) -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(8)
        await it.world.quiet()

    faults = Faults(actions=(ActionFault(kind=kind, subject="a"), ActionFault(kind=kind, subject="a", attempt=2)))  # type: ignore[arg-type]
    settings = EXACT.model_copy(update={"interval": 30.0, "cool_down": 60.0})
    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED), faults=faults), scenario, settings=settings)
    assert len({it.host(vm) for vm in "abcd"}) == 1
    assert it.world.incidents == []
    assert it.notes.faults == []
    assert it.notes.sentences[-1].endswith("Nothing to do.")


def test_while_it_waits_it_says_what_came_of_the_plan_and_not_what_was_intended() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(1)

    faults = Faults(
        actions=(ActionFault(kind="refused", subject="a", attempt=None), ActionFault(kind="refused", subject="b", attempt=None))
    )
    for these, came in ((faults, "Plan 1: 0 of 1 done, 1 failed: migrate "), (Faults(), "Plan 1: 1 of 1 done.")):
        it = controlled(lambda these=these: SimulatedCluster(cluster_of({"a": "n1", "b": "n2"}), faults=these), scenario)  # type: ignore[misc]
        (outcome,) = it.notes.rounds
        assert outcome.sentence.startswith("Plan 1: 1 move, ")
        assert outcome.result.startswith(came)
        assert outcome.level == ("warning" if these is faults else "info")
        assert it.notes.sayings[-1] == (outcome.level, outcome.result)


def test_a_vm_that_failed_to_move_is_left_alone_for_the_cool_down_and_others_are_moved_instead() -> None:
    cluster = cluster_of({"a": "n1", "b": "n2"})  # either may join the other

    async def scenario(it: Controlled) -> None:
        await it.run(3)

    for stubborn, other in ("ab", "ba"):
        faults = Faults(actions=(ActionFault(kind="refused", subject=stubborn, attempt=None),))
        it = controlled(lambda faults=faults: SimulatedCluster(cluster, faults=faults), scenario)  # type: ignore[misc]
        assert it.end is not None
        assert len(it.end.running_on) == 1
        assert it.moves() == [other]


def test_monitoring_that_never_answers_is_given_up() -> None:
    async def scenario(it: Controlled) -> None:
        it.adapter.observe = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        it.loop.patience = 45.0
        await it.run(1)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario)
    assert it.notes.sentences[0].startswith("Monitoring cannot be used: monitoring does not answer within 45 s.")


def test_a_plan_that_took_longer_than_the_interval_is_held_against_the_cluster_as_it_is_then() -> None:
    async def scenario(it: Controlled) -> None:
        async def slowly(work):  # type: ignore[no-untyped-def]
            found = work()
            await asyncio.sleep(60)
            return found

        async def meanwhile() -> None:
            await asyncio.sleep(30)
            it.world.begin("migrate", "a", "n1", "n2")

        it.loop.think = slowly  # type: ignore[assignment]
        other = asyncio.ensure_future(meanwhile())
        await it.run(2)
        await other

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario)
    first, second = it.notes.rounds
    assert first.sentence.startswith("The cluster changed while planning (")
    assert "a is running on n2 now" in first.sentence
    assert first.plan is None
    assert second.started == first.started + 60
    assert second.plan == 1
    assert len({it.host(vm) for vm in "abcd"}) == 1


def test_the_journal_holds_each_sentence_once_while_it_lasts() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(6)
        assert [entry.sentence for entry in reversed(it.journal.recent_decisions(10))] == list(dict.fromkeys(it.notes.sentences))

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario)
    assert len(it.notes.sentences) == 6


def test_a_node_that_dies_while_it_is_filled_is_planned_around() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(8)
        await it.world.quiet()

    faults = Faults(deaths=(NodeDeath(node="n3", at=1e6 + 5),))
    settings = EXACT.model_copy(update={"interval": 30.0, "cool_down": 60.0})
    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED), faults=faults), scenario, settings=settings)
    assert it.host("a") == it.host("b") != "n3"
    assert it.host("c") is None
    assert it.world.incidents == []


def test_a_rule_that_names_what_no_longer_exists_covers_what_does_with_a_warning() -> None:
    policy = Policy(constraints=(Spread(vms=("a", "b", "gone"), name="apart"), Fence(vms=("old",), nodes=("n1", "n9"))))

    async def scenario(it: Controlled) -> None:
        await it.run(2)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario, policy=policy)
    assert it.host("a") != it.host("b")
    assert 'rule "apart": there is no VM gone; the rule covers those that exist' in it.notes.warnings
    assert any("there is no node n9" in text for text in it.notes.warnings)
    assert it.notes.faults == []


def test_a_corner_that_cannot_be_mended_does_not_stop_the_rest() -> None:
    cluster = cluster_of({"a": "n1", "b": "n2", "c": "n2", "x": "n4"})
    policy = Policy(constraints=(Fence(vms=("x",), nodes=("n3",), name="x pinned"),))
    closed = replace(cluster, nodes=tuple(replace(n, maintenance=n.name == "n3") for n in cluster.nodes))
    grown = replace(closed, nodes=(*closed.nodes, replace(closed.nodes[0], name="n3", maintenance=True)))

    async def scenario(it: Controlled) -> None:
        await it.run(3)

    it = controlled(lambda: SimulatedCluster(grown), scenario, policy=policy)
    assert it.host("a") == it.host("b") == it.host("c")
    assert it.host("x") == "n4"
    assert "cannot be mended" in it.notes.sentences[-1]
    assert it.notes.faults == []


def test_a_policy_that_cannot_be_planned_for_is_said_and_nothing_happens() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(2)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario, policy=Policy(objective="balance", weights={"gpu": 1.0}))
    assert it.moves() == []
    assert it.notes.rounds[0].level == "error"
    assert "Weights: names 'gpu', which no node and no VM has (accepted: cpu, memory)" in it.notes.sentences[0]
    assert it.notes.faults == []


def test_a_fault_of_ours_ends_the_round_not_the_loop() -> None:
    async def scenario(it: Controlled) -> None:
        def fails(*_: object) -> None:
            raise ZeroDivisionError

        plan, it.loop.plan = it.loop.plan, fails  # type: ignore[assignment]
        await it.run(1)
        it.loop.plan = plan
        await it.run(2)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario)
    assert it.notes.sentences[0].startswith("This round failed inside Entropy (ZeroDivisionError). Acting on nothing")
    assert [type(problem) for problem in it.notes.faults] == [ZeroDivisionError]
    assert it.notes.rounds[1].plan == 1


def test_the_policy_is_asked_again_each_round() -> None:
    async def scenario(it: Controlled) -> None:
        await it.run(2)
        it.policy = Policy(objective="consolidate")
        await it.run(3)

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED)), scenario, policy=Policy(objective="repair"))
    assert it.notes.sentences[0] == "Watching 3 nodes, 4 VMs. 3 nodes in use, every rule is kept. Nothing to do."
    assert it.notes.rounds[2].plan == 1


@pytest.mark.parametrize("moment", [0.0, 0.5, 5.0, 10.9, 11.5, 13.0, 18.0, 40.0])
def test_stopped_at_any_moment_running_moves_finish_none_starts_and_nothing_is_in_doubt(moment: float) -> None:
    one_by_one = EXACT.model_copy(update={"interval": 5.0})
    cluster = cluster_of({"a": "n1", "b": "n2", "c": "n3", "d": "n4", "e": "n5", "f": "n5"})

    async def scenario(it: Controlled) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        loop.call_at(1e6 + moment, stopping.set)
        loop.call_at(1e6 + moment + 1, stopping.set)  # twice
        await it.loop.run(stopping)
        assert it.world.operations == {}
        assert it.journal.in_doubt() == ()
        assert it.journal.open_plans() == ()

    it = controlled(lambda: SimulatedCluster(cluster), scenario, settings=one_by_one)
    assert all(event.at <= 1e6 + moment for event in it.world.trace if event.what == "begun")
    assert it.world.incidents == []
    assert it.notes.faults == []


@pytest.mark.parametrize("moment", [0.5, 5.0, 9.0, 10.0, 10.5])
def test_killed_in_the_middle_the_next_loop_settles_by_observing_before_it_plans(tmp_path: Path, moment: float) -> None:
    async def killed(it: Controlled) -> None:
        task = asyncio.ensure_future(it.loop.run(asyncio.Event()))
        await asyncio.sleep(moment)
        it.driver.abandon()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert it.journal.open_plans() == (1,)
        again = manager(it.world, it.journal)  # the world went on meanwhile
        await again.run(3)
        assert again.journal.open_plans() == ()
        assert again.journal.in_doubt() == ()

    it = controlled(lambda: SimulatedCluster(cluster_of(SCATTERED), noise=0.4), killed, journal=tmp_path / "journal.sqlite")
    assert {it.host(vm) for vm in "abcd"} == {"n3"}
    assert it.moves().count("a") == 1  # never begun twice while the first was under way
    assert it.world.incidents == []
