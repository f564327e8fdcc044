"""Exact amounts, where limits are compared, and lists of names."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["exact", "listed"]

_UNIT = {"cpu": " cores", "memory": " MiB"}


def exact(resource: str, amount: float) -> str:
    """``6144 MiB``, ``1.5 cores``: for comparisons with a limit."""
    return f"{round(amount, 3):.15g}{_UNIT.get(resource, '')}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
