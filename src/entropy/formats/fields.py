"""One object of a foreign JSON document and its place: fields are read by the type they must have, or refused where they stand."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from entropy.model.errors import InputError
from entropy.model.values import MOST

__all__ = ["Fields"]

_MISSING: Any = object()
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60
_REPR.maxlevel = 2


@dataclass(frozen=True, slots=True)
class Fields:
    """``tree`` stands at ``path`` of the file ``where``.  Every method raises ``InputError`` with the place of what it refuses.

    Paths are put together only for a refusal: a document has some ten thousand objects.
    """

    tree: dict[str, Any]
    where: str
    path: str = ""

    @classmethod
    def of(cls, tree: Any, where: str, path: str = "") -> Fields:
        """``tree`` as an object."""
        if not isinstance(tree, dict):
            raise InputError(f"is {_shown(tree)}, not an object", where=where, path=path, accepted="a JSON object")
        return cls(tree, where, path)

    def refuse(self, key: str, message: str, accepted: str = "") -> NoReturn:
        """Refuse what stands at ``key`` (``vms[3]``; empty: the object itself)."""
        dot = "." if self.path and key and not key.startswith("[") else ""
        raise InputError(message, where=self.where, path=f"{self.path}{dot}{key}", accepted=accepted)

    def wrong(self, key: str, value: Any, accepted: str) -> NoReturn:
        """Refuse the value at ``key``, showing it."""
        self.refuse(key, "is missing" if value is _MISSING else f"is {_shown(value)}", accepted)

    def get(self, key: str) -> Any:
        """Whatever stands at ``key``; refused when missing."""
        value = self.tree.get(key, _MISSING)
        if value is _MISSING:
            self.wrong(key, value, "")
        return value

    def object(self, key: str) -> Fields:
        """The object at ``key``."""
        value = self.tree.get(key, _MISSING)
        if type(value) is not dict:
            self.wrong(key, value, "a JSON object")
        return Fields(value, self.where, f"{self.path}.{key}" if self.path else key)

    def list(self, key: str) -> list[Any]:
        """The list at ``key``."""
        value = self.tree.get(key, _MISSING)
        if type(value) is not list:
            self.wrong(key, value, "a list")
        return value

    def objects(self, key: str) -> Iterator[Fields]:
        """The objects in the list at ``key``."""
        base = f"{self.path}.{key}" if self.path else key
        for k, item in enumerate(self.list(key)):
            yield Fields.of(item, self.where, f"{base}[{k}]")

    def text(self, key: str) -> str:
        """The text at ``key``."""
        value = self.tree.get(key, _MISSING)
        if type(value) is not str or not value:
            self.wrong(key, value, "text")
        return value

    def amount(self, key: str) -> float:
        """The number from 0 to 1e15 at ``key``."""
        value = self.tree.get(key, _MISSING)
        if (type(value) is not int and type(value) is not float) or not 0 <= value <= MOST:
            self.wrong(key, value, "a number from 0 to 1e15")
        return float(value)

    def count(self, key: str) -> int:
        """The whole number from 0 at ``key``."""
        value = self.tree.get(key, _MISSING)
        if type(value) is not int or value < 0:
            self.wrong(key, value, "a whole number of at least 0")
        return value

    def flag(self, key: str) -> bool:
        """True or false at ``key``."""
        value = self.tree.get(key, _MISSING)
        if type(value) is not bool:
            self.wrong(key, value, "true or false")
        return value


def _shown(value: Any) -> str:
    return "null" if value is None else _REPR.repr(value)
