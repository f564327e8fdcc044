"""Bars and curves made of characters.

bar(share, width) -> "▮▮▮▮▯▯"        thin(share, width) -> "▂▂▂   "        level(share) -> "▅"
area(values, ceiling, width, height, top) -> rows of a filled curve with a line above it
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["area", "bar", "level", "resampled", "thin"]

_LEVELS = " ▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """``share`` of 1, rounded, but never shown empty when there is some, nor full when there is room."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    if 0.0 < share < 1.0:
        filled = min(max(filled, 1), width - 1) if width > 1 else filled
    return "▮" * filled + "▯" * (width - filled)


def thin(share: float, width: int) -> str:
    """A thin bar of ``share`` of 1, rounded, to stand under another one."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return "▂" * filled + "·" * (width - filled)


def level(share: float) -> str:
    """One character of eight heights; blank only for 0."""
    if share <= 0.0:
        return _LEVELS[0]
    return _LEVELS[min(max(round(share * 8), 1), 8)]


def resampled(values: Sequence[float], width: int, total: int) -> list[float]:
    """``values``, the first of ``total`` that there will be, as means over ``width`` equal pieces; those that have begun."""
    if not values or total <= 0:
        return []
    found = []
    for column in range(width):
        start, end = column * total // width, max((column + 1) * total // width, column * total // width + 1)
        piece = values[start:end]
        if not piece:
            break
        found.append(sum(piece) / len(piece))
    return found


def area(values: Sequence[float], line: float, width: int, height: int, top: float) -> list[tuple[str, str]]:
    """Rows from the top down, each as (filled part, what stands above it), to be printed over each other: ``values`` as columns of
    eighths of a row, ``line`` as dashes where nothing is filled.  ``top`` is the value of the upper edge."""
    rows = []
    at = min(int(line / top * height), height - 1) if top > 0 else 0
    for row in range(height - 1, -1, -1):
        filled, above = [], []
        for column in range(width):
            value = values[column] / top * height if column < len(values) and top > 0 else 0.0
            part = min(max(value - row, 0.0), 1.0)
            symbol = _LEVELS[round(part * 8)]
            filled.append(symbol)
            above.append("╌" if row == at else "·" if row < at and column < len(values) else " ")
        rows.append(("".join(filled), "".join(above)))
    return rows
