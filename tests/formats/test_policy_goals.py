"""A policy's weights and trade-off: read, written, refused."""

from __future__ import annotations

from typing import Any

import pytest

from entropy.formats import documents
from entropy.model.errors import InputError
from entropy.model.policy import Policy
from entropy.model.values import InvalidValueError

POLICY = {"apiVersion": "entropy/v1", "kind": "Policy", "objective": "balance"}


def test_weights_and_trade_off_are_read_back_as_they_were_written() -> None:
    policy = documents.validate(POLICY | {"weights": {"cpu": 1, "memory": 2.5, "gpu": 0}, "tradeOff": 512}, Policy)
    assert (policy.weights, policy.trade_off) == ({"cpu": 1.0, "memory": 2.5, "gpu": 0.0}, 512.0)
    assert documents.to_tree(policy) == POLICY | {"weights": {"cpu": 1, "memory": 2.5, "gpu": 0}, "tradeOff": 512}
    assert documents.parse(documents.dump(policy, "yaml"), Policy) == policy


def test_without_them_every_resource_counts_and_priorities_are_strict() -> None:
    policy = documents.validate(POLICY, Policy)
    assert policy.weights is None
    assert policy.trade_off is None


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("weights", {}, "weights: names no resource that counts (accepted: a weight from 0.001 to 1000 for at least one resource)"),
        ("weights", {"cpu": 0, "memory": 0.0001}, "weights: names no resource that counts"),
        ("weights", {"cpu": -1}, "weights.cpu: is -1 (accepted: a number of at least 0)"),
        ("weights", {"cpu": 1001}, "weights.cpu: is 1001 (accepted: a number of at most 1000)"),
        ("weights", ["cpu"], "weights: is ['cpu'], not a mapping"),
        ("tradeOff", 0, "tradeOff: is 0 (accepted: a number above 0)"),
        ("tradeOff", "512 MiB", "tradeOff: is '512 MiB', not a number"),
        ("tradeOff", float("inf"), "tradeOff: is inf (accepted: a finite number)"),
    ],
)
def test_what_makes_no_sense_is_refused(key: str, value: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        documents.validate(POLICY | {key: value}, Policy, where="p.yaml")
    assert told in str(refused.value)


def test_a_policy_made_in_code_is_held_to_the_same() -> None:
    with pytest.raises(InvalidValueError, match="no resource that counts"):
        Policy(weights={"cpu": 0.0})
