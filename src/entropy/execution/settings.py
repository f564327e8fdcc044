"""How a plan is executed: limits, timeouts, retries, confirmation.  Times are in seconds.

ExecutionSettings(max_parallel=8, max_parallel_per_node=2, ...)        ExecutionSettings.read(mapping) -> raises InputError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entropy.model.errors import InputError
from entropy.model.plan import Action

__all__ = ["ExecutionSettings"]

_Wait = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]
_Step = Annotated[float, Field(ge=0.01, le=86400, allow_inf_nan=False)]


class ExecutionSettings(BaseModel):
    """Everything that the executor may be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_parallel: int = Field(8, ge=1, description="actions that run at the same time, in all")
    max_parallel_per_node: int = Field(2, ge=1, description="actions that run at the same time on one node")
    timeout_factor: float = Field(
        5.0, ge=1, le=1000, description="an action is given up after this times its forecast plus timeout_minimum"
    )
    timeout_minimum: _Step = Field(60.0, description="seconds, see timeout_factor")
    retries: int = Field(1, ge=0, le=100, description="further attempts after a failure, while the cluster is seen as before it")
    retry_delay: _Wait = Field(5.0, description="seconds between a failure and the next attempt")
    confirm_timeout: _Wait = Field(
        90.0, description="seconds that the cluster may take to be seen to agree; more than monitoring lags behind"
    )
    confirm_poll: _Step = Field(3.0, description="seconds between two observations while something waits to be confirmed")
    observe_timeout: _Step = Field(30.0, description="seconds that one observation may take")
    cancel_grace: _Wait = Field(10.0, description="seconds that a driver has to give an action up")

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Self:
        """From a configuration.  Raises ``InputError`` naming the key."""
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as problem:
            first = problem.errors()[0]
            key = ".".join(str(step) for step in first["loc"])
            if first["type"] == "extra_forbidden":
                raise InputError("is no known key", where="execution", path=key, accepted=", ".join(cls.model_fields)) from problem
            about = cls.model_fields[key].description or ""
            message = f"is {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
            raise InputError(message, where="execution", path=key, accepted=about) from problem

    def limit(self, action: Action) -> float:
        """Seconds after which one attempt at ``action`` is given up."""
        return self.timeout_factor * max(0.0, action.end - action.start) + self.timeout_minimum
