"""A driver's or adapter's own part of the configuration, validated: one place turns a wrong key into an operator's sentence.

Keys may be written in camelCase or with underscores, and values may be text (``.properties`` knows nothing else).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from entropy.model.errors import InputError
from entropy.model.words import refused

__all__ = ["OPTIONS", "Options", "validated"]

OPTIONS = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)
S = TypeVar("S", bound="Options")


class Options(BaseModel):
    """Base of a platform's options: immutable, unknown keys are errors."""

    model_config = OPTIONS


def validated(cls: type[S], settings: Mapping[str, Any]) -> S:
    """``settings`` as options of class ``cls``.  Raises ``InputError`` with the key, its value and what is accepted."""
    try:
        return cls.model_validate(dict(settings))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        message, accepted = refused(first)
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            accepted = ", ".join(sorted(f.alias or name for name, f in cls.model_fields.items()))
        raise InputError(message, path=path, accepted=accepted) from problem
