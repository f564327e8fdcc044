"""How messages list names."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["some"]

_LONGEST = 80


def some(names: Iterable[str], most: int = 5) -> str:
    """``a, b, c, d, e, ... (9 in all)``: the first few names, each as far as it fits, and how many there are."""
    found = list(names)
    shown = ", ".join(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..." for name in found[:most])
    return shown + (f", ... ({len(found)} in all)" if len(found) > most else "")
