"""What a cluster should be: an objective and the rules that every configuration must respect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from entropy.model.rules import AnyRule
from entropy.model.values import DOCUMENT, Flag

__all__ = ["OBJECTIVES", "Objective", "Policy"]

Objective = Literal["repair", "consolidate", "balance"]
OBJECTIVES: tuple[Objective, ...] = ("repair", "consolidate", "balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An objective (``None``: consolidate) and its constraints.

    ``allow_suspend``: may a running VM be suspended and resumed on the way when no order of live migrations exists?
    """

    __pydantic_config__ = DOCUMENT

    objective: Objective | None = None
    allow_suspend: Annotated[Flag, Field(alias="allowSuspend")] = False
    constraints: tuple[AnyRule, ...] = ()
