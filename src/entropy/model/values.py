"""The vocabulary of field types that all documents share; every unit of the package is fixed here.

cpu is in cores, memory in MiB, durations in seconds, bandwidth in MiB/s, power in watts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

__all__ = [
    "A_NAME", "DOCUMENT", "MOST", "Amount", "Amounts", "Count", "Flag", "Instant", "InvalidValueError", "Labels", "Name", "Names",
    "Positive", "Seconds", "Selection", "is_name",
]  # fmt: skip

DOCUMENT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""How every value of a document is validated: unknown keys are errors."""

MOST = 1e15
"""The largest amount of anything; beyond, a double no longer tells one from the next."""


class InvalidValueError(ValueError):
    """A rule between fields is broken.  ``path`` leads to the place from the value that raised it."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), value: Any = None, accepted: str = "") -> None:
        super().__init__(message)
        self.path, self.value, self.accepted = path, value, accepted


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise InvalidValueError(f"is {value!r}, not a time", value=value, accepted="a time such as 2026-11-22T06:00:00Z")
    return value


_CHARACTER = r"[^\x00-\x1f\x7f]"
_NAME = re.compile(f"{_CHARACTER}{{1,255}}")
A_NAME = "1 to 255 characters, none of them a control character"
"""What a refused name should have been."""

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=f"^{_CHARACTER}+$")]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
Instant = Annotated[datetime, BeforeValidator(_no_number)]
Amount = Annotated[float, Field(strict=True, ge=0, le=MOST, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, le=MOST, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]
Amounts = Mapping[Name, Amount]
Labels = Mapping[Name, Annotated[str, StringConstraints(strict=True, max_length=1024)]]
Names = tuple[Name, ...]
Selection = Name | Names
"""A selector, or a list of names and selectors (see ``entropy.model.selectors``)."""


def is_name(text: str) -> bool:
    """Can ``text`` be a ``Name``: of a VM, a node, a resource or a label?  For readers that want to say no in their own words."""
    return _NAME.fullmatch(text) is not None
