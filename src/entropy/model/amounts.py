"""Amounts as people read them, the same wherever Entropy speaks: a unit, and three digits that say something."""

from __future__ import annotations

__all__ = ["count", "memory", "seconds", "three_digits"]


def three_digits(value: float) -> str:
    """``41``, ``4.13``, ``0.41``, ``1230``: never an exponent, no trailing zeros."""
    size = abs(value)
    text = f"{value:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def memory(mebibytes: float) -> str:
    """``512 MiB``, ``41 GiB``, ``1.24 TiB``."""
    for unit in ("MiB", "GiB"):
        if mebibytes < 999.5:
            return f"{three_digits(mebibytes)} {unit}"
        mebibytes /= 1024
    return f"{three_digits(mebibytes)} TiB"


def seconds(duration: float) -> str:
    """``12.4 s``; from ten minutes on ``25 min``; from two hours on ``3.5 h``."""
    if duration < 600:
        return f"{three_digits(duration)} s"
    return f"{three_digits(duration / 60)} min" if duration < 7200 else f"{three_digits(duration / 3600)} h"


def count(number: int, one: str) -> str:
    """``1 action``, ``3 actions``, ``1,200 VMs``."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"
