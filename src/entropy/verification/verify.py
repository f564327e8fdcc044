"""Is a plan safe?  An independent judgement from the documents alone.

Written from the contract, sharing nothing with what made the plan: the plan's forecast is not believed, its ``after`` is.
Whatever the actions take, and in whatever order their starts and ends fall within what ``after`` allows, capacities, rules
and states must hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from entropy.model.cluster import Cluster
from entropy.model.collector import collector_paused
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.verification.capacity import check_capacity
from entropy.verification.case import Case
from entropy.verification.figures import check_figures
from entropy.verification.order import Order
from entropy.verification.power import check_maintenance, check_power
from entropy.verification.replay import replay
from entropy.verification.rules.table import check_rules
from entropy.verification.states import check_states, check_target, check_untouchable
from entropy.verification.violation import Violation

__all__ = ["verify"]

_FORECAST_SLACK = 1e-3
"""Seconds: the forecast is written with three decimals."""

_CHECKS = (
    check_untouchable, check_capacity, check_power, check_maintenance, check_states, check_target, check_rules, check_figures,
)  # fmt: skip


@collector_paused()
def verify(
    cluster: Cluster, plan: Plan, policy: Policy | None = None, target: Cluster | None = None, *, lenient: bool = False
) -> tuple[Violation, ...]:
    """Everything that is wrong with ``plan`` on ``cluster``; empty when it is safe and does what it should.

    ``target``: the configuration that the plan should lead to; names, states and hosts are read from it, amounts from
    ``cluster``.  Soft rules are not judged.  When a VM cannot do what an action asks of it, or an action names what does not
    exist, only such findings are listed: what would follow from them is guesswork.  Raises ``InputError`` when a rule
    names a VM or node that does not exist, unless ``lenient``.
    """
    order = Order(plan)
    history, faults = replay(cluster, plan, order)
    forecast = tuple(_check_forecast(plan))
    if faults:
        return forecast + faults
    case = Case(cluster, plan, policy or Policy(), target, order, history, lenient)
    return forecast + tuple(violation for check in _CHECKS for violation in check(case))


def _check_forecast(plan: Plan) -> Iterator[Violation]:
    for action in plan.actions:
        if action.end < action.start:
            text = f"action {action.id}: the forecast has it end at {action.end:g} s, before it starts at {action.start:g} s"
            yield Violation("order", action.id, text, actions=(action.id,))
        for other in action.after:
            if action.start < plan.by_id[other].end - _FORECAST_SLACK:
                ends = f"{other}, for which it waits, ends at {plan.by_id[other].end:g} s"
                text = f"action {action.id}: the forecast has it start at {action.start:g} s, but {ends}"
                yield Violation("order", action.id, text, actions=(other, action.id))
