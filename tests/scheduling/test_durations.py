"""Durations: the contract's defaults, and the original's expressions in their place."""

from __future__ import annotations

import pytest

from entropy.model.cluster import VM, Node
from entropy.model.errors import InputError
from entropy.scheduling.durations import DurationModel

WEB = VM(name="web", node="n1", demand={"cpu": 1.5, "memory": 4096.0}, consumption={"cpu": 0.3})
N1 = Node(name="n1", capacity={"cpu": 16.0, "memory": 65536.0}, labels={"cpus": "8"})


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("migrate", 33.768), ("suspend", 33.768), ("resume", 33.768), ("run", 5), ("stop", 2), ("startup", 60), ("shutdown", 30)],
)
def test_without_better_knowledge(kind: str, seconds: float) -> None:
    assert DurationModel().seconds(kind, WEB, N1) == pytest.approx(seconds)


def test_the_originals_own_defaults() -> None:
    model = DurationModel(
        {
            "plan.action.duration.migrate": "VM#memory / 10",
            "suspend@local": "4",
            "resume@local": "5",
            "resume@remote": "6",
            "forge": "3",
        }
    )
    assert model.seconds("migrate", WEB, N1) == pytest.approx(409.6)
    assert model.seconds("suspend", WEB, N1) == 4
    assert model.seconds("resume", WEB, N1) == 5
    assert model.seconds("resume", WEB, N1, remote=True) == 6
    assert model.seconds("run", WEB, N1) == 5


def test_every_variable() -> None:
    model = DurationModel({"run": "VM#memory + 10000 * VM#cpu_consumption + 100000 * VM#cpu_demand + 1000000 * VM#cpu_nb"})
    assert model.seconds("run", WEB, N1) == pytest.approx(4096 + 3000 + 150000 + 2000000)
    model = DurationModel({"startup": "node#memory + node#cpu_capacity + node#cpu_nb / 10"})
    assert model.seconds("startup", None, N1) == pytest.approx(65536 + 16 + 0.8)
    assert model.depends_on_node("startup")
    assert not model.depends_on_node("migrate")


@pytest.mark.parametrize(
    ("expressions", "message"),
    [
        ({"pause": "1"}, "unknown action 'pause'"),
        ({"startup": "VM#memory"}, "column 1"),
        ({"migrate": "VM#memory /"}, "column 12"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(expressions: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        DurationModel(expressions)
    assert caught.value.path.startswith("plan.action.duration.")
    assert caught.value.accepted


@pytest.mark.parametrize(
    ("text", "why"), [("1 / (VM#cpu_demand - 1.5)", "division by zero"), ("0 - VM#memory", "-4096 s"), ("10 ^ 13", "1e\\+13 s")]
)
def test_an_impossible_duration_names_expression_and_vm(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        DurationModel({"migrate": text}).seconds("migrate", WEB, N1)
    assert "VM web" in str(caught.value)
    assert text in str(caught.value)
