"""What a cluster should be: an objective and the rules that every configuration must respect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from entropy.model.rules import AnyRule
from entropy.model.values import DOCUMENT, Amount, Flag, InvalidValueError, Name, Positive

__all__ = ["OBJECTIVES", "Objective", "Policy"]

Objective = Literal["repair", "consolidate", "balance"]
OBJECTIVES: tuple[Objective, ...] = ("repair", "consolidate", "balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An objective (``None``: consolidate) and its constraints.

    ``allow_suspend``: may a running VM be suspended and resumed on the way when no order of live migrations exists?
    ``weights``: how much each resource counts for balance, to three decimals; absent: 1 each; given: 0 for a resource not named.
    ``trade_off``: MiB of moved memory that one unit of the objective's own goal is worth (consolidate: one node in use less, or one watt
    of idle power where power is the goal; balance: one percentage point of weighted spread); absent: the goal comes first, whatever it
    moves.  Raises ``InvalidValueError`` when no weight is above 0.
    """

    __pydantic_config__ = DOCUMENT

    objective: Objective | None = None
    allow_suspend: Annotated[Flag, Field(alias="allowSuspend")] = False
    weights: Mapping[Name, Annotated[Amount, Field(le=1000)]] | None = None
    trade_off: Annotated[Positive | None, Field(alias="tradeOff")] = None
    constraints: tuple[AnyRule, ...] = ()

    def __post_init__(self) -> None:
        if self.weights is not None and all(weight < 0.0005 for weight in self.weights.values()):
            raise InvalidValueError(
                "names no resource that counts", ("weights",), dict(self.weights), "a weight from 0.001 to 1000 for at least one resource"
            )
