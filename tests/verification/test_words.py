"""Sentences: amounts without binary noise, lists that stay short, rules by name or by what they are about."""

from __future__ import annotations

import pytest

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.rules import Ban, Spread
from entropy.verification.case import title
from entropy.verification.verify import verify
from entropy.verification.violation import amount, listed, quantity, when

CLUSTER = Cluster(nodes=(Node(name="n1", capacity={"cpu": 1.0}),), vms=(VM(name="a", node="n1", demand={"cpu": 1.0}),))


def test_amounts_have_units_and_no_noise() -> None:
    assert [amount(0.1 + 0.2), quantity(4096.0, "memory"), quantity(1.5, "cpu"), quantity(2.0, "gpu")] == [
        "0.3", "4096 MiB", "1.5 cores", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "text"),
    [([], "nothing"), (["a"], "a"), (["a", "b"], "a and b"), (list("abcd"), "a, b, c and d"), (list("abcdef"), "a, b, c, d and 2 more")],
)
def test_lists_stay_short(names: list[str], text: str) -> None:
    assert listed(names) == text


def test_when_counts_an_action_once() -> None:
    assert when(["a", "a"], ["b", "c"]) == "when a starts before b and c have ended"
    assert when(["a", "b"], []) == "when a and b start"


def test_a_rule_is_called_by_its_name_or_by_whom_it_is_about() -> None:
    assert title(Ban(name="no kvm", vms="*", nodes="n1")) == "no kvm"
    assert title(Spread(vms="app=web")) == "spread app=web"
    assert title(Spread(vms=("a", "b", "c", "d", "e"))) == "spread [a, b, c, d, ...]"


def test_a_rule_on_an_unknown_name_is_bad_input_unless_lenient() -> None:
    policy = Policy(constraints=(Ban(vms=("a", "gone"), nodes="n1"),))
    with pytest.raises(InputError, match="'gone' names no VM"):
        verify(CLUSTER, Plan(), policy)
    assert [v.kind for v in verify(CLUSTER, Plan(), policy, lenient=True)] == ["rule"]
