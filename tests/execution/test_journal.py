"""The journal: what is written is read back, whatever happens to the process or the file."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from entropy.execution.journal import Journal
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError, PlatformError
from entropy.model.plan import Action, Plan

PLAN = Plan(
    cluster="sha256:0",
    actions=(
        Action(id="a1", type="migrate", vm="web-1", source="n1", target="n2", end=9.0),
        Action(id="a2", type="run", vm="web-2", node="n1", start=9.0, end=14.0, after=("a1",)),
        Action(id="a3", type="stop", vm="web-3", node="n3", end=2.0),
    ),
)


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


def test_plan_and_its_actions_through_their_states(url: str) -> None:
    clock = Clock()
    journal = Journal(url, clock)
    number = journal.open_plan(PLAN, "n1 is overloaded", {"a1": 60.0})
    assert (number, journal.open_plans(), journal.last_plan()) == (1, (1,), 1)
    assert journal.plan(1) == PLAN
    clock.at = 1001.0
    journal.intend(1, "a1", 1, "libvirt")
    (pending,) = journal.in_doubt()
    assert (pending.plan, pending.action, pending.state, pending.attempt) == (1, PLAN.actions[0], "intended", 1)
    assert (pending.intended, pending.limit) == (1001.0, 60.0)
    assert journal.plan_progress(1).sentence() == "Executing plan 1: 0 of 3 done, 1 running, no failure."
    clock.at = 1002.0
    journal.settle(1, "a1", "done")
    journal.intend(1, "a2", 1)
    journal.settle(1, "a2", "in_doubt", "web-2 is seen nowhere")
    assert [(p.action.id, p.state, p.detail) for p in journal.in_doubt()] == [("a2", "in_doubt", "web-2 is seen nowhere")]
    assert [a.id for a in journal.waiting(1)] == ["a3"]
    journal.settle(1, "a2", "failed", "no")
    journal.settle(1, "a3", "skipped", "stopped")
    assert journal.plan_progress(1).sentence() == "Executing plan 1: 1 of 3 done, 1 failed."
    journal.close_plan(1, "1 of 3 done.")
    assert (journal.in_doubt(), journal.open_plans()) == ((), ())
    assert journal.plan_progress(1).sentence() == "Plan 1: 1 of 3 done."
    assert journal.last_moved() == {"web-1": 1002.0}
    journal.close()


def test_everything_is_there_after_reopening(url: str) -> None:
    clock = Clock()
    journal = Journal(url, clock)
    cluster = Cluster(
        nodes=(Node(name="n1", capacity={"cpu": 4, "memory": 4096}),),
        vms=(
            VM(name="a", node="n1", demand={"cpu": 0.5, "memory": 512}, labels={"x": "y"}),
            VM(name="b", state="ready", demand={"cpu": 1}),
        ),
    )
    journal.remember(cluster)
    journal.record_decision("Nothing to do.")
    clock.at = 1010.0
    journal.record_decision("6 moves free n7.", acted=True)
    journal.open_plan(PLAN)
    journal.intend(1, "a3", 1)
    journal.close()

    again = Journal(url, clock)
    assert again.last_known("a") == cluster.vm_by_name["a"]
    assert again.last_known("b") == cluster.vm_by_name["b"]
    assert again.last_known("c") is None
    assert [(d.at, d.sentence, d.acted) for d in again.recent_decisions(5)] == [
        (1010.0, "6 moves free n7.", True),
        (1000.0, "Nothing to do.", False),
    ]
    assert [p.action.id for p in again.in_doubt()] == ["a3"]
    again.close()


def test_a_vm_is_remembered_as_it_was_last_seen(url: str) -> None:
    journal = Journal(url, Clock())
    node = Node(name="n1", capacity={"memory": 4096})
    journal.remember(Cluster(nodes=(node,), vms=(VM(name="a", node="n1", demand={"memory": 512}),)))
    journal.remember(Cluster(nodes=(node,), vms=(VM(name="a", state="sleeping", node="n1", demand={"memory": 640}),)))
    journal.remember(Cluster(nodes=(node,), vms=()))
    for _ in range(2):
        known = journal.last_known("a")
        assert known is not None
        assert (known.state, known.demand) == ("sleeping", {"memory": 640})
        journal.close()
        journal = Journal(url, Clock())
    journal.close()


def test_amounts_alone_are_written_once_a_minute_and_on_close(url: str) -> None:
    def seen(cpu: float, node: str = "n1") -> Cluster:
        nodes = tuple(Node(name=name, capacity={"cpu": 4.0}) for name in ("n1", "n2"))
        return Cluster(nodes=nodes, vms=(VM(name="a", node=node, demand={"cpu": cpu}),))

    def on_disk() -> tuple[float, str | None]:
        other = Journal(url)
        vm = other.last_known("a")
        other.close()
        assert vm is not None
        return vm.demand["cpu"], vm.node

    clock = Clock()
    journal = Journal(url, clock)
    journal.remember(seen(0.5))
    clock.at += 10
    journal.remember(seen(0.6))
    assert journal.last_known("a") == seen(0.6).vms[0]
    assert on_disk() == (0.5, "n1")
    journal.remember(seen(0.7, "n2"))
    assert on_disk() == (0.7, "n2")
    clock.at += 59
    journal.remember(seen(0.8, "n2"))
    assert on_disk() == (0.7, "n2")
    clock.at += 1
    journal.remember(seen(0.9, "n2"))
    assert on_disk() == (0.9, "n2")
    journal.remember(seen(1.0, "n2"))
    journal.close()
    assert on_disk() == (1.0, "n2")


def test_plan_numbers_are_never_given_twice(url: str) -> None:
    journal = Journal(url, Clock())
    assert [journal.open_plan(Plan()) for _ in range(3)] == [1, 2, 3]
    journal.close()
    journal = Journal(url, Clock())
    assert journal.open_plan(Plan()) == 4
    journal.close()


def test_what_is_not_there_is_said(url: str) -> None:
    journal = Journal(url, Clock())
    journal.open_plan(PLAN)
    with pytest.raises(PlatformError, match="has no action a9 in plan 1"):
        journal.intend(1, "a9", 1)
    with pytest.raises(PlatformError, match="has no plan 7"):
        journal.plan(7)
    assert Journal("sqlite://").last_plan() is None
    journal.close()


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be mistaken for one" * 40, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_corrupt_file_is_named_with_its_cure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"journal\.db.*damaged.*move the file away"):
        Journal(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_page_torn_out_is_noticed(url: str, tmp_path: Path) -> None:
    journal = Journal(url, Clock())
    for _ in range(50):
        journal.open_plan(PLAN, "x" * 500)
    journal.close()
    path = tmp_path / "journal.db"
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="damaged"):
        Journal(url)


def test_the_database_of_another_program_is_left_alone(url: str, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.db")
    other.execute("CREATE TABLE songs (title TEXT)")
    other.commit()
    other.close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(InputError, match=r"another program \(tables songs\)"):
        Journal(url)
    assert (tmp_path / "journal.db").read_bytes() == before


def test_a_journal_from_a_newer_entropy_is_refused(url: str, tmp_path: Path) -> None:
    Journal(url).close()
    raw = sqlite3.connect(tmp_path / "journal.db")
    raw.execute("UPDATE entropy_journal SET value = '99'")
    raw.commit()
    raw.close()
    with pytest.raises(InputError, match=r"newer Entropy \(schema 99, this one knows 1\)"):
        Journal(url)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("sqlite:////nowhere/at/all/journal.db", "cannot be opened"),
        ("journal.db", "no database URL"),
        ("mongo://x/y", "cannot be used|can be used"),
    ],
)
def test_a_url_that_cannot_be_used(bad: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Journal(bad)


_KILLED = """
    import os, sys
    from sqlalchemy import event
    from entropy.execution.journal import Journal
    from entropy.model.plan import Action, Plan

    point, url = int(sys.argv[1]), sys.argv[2]
    journal = Journal(url, lambda: 1.0)
    seen = 0

    def count(*_args):
        global seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), 9)

    event.listen(journal._engine, "before_cursor_execute", count)
    event.listen(journal._engine, "commit", count)
    plan = Plan(actions=tuple(Action(id=f"a{k}", type="stop", vm=f"v{k}", node="n1") for k in range(3)))
    number = journal.open_plan(plan)
    print("opened", flush=True)
    for k in range(3):
        journal.intend(number, f"a{k}", 1)
        print(f"intended a{k}", flush=True)
        journal.settle(number, f"a{k}", "done")
        print(f"done a{k}", flush=True)
    journal.close_plan(number, "3 of 3 done")
    print("closed", flush=True)
    print("whole", flush=True)
"""


def test_killed_at_any_point_it_reopens_coherent(tmp_path: Path) -> None:
    """The process is killed (SIGKILL) before every statement and before every commit in turn."""
    whole = False
    for point in range(1, 60):
        url = f"sqlite:///{tmp_path / f'{point}.db'}"
        child = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(_KILLED), str(point), url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = child.stdout.split("\n")[:-1]
        whole = "whole" in said
        assert child.returncode == (0 if whole else -signal.SIGKILL), child.stderr
        journal = Journal(url)
        if journal.last_plan() is None:
            assert said == []
        else:
            progress = journal.plan_progress(1)
            # What was acknowledged is there; at most the one step that was under way is there besides.
            acknowledged_done = sum(line.startswith("done") for line in said)
            acknowledged = acknowledged_done + sum(line.startswith("intended") for line in said)
            assert progress.total == 3
            assert acknowledged <= 2 * progress.done + progress.running <= acknowledged + 1
            assert progress.running <= 1
            assert (progress.closed is not None) >= ("closed" in said)
        journal.close()
        if whole:
            break
    assert whole
    assert os.listdir(tmp_path)
