"""Amounts with a unit and at most three digits, as people read them."""

from __future__ import annotations

from entropy.planning.words import memory

__all__ = ["clock", "count", "memory", "seconds", "three_digits"]


def three_digits(value: float) -> str:
    """``41``, ``4.13``, ``0.41``, ``1230``: three digits that say something, never an exponent, no trailing zeros."""
    size = abs(value)
    text = f"{value:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def seconds(value: float) -> str:
    """``12.4 s``, ``25 min``, ``3.5 h``."""
    if value < 600:
        return f"{three_digits(value)} s"
    return f"{three_digits(value / 60)} min" if value < 36000 else f"{three_digits(value / 3600)} h"


def count(number: int, one: str, many: str = "") -> str:
    """``1 action``, ``3 actions``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clock(at: float) -> str:
    """Seconds since midnight as ``13:25``, from the second day on ``day 2 13:25``."""
    day, minutes = divmod(int(at // 60), 1440)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"day {day + 1} {text}" if day else text
