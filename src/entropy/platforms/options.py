"""A driver's or adapter's own part of the configuration, validated: one place turns a wrong key into an operator's sentence.

Keys may be written in camelCase or with underscores, and values may be text (``.properties`` knows nothing else).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from entropy.model.errors import InputError

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
        match first["type"]:
            case "extra_forbidden":
                known = ", ".join(sorted(f.alias or name for name, f in cls.model_fields.items()))
                raise InputError("is no known key", path=path, accepted=known if len(first["loc"]) == 1 else "") from problem
            case "missing":
                raise InputError("is missing", path=path) from problem
            case "value_error":
                raise InputError(str(first["ctx"]["error"]), path=path) from problem
            case _:
                message = first["msg"]
                raise InputError(f"is {first['input']!r}: {message[:1].lower()}{message[1:]}", path=path) from problem
