"""What is wrong with a plan: one value a finding, and the words that its sentence is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["KINDS", "TOLERANCE", "Violation", "ViolationKind", "amount", "listed", "quantity", "when"]

ViolationKind = Literal[
    "order", "story", "capacity", "power", "maintenance", "state", "target", "rule", "untouchable", "figures"
]  # fmt: skip
KINDS: tuple[ViolationKind, ...] = get_args(ViolationKind)

TOLERANCE = 1e-4
"""How far a sum of amounts may pass its limit: what adding decimal fractions in binary can cost, and no more."""

_UNITS = {"memory": " MiB", "cpu": " cores"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One finding.

    ``kind``: order (what ``after`` and the forecast say of each other, actions that should be ordered and are not), story
    (a VM cannot do what the action asks of it), capacity, power (node states), maintenance, state (a state changes unasked,
    or not as asked), target, rule, untouchable, figures (the summary).  ``subject`` is the name of the node, VM, action,
    rule or figure.  ``text`` is the sentence, ``actions`` the ids of the actions involved.
    """

    kind: ViolationKind
    subject: str
    text: str
    resource: str = ""
    actions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


def amount(value: float) -> str:
    """``value`` without the noise of binary fractions."""
    return f"{value:.10g}"


def quantity(value: float, resource: str) -> str:
    """``value`` with the unit of ``resource``: ``4096 MiB``."""
    return amount(value) + _UNITS.get(resource, "")


def listed(names: Iterable[str], most: int = 4) -> str:
    """``a, b and c``, or ``a, b, c, d and 7 more``."""
    found = list(names)
    shown, rest = found[:most], len(found) - most
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else "nothing"


def when(starting: Iterable[str], pending: Iterable[str]) -> str:
    """``when a3 starts before a1 has ended``: actions that start, and those that need not have ended by then."""
    begun, open_ = list(dict.fromkeys(starting)), list(dict.fromkeys(pending))
    starts = f"when {listed(begun)} {'starts' if len(begun) == 1 else 'start'}"
    return f"{starts} before {listed(open_)} {'has' if len(open_) == 1 else 'have'} ended" if open_ else starts
