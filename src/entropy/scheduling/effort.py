"""How long an order may be searched for."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Effort"]

_ALL_LOOKED = 300_000
"""Moves looked at in all searches of components of one call, about a second."""
_A_SECOND = 200_000
"""Moves looked at in a second, at least."""


def _for_ever() -> float:
    return float("inf")


class Effort:
    """What remains of one call's limits: of the moves that searches look at, and of the time.

    ``remaining``: seconds left.  Without it a call's result is a function of its input.
    """

    def __init__(self, remaining: Callable[[], float] = _for_ever) -> None:
        self._remaining = remaining
        self._looks = _ALL_LOOKED

    @property
    def over(self) -> bool:
        """Is the time over?"""
        return self._remaining() <= 0

    def looks(self, most: int) -> int:
        """How many moves a search of a component may look at, at most ``most``."""
        return min(most, self._looks, self.last_looks(most))

    def last_looks(self, most: int) -> int:
        """How many a search may look at that is not one of many."""
        return int(min(most, max(self._remaining(), 0.0) * _A_SECOND))

    def spend(self, looked: int) -> None:
        """A search of a component has looked at so many."""
        self._looks -= looked
