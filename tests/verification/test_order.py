"""What ``after`` forces, whether the masks of a component are kept or each is searched."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.plan import Action, Plan
from entropy.verification import order as order_module
from entropy.verification.order import Order


@given(seed=st.integers(0, 1 << 32))
def test_searching_finds_what_the_kept_masks_say(seed: int) -> None:
    rng = Random(seed)
    waits = {k: rng.sample(range(k), rng.randint(0, min(k, 2))) for k in range(rng.randint(1, 24))}
    actions = [Action(id=f"a{k}", type="startup", node="n", after=tuple(f"a{j}" for j in others)) for k, others in waits.items()]
    rng.shuffle(actions)
    plan = Plan(actions=tuple(actions))
    reach: dict[int, set[int]] = {}
    for k, others in waits.items():
        reach[k] = set(others).union(*(reach[j] for j in others))
    with pytest.MonkeyPatch.context() as patch:
        for most in (0, 1000):
            patch.setattr(order_module, "_MOST_MASKS", most)
            order = Order(plan)
            assert {(j, k) for j in waits for k in waits if order.before(f"a{j}", f"a{k}")} == {(j, k) for k in waits for j in reach[k]}
