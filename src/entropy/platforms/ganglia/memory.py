"""What the adapter has seen of each VM in earlier rounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Memory", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A VM as it was last known: the node that alone named it, its demand (cores, MiB), its labels."""

    node: str
    demand: Mapping[str, float]
    labels: Mapping[str, str]


class Memory:
    """VM name -> ``Seen``; the least recently stored are forgotten beyond ``most``."""

    def __init__(self, most: int = 200_000) -> None:
        self._most = most
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def get(self, name: str) -> Seen | None:
        """The VM as it was last known, if it was seen."""
        return self._seen.get(name)

    def store(self, name: str, seen: Seen) -> None:
        """Remember."""
        self._seen[name] = seen
        self._seen.move_to_end(name)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def names(self) -> tuple[str, ...]:
        """Every VM that is remembered, in order of name."""
        return tuple(sorted(self._seen))
