"""Amounts in an operator's words: numbers with units and at most three digits; exact where limits are compared."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["exact", "listed", "memory", "seconds"]

_UNIT = {"cpu": " cores", "memory": " MiB"}


def exact(resource: str, amount: float) -> str:
    """``6144 MiB``, ``1.5 cores``: for comparisons with a limit."""
    return f"{round(amount, 3):.15g}{_UNIT.get(resource, '')}"


def memory(mebibytes: float) -> str:
    """``41 GiB``: three digits at most."""
    for unit, size in (("TiB", 1 << 20), ("GiB", 1 << 10)):
        if mebibytes >= size:
            return f"{_three(mebibytes / size)} {unit}"
    return f"{_three(mebibytes)} MiB"


def seconds(amount: float) -> str:
    """``70 s``, ``12 min``, ``3.2 h``."""
    if amount < 120:
        return f"{_three(amount)} s"
    return f"{_three(amount / 60)} min" if amount < 7200 else f"{_three(amount / 3600)} h"


def listed(names: Sequence[str], most: int = 5) -> str:
    """``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _three(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"
