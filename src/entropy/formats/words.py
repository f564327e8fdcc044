"""How readers of foreign formats list names in their sentences."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["some"]


def some(names: Iterable[str], most: int = 5) -> str:
    """``a, b, c, d, e, ... (9 in all)``: the first few names, and how many there are."""
    all_names = list(names)
    shown = ", ".join(all_names[:most])
    return shown + (f", ... ({len(all_names)} in all)" if len(all_names) > most else "")
