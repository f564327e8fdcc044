"""Lines of a plain-text format: read by number, refused where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

from entropy.model.errors import InputError
from entropy.model.values import MOST

__all__ = ["Line", "by_name", "decoded"]


def decoded(raw: bytes, where: str, accepted: str) -> str:
    """``raw`` as text.  Raises ``InputError`` with the line that is no UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        number = raw[: problem.start].count(b"\n") + 1
        raise InputError("is not UTF-8 text", where=f"{where}:{number}", accepted=accepted) from problem


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the file's name, its number from 1, its text.  Every method raises ``InputError`` for what it refuses."""

    file: str
    number: int
    text: str

    def refuse(self, message: str, accepted: str = "") -> NoReturn:
        """Refuse the line, showing it."""
        text = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        raise InputError(f"{message}, in the line {text!r}", where=f"{self.file}:{self.number}", accepted=accepted)

    def amount(self, text: str, what: str, least: float = 0.0) -> float:
        """``text`` as a number from ``least`` to 1e15."""
        try:
            value = float(text) if "_" not in text else math.nan  # Python would take 1_000 for a number
        except ValueError:
            value = math.nan
        if not least <= value <= MOST:
            self.refuse(f"{what} is {text!r}", f"a number from {least:g} to 1e15")
        return value


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def line(self) -> Line: ...


L = TypeVar("L", bound=Line)
R = TypeVar("R", bound=_Named)


def by_name(lines: Iterable[L], read: Callable[[L], R], kind: str) -> dict[str, R]:
    """What ``read`` makes of each line, by name.  Raises ``InputError`` for a name that stands twice."""
    found: dict[str, R] = {}
    for line in lines:
        record = read(line)
        first = found.setdefault(record.name, record)
        if first is not record:
            line.refuse(f"{kind} {record.name} is listed already in line {first.line.number}", "a name of its own")
    return found
