"""Adapters and drivers by name, found through entry points: a package that is installed beside this one may bring its own."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import Any, Literal

from entropy.model.errors import InputError
from entropy.platforms.base import ConfigurationAdapter, Driver

__all__ = ["Group", "load_adapter", "load_driver", "registered"]

Group = Literal["entropy.adapters", "entropy.drivers"]

DISTRIBUTION = "entropy-manager"
EXTRAS = ("libvirt",)
"""Extras of this distribution that bring a library which a driver of the same name needs."""


def registered(group: Group) -> tuple[str, ...]:
    """The names that an adapter (``entropy.adapters``) or a driver (``entropy.drivers``) can be asked for by."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load_adapter(name: str) -> type[ConfigurationAdapter]:
    """The adapter called ``name``.

    Raises ``InputError``: unknown (with the names that are known), not installed (with the command that installs it), or
    no adapter.
    """
    found: type[ConfigurationAdapter] = _load("entropy.adapters", "adapter", name, ConfigurationAdapter)
    return found


def load_driver(name: str) -> type[Driver]:
    """The driver called ``name``.  Raises ``InputError`` as ``load_adapter`` does."""
    found: type[Driver] = _load("entropy.drivers", "driver", name, Driver)
    return found


def _load(group: Group, what: str, name: str, base: type) -> Any:
    point = _find(group, what, name)
    try:
        found = point.load()
    except ImportError as problem:
        raise InputError(f"the {what} {name} cannot be loaded: {problem}", accepted=f"{_remedy(point)} (then try again)") from problem
    except Exception as problem:  # a third party's module may raise anything on import
        raise InputError(f"the {what} {name} ({point.value}) fails on import: {type(problem).__name__}: {problem}") from problem
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(f"the {what} {name} ({point.value}) is no {base.__name__}", accepted=f"a subclass of {base.__name__}")
    if isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise InputError(f"the {what} {name} ({point.value}) leaves out {missing}", accepted="a class with every abstract method")
    return found


def _find(group: Group, what: str, name: str) -> EntryPoint:
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        raise InputError(f"{name!r} is no {what} that is installed here", accepted=", ".join(registered(group)) or f"none: no {what} is")
    # Two packages may claim one name; the same one must win every time, and this package keeps its own names.
    return min(points, key=lambda point: (_distribution(point) != DISTRIBUTION, _distribution(point), point.value))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else ""


def _remedy(point: EntryPoint) -> str:
    owner = _distribution(point) or DISTRIBUTION
    if owner == DISTRIBUTION and point.name in EXTRAS:
        return f"pip install '{DISTRIBUTION}[{point.name}]'"
    return f"install what {owner} needs: pip install --force-reinstall '{owner}'"
