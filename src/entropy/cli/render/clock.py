"""Simulated time, as a clock shows it."""

from __future__ import annotations

__all__ = ["clock"]


def clock(at: float) -> str:
    """Seconds since midnight as ``13:25``, from the second day on ``day 2 13:25``."""
    day, minutes = divmod(int(at // 60), 1440)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"day {day + 1} {text}" if day else text
