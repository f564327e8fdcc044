"""Selectors: ``label=value[,label!=value...]``, a glob over names, a name, or ``*``."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.values import Selection

__all__ = ["Selector"]


class _Labelled(Protocol):
    @property
    def labels(self) -> Mapping[str, str]: ...


_WILD = re.compile(r"[*?[]")
T = TypeVar("T", bound=_Labelled)


@dataclass
class Selector:
    """Resolves selections against one cluster.

    A label selector that matches nothing is a warning and selects nothing (never all); a name or glob that matches nothing
    raises ``InputError``, or is a warning when ``lenient`` (a rule that outlives its VM must not stop the control loop).
    """

    cluster: Cluster
    lenient: bool = False
    warnings: list[str] = field(default_factory=list)
    _index: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict, repr=False)
    _sorted: dict[str, tuple[list[str], dict[str, int]]] = field(default_factory=dict, repr=False)
    _known: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict, repr=False)

    def vms(self, selection: Selection, path: str = "") -> tuple[VM, ...]:
        """The selected VMs, each once, in order of first match."""
        return self._resolve(selection, self.cluster.vm_by_name, "VM", path)

    def nodes(self, selection: Selection, path: str = "") -> tuple[Node, ...]:
        """The selected nodes, each once, in order of first match."""
        return self._resolve(selection, self.cluster.node_by_name, "node", path)

    def _resolve(self, selection: Selection, table: Mapping[str, T], kind: str, path: str) -> tuple[T, ...]:
        if isinstance(selection, str):
            key = (kind, selection)
            found = self._known.get(key)
            if not found:  # what matches nothing is said for each rule
                found = self._known[key] = tuple([table[name] for name in self._match(selection, table, kind, path)])
            return found
        names: dict[str, None] = dict.fromkeys(selection)
        if names.keys() <= table.keys():  # names and nothing else, as of lists that a program wrote
            return tuple([table[name] for name in names])
        names = {}
        for part in selection:
            names.update(dict.fromkeys(self._match(part, table, kind, path)))
        return tuple([table[name] for name in names])

    def _match(self, part: str, table: Mapping[str, T], kind: str, path: str) -> Iterable[str]:
        if part in table:
            return (part,)
        if part == "*":
            return table
        if "=" in part:
            tests = [_test(term, path, part) for term in part.split(",")]
            found = [n for n in self._candidates(tests, table, kind) if all((table[n].labels.get(k) == v) == e for k, v, e in tests)]
            if not found:
                self.warnings.append(f"{path or 'selector'}: {part!r} matches no {kind}; the rule is void")
            return found
        found = self._glob(part, table, kind)
        if not found:
            message = f"{part!r} names no {kind} of the cluster"
            if not self.lenient:
                accepted = f"a {kind}'s name, a glob, label=value or *"
                raise InputError(message, path=path, accepted=accepted)
            self.warnings.append(f"{path or 'selector'}: {message}; the rule covers those that exist")
        return found

    def _glob(self, pattern: str, table: Mapping[str, T], kind: str) -> list[str]:
        """The names that fit, in the order of the document; only those that begin as the pattern does are looked at."""
        if kind not in self._sorted:
            self._sorted[kind] = sorted(table), {name: k for k, name in enumerate(table)}
        names, place = self._sorted[kind]
        start = _WILD.split(pattern, maxsplit=1)[0]
        first, last = bisect_left(names, start), bisect_right(names, start, key=lambda name: name[: len(start)])
        return sorted((name for name in names[first:last] if fnmatchcase(name, pattern)), key=place.__getitem__)

    def _candidates(self, tests: Iterable[tuple[str, str, bool]], table: Mapping[str, T], kind: str) -> Iterable[str]:
        """Names that one of the positive tests lets through, from an index by label made once: rules are many, clusters large."""
        positive = next(((key, value) for key, value, equal in tests if equal), None)
        if positive is None:
            return table
        key, value = positive
        if (kind, key) not in self._index:
            index = self._index[kind, key] = {}
            for name, item in table.items():
                if key in item.labels:
                    index.setdefault(item.labels[key], []).append(name)
        return self._index[kind, key].get(value, ())


def _test(term: str, path: str, whole: str) -> tuple[str, str, bool]:
    key, equal, value = term.partition("!=") if "!=" in term else term.partition("=")
    if not key or not equal:
        raise InputError(f"{term!r} in {whole!r} is no test on a label", path=path, accepted="label=value or label!=value")
    return key, value, "!" not in equal
