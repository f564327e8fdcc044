"""The state machine by hand: what the whole executor reaches only seldom."""

from entropy.execution.progress import Begin, Instruction, Looked, Progress, Returned, Settle, Start, StopRequested, Unstartable
from entropy.execution.sight import Sight
from entropy.model.plan import Action, Plan
from simulated_world import QUICK, migrate

AT_SOURCE, THERE = Sight("source", "a runs on n1"), Sight("done", "a runs on n3")
PLAN = Plan(actions=(migrate("m1", "a", "n1", "n3"), migrate("m2", "b", "n1", "n2")))


def machine(**changes: int) -> tuple[Progress, tuple[Instruction, ...]]:
    progress = Progress(PLAN, QUICK.model_copy(update={"max_parallel_per_node": 1, **changes}))
    return progress, progress.handle(Begin(0.0))


def test_a_retry_that_waits_for_a_place_when_somebody_asks_to_stop_is_looked_at_again() -> None:
    """Monitoring may have been late when it showed a where it was."""
    progress, out = machine()
    assert out == (Start("m1", 1, 42.0),)
    assert progress.handle(Returned(1.0, "m1", "lost")) == (Start("m2", 1, 42.0),)
    assert progress.handle(Looked(6.0, "m1", AT_SOURCE, busy=False)) == ()  # n1 is taken by m2
    assert progress.in_phase("waiting") == ("m1",)
    assert progress.handle(StopRequested(7.0)) == ()
    assert progress.confirming == ("m1",)
    assert progress.handle(Looked(8.0, "m1", THERE, busy=False)) == (Settle("m1", "done", "a runs on n3, though the driver said: lost"),)
    progress.check()


def test_another_attempt_that_cannot_be_written_down_leaves_the_first_to_be_seen() -> None:
    progress, _ = machine(retries=3)
    progress.handle(Returned(1.0, "m1", "lost"))
    progress.handle(Returned(2.0, "m2"))
    assert progress.handle(Looked(6.0, "m1", AT_SOURCE, busy=False)) == (Start("m1", 2, 42.0),)
    assert progress.handle(Unstartable(6.0, "m1", "disk full")) == ()
    assert progress.handle(Looked(12.0, "m1", AT_SOURCE, busy=False)) == ()  # no third attempt
    (settled,) = progress.handle(Looked(13.0, "m1", THERE, busy=False))
    assert isinstance(settled, Settle)
    assert settled.outcome == "done"
    assert progress.track("m1").attempt == 2
    progress.check()


def test_the_hypervisor_at_work_delays_the_verdict_until_the_limit_and_a_confirmation() -> None:
    progress, _ = machine(retries=0)
    progress.handle(Returned(10.0, "m1", "lost"))
    for at in (11.0, 26.0, 41.0, 56.0):
        assert progress.handle(Looked(at, "m1", AT_SOURCE, busy=True)) == ()
    assert progress.handle(Looked(57.0, "m1", AT_SOURCE, busy=True)) == (
        Settle("m1", "in_doubt", "lost; a runs on n1; the hypervisor is still at work on it"),
    )


def test_just_over_is_not_yet_believed() -> None:
    """At 30 s the hypervisor is no longer at work; monitoring may show the source for 15 s more."""
    progress, _ = machine(retries=0)
    progress.handle(Returned(10.0, "m1", "lost"))
    progress.handle(Looked(29.0, "m1", AT_SOURCE, busy=True))
    assert progress.handle(Looked(30.0, "m1", AT_SOURCE, busy=False)) == ()
    assert progress.handle(Looked(44.9, "m1", AT_SOURCE, busy=False)) == ()
    assert progress.handle(Looked(45.0, "m1", AT_SOURCE, busy=False)) == (Settle("m1", "failed", "lost"),)


def test_a_look_that_began_before_the_driver_returned_says_nothing() -> None:
    progress, _ = machine()
    progress.handle(Returned(10.0, "m1"))
    assert progress.handle(Looked(9.0, "m1", THERE)) == ()
    assert progress.handle(Looked(10.0, "m1", THERE)) == (Settle("m1", "done", "a runs on n3"),)


def test_late_and_double_answers_change_nothing() -> None:
    progress, _ = machine()
    progress.handle(Returned(10.0, "m1"))
    progress.handle(Looked(10.0, "m1", THERE))
    for event in (Returned(11.0, "m1", "lost"), Looked(12.0, "m1", AT_SOURCE), Unstartable(13.0, "m1", "full")):
        assert progress.handle(event) == ()
    assert progress.in_phase("done") == ("m1",)


def test_the_sentence() -> None:
    progress, _ = machine()
    assert progress.sentence(318) == "Executing plan 318: 0 of 2 done, 1 running, no failure."
    progress.handle(Unstartable(1.0, "m1", "no driver"))
    progress.handle(StopRequested(2.0))
    assert progress.sentence(318) == "Executing plan 318: 0 of 2 done, 1 running, 1 failed; stopping."


def test_a_long_chain_whose_beginning_fails_is_skipped_to_its_end() -> None:
    """5,000 VMs one after another, as a ``sequence`` rule asks: each waits for the one before it."""
    chain = tuple(
        Action(id=f"a{k}", type="stop", vm=f"vm-{k}", node="n1", start=k, end=k + 1.0, after=(f"a{k - 1}",) if k else ())
        for k in range(5000)
    )
    progress = Progress(Plan(actions=chain), QUICK)
    progress.handle(Begin(0.0))
    failed, *skipped = progress.handle(Unstartable(1.0, "a0", "no driver"))
    assert failed == Settle("a0", "failed", "no driver")
    assert [s.id for s in skipped if isinstance(s, Settle) and s.outcome == "skipped"] == [f"a{k}" for k in range(1, 5000)]
    assert skipped[-1] == Settle("a4999", "skipped", "waits for a4998 (stop vm-4998 on n1), which was skipped")
    progress.check()
