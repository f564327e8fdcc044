"""Which function checks which rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from entropy.verification.case import Case
from entropy.verification.rules import counts, homes, places, times
from entropy.verification.violation import Violation

__all__ = ["CHECKS", "check_rules"]

CHECKS: Mapping[str, Callable[[Case, Any, str], Iterator[Violation]]] = {
    "fence": places.fence,
    "ban": places.ban,
    "root": places.root,
    "quarantine": places.quarantine,
    "lonely": places.lonely,
    "split": places.split,
    "spread": counts.spread,
    "runningCapacity": counts.running_capacity,
    "resourceCapacity": counts.resource_capacity,
    "maxOnline": counts.max_online,
    "online": counts.online,
    "offline": counts.offline,
    "gather": homes.gather,
    "among": homes.among,
    "splitAmong": homes.split_among,
    "noDelay": times.no_delay,
    "sequence": times.sequence,
    "serialize": times.serialize,
    "sync": times.sync,
    "precedence": times.precedence,
    "deadline": times.deadline,
}
"""Rule type -> check(case, rule, title).

Not here: running, sleeping, ready and killed are judged with the states; preserve and overbook change demands and limits.
"""


def check_rules(case: Case) -> Iterator[Violation]:
    """Every hard rule of the policy."""
    for title, rule in case.rules:
        if check := CHECKS.get(rule.type):
            yield from check(case, rule, title)
