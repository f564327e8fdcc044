"""How messages are worded: lists of names, values of a setting that were refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["refused", "some"]

_LONGEST = 80


def some(names: Iterable[str], most: int = 5) -> str:
    """``a, b, c, d, e, ... (9 in all)``: the first few names, each as far as it fits, and how many there are."""
    found = list(names)
    shown = ", ".join(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..." for name in found[:most])
    return shown + (f", ... ({len(found)} in all)" if len(found) > most else "")


def refused(error: Mapping[str, Any]) -> tuple[str, str]:
    """One of pydantic's errors about a setting as what is wrong and what is accepted (empty where the first says it all)."""
    value, context, kind = repr(error["input"])[:_LONGEST], error.get("ctx", {}), error["type"]
    match kind:
        case "missing":
            return "is missing", ""
        case "extra_forbidden":
            return "is no known key", ""
        case "value_error":
            return str(context["error"]), ""
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            words = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below", "less_than_equal": "at most"}
            return f"is {value}", f"a number {words[kind]} {next(iter(context.values())):g}"
        case "bool_parsing" | "bool_type":
            return f"is {value}", "true or false"
        case "literal_error":
            return f"is {value}", str(context["expected"]).replace("'", "").replace(" or ", ", ")
        case "model_type" | "dict_type" | "model_attributes_type" | "mapping_type":
            return f"is {value}", "a table of keys"
        case _ if kind.startswith(("float", "finite", "int")):
            return f"is {value}", "a whole number" if kind.startswith("int") else "a finite number"
        case _ if kind.startswith(("string", "path")):
            return f"is {value}", "text"
        case _:
            return f"is {value}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""
