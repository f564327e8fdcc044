"""What an observation says of an action, and the settings."""

from dataclasses import replace

import pytest

from entropy.execution.report import ActionReport, ExecutionReport
from entropy.execution.settings import ExecutionSettings
from entropy.execution.sight import look
from entropy.model.cluster import Cluster, Node
from entropy.model.errors import InputError
from entropy.model.plan import Action
from simulated_world import cluster_of

MIGRATE = Action(id="x", type="migrate", vm="v", source="n1", target="n2")
RUN = Action(id="x", type="run", vm="v", node="n1")
STOP = Action(id="x", type="stop", vm="v", node="n1")
SUSPEND = Action(id="x", type="suspend", vm="v", node="n1")
RESUME = Action(id="x", type="resume", vm="v", source="n1", target="n2")
NOWHERE = "absent"


@pytest.mark.parametrize(
    ("action", "place", "verdict", "text"),
    [
        (MIGRATE, "n1", "source", "v runs on n1"),
        (MIGRATE, "n2", "done", "v runs on n2"),
        (MIGRATE, "n3", "elsewhere", "v runs on n3"),
        (MIGRATE, "(n2)", "elsewhere", "v sleeps on n2"),
        (MIGRATE, "", "elsewhere", "v is ready, on no node"),
        (MIGRATE, NOWHERE, "elsewhere", "v is not seen"),
        (RUN, "", "source", "v is ready, on no node"),
        (RUN, NOWHERE, "source", "v is not seen"),
        (RUN, "n1", "done", "v runs on n1"),
        (RUN, "n2", "elsewhere", "v runs on n2"),
        (STOP, "n1", "source", "v runs on n1"),
        (STOP, "(n1)", "source", "v sleeps on n1"),
        (STOP, "", "done", "v is ready, on no node"),
        (STOP, NOWHERE, "done", "v is not seen"),
        (STOP, "n2", "elsewhere", "v runs on n2"),
        (SUSPEND, "n1", "source", "v runs on n1"),
        (SUSPEND, "(n1)", "done", "v sleeps on n1"),
        (SUSPEND, "(n2)", "elsewhere", "v sleeps on n2"),
        (RESUME, "(n1)", "source", "v sleeps on n1"),
        (RESUME, "n2", "done", "v runs on n2"),
        (RESUME, "n1", "elsewhere", "v runs on n1"),
    ],
)
def test_each_type_in_each_place(action: Action, place: str, verdict: str, text: str) -> None:
    cluster = cluster_of({} if place == NOWHERE else {"v": place}, nodes=3)
    sight = look(action, cluster)
    assert (sight.verdict, sight.text) == (verdict, text)


def test_a_migration_is_not_over_while_the_source_may_hold_the_vm_too() -> None:
    """An adapter that does not know where the VM was takes the first of the two nodes that name it."""
    arrived = cluster_of({"v": "n2"}, nodes=3)
    (vm,), (source, *others) = arrived.vms, arrived.nodes
    named_twice = replace(source, untouchable="v (kept on n2), named by another node too")
    both = replace(arrived, vms=(replace(vm, migratable=False),), nodes=(named_twice, *others))
    for action in (MIGRATE, RESUME):
        sight = look(action, both)
        assert sight.verdict == "elsewhere"
        assert sight.text.startswith("v runs on n2, but n1 may hold it too (v (kept on n2)")
        assert look(action, replace(both, vms=arrived.vms)).verdict == "done"  # the doubt is about something else
        assert look(action, replace(both, nodes=arrived.nodes)).verdict == "done"
    assert look(replace(RESUME, target="n1"), cluster_of({"v": "n1"}, nodes=3)).verdict == "done"  # in place


def test_a_vm_that_vanished_from_a_dead_node_was_not_stopped() -> None:
    for node in (Node(name="n1", state="offline", capacity={}), Node(name="n1", capacity={}, untouchable="no word of its VMs")):
        assert look(STOP, Cluster(nodes=(node,), vms=())).verdict == "elsewhere"


def test_nodes() -> None:
    up, down = Action(id="x", type="startup", node="n1"), Action(id="x", type="shutdown", node="n1")
    on, off = (Cluster(nodes=(Node(name="n1", state=s, capacity={}),), vms=()) for s in ("online", "offline"))
    assert [look(a, c).verdict for a in (up, down) for c in (on, off)] == ["done", "source", "source", "done"]
    assert look(up, Cluster(nodes=(), vms=())).text == "n1 is not seen"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_parallel": 0},
            r"execution: max_parallel: is 0: .*greater than or equal to 1.*\(accepted: actions that run at the same time, in all\)",
        ),
        ({"retries": "many"}, "execution: retries: is 'many'"),
        ({"confirm_timeout": float("nan")}, "confirm_timeout: is nan"),
        ({"max_paralel": 2}, r"max_paralel: is no known key \(accepted: max_parallel, "),
    ],
)
def test_bad_settings_name_their_key(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExecutionSettings.read(given)


def test_the_limit_of_an_action() -> None:
    settings = ExecutionSettings.read({"timeout_factor": 3, "timeout_minimum": 10})
    assert settings.limit(Action(id="x", type="stop", vm="v", node="n1", start=5.0, end=12.0)) == 31.0


def test_sentences_of_a_report() -> None:
    def entry(outcome: str, detail: str = "") -> ActionReport:
        return ActionReport(action=MIGRATE, outcome=outcome, detail=detail)  # type: ignore[arg-type]

    done, skipped = entry("done"), entry("skipped", "stopped")
    failed, doubt = entry("failed", "n2 refused"), entry("in_doubt", "no answer")
    cases = {
        (): "nothing to do",
        (done, done): "2 of 2 done",
        (done, failed): "1 of 2 done, 1 failed: migrate v from n1 to n2: n2 refused",
        (doubt, failed, skipped): (
            "0 of 3 done, 1 failed, 1 in doubt, 1 skipped: migrate v from n1 to n2: n2 refused; migrate v from n1 to n2: no answer"
        ),
        (failed,) * 5: "0 of 5 done, 5 failed: " + "; ".join(["migrate v from n1 to n2: n2 refused"] * 3) + "; and 2 more",
    }
    for actions, text in cases.items():
        assert ExecutionReport(number=1, actions=actions).sentence() == text
    assert ExecutionReport(number=1, actions=(done, skipped), stopped=True).sentence() == "1 of 2 done, 1 skipped: stopped"
