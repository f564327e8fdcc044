"""The vocabulary of field types that all documents share; every unit of the package is fixed here.

cpu is in cores, memory in MiB, durations in seconds, bandwidth in MiB/s, power in watts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

__all__ = ["DOCUMENT", "Amount", "Amounts", "InvalidValueError", "Labels", "Name", "Names", "Positive", "Seconds", "Selection"]

DOCUMENT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""How every value of a document is validated: unknown keys are errors."""

Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Amount = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, le=1e15, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]
Amounts = Mapping[Name, Amount]
Labels = Mapping[Name, Annotated[str, StringConstraints(strict=True, max_length=1024)]]
Names = tuple[Name, ...]
Selection = Name | Names
"""A selector, or a list of names and selectors (see ``entropy.model.selectors``)."""


class InvalidValueError(ValueError):
    """A rule between fields is broken.  ``path`` leads to the place from the value that raised it."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), value: Any = None, accepted: str = "") -> None:
        super().__init__(message)
        self.path, self.value, self.accepted = path, value, accepted
