"""Takes metrics that nobody reads out of Ganglia's XML before the parser sees them.

A gmond tells some thirty metrics a host, each with a description: two thirds of the bytes, and most of the parser's time.  A
metric is taken out only if it is complete and well-formed in exactly the shape that gmond and gmetad write, so nothing that a
parser would refuse is hidden; its line ends stay, so places in errors are right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Skimmer"]

_ATTRIBUTES = rb'(?: [A-Z_]++="[^"<&]*+")*+'
_START = b"<METRIC "


class Skimmer:
    """Fed with pieces of any size; metrics called as in ``wanted``, or beginning with ``prefix``, are kept, and so is all else."""

    def __init__(self, wanted: Iterable[str], prefix: str, most: int = 1 << 16) -> None:
        kept = "|".join([re.escape(prefix), *(f'{re.escape(name)}"' for name in sorted(wanted))]).encode()
        self._unread = re.compile(
            rb'<METRIC NAME="(?!' + kept + rb')[^"<&]*+"' + _ATTRIBUTES + rb">\s*+"
            rb"(?:<EXTRA_DATA>\s*+(?:<EXTRA_ELEMENT" + _ATTRIBUTES + rb"/>\s*+)*+</EXTRA_DATA>\s*+)?+</METRIC>"
        )  # fmt: skip
        self._rest, self._most = b"", most

    def feed(self, data: bytes) -> bytes:
        """The next piece without what is not read.  A metric that is not yet complete is held back, ``most`` bytes at most."""
        text = self._rest + data
        cut = text.rfind(_START)
        if cut < 0 or len(text) - cut > self._most:
            cut = len(text)
        self._rest = text[cut:]
        return self._unread.sub(_line_ends, text[:cut])

    def close(self) -> bytes:
        """What was held back."""
        rest, self._rest = self._rest, b""
        return self._unread.sub(_line_ends, rest)


def _line_ends(match: re.Match[bytes]) -> bytes:
    return b"\n" * match[0].count(b"\n")
