"""What BtrPlace's views and attributes say of nodes and VMs: amounts, labels, migration profiles."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from entropy.formats.btrplace_rules import Elements
from entropy.formats.fields import Fields
from entropy.model.cluster import MigrationProfile
from entropy.model.values import A_NAME, MOST, is_name
from entropy.model.words import some

__all__ = ["Attributes", "Resource", "element_id", "network_labels", "resource_of"]

_LABEL_LENGTH = 1024


@dataclass(frozen=True)
class Resource:
    """A ``shareableResource`` view: its rcId, our name of it, and the amounts by id."""

    rc: str
    name: str
    capacity: Mapping[int, float]
    default_capacity: float
    consumption: Mapping[int, float]
    default_consumption: float


def resource_of(view: Fields, taken: Container[str], nodes: Elements, vms: Elements, warnings: list[str]) -> Resource:
    """Read one view.  ``taken``: the rcIds of all views, so that ``mem`` does not become a second ``memory``."""
    rc = view.text("rcId")
    name = "memory" if rc == "mem" and "memory" not in taken else rc
    if not is_name(rc):
        view.wrong("rcId", rc, A_NAME)
    tables = []
    for key, elements in (("nodes", nodes), ("vms", vms)):
        table, elsewhere = _amounts(view, key, elements)
        tables.append(table)
        if elsewhere:
            warnings.append(f"the resource {rc} of {elements.kind}s that the mapping does not hold is left out: {some(elsewhere)}")
    return Resource(rc, name, tables[0], _default(view, "defCapacity"), tables[1], _default(view, "defConsumption"))


def _default(view: Fields, key: str) -> float:
    return view.amount(key) if key in view.tree else 0.0


def _amounts(view: Fields, key: str, elements: Elements) -> tuple[dict[int, float], list[str]]:
    table: dict[int, float] = {}
    elsewhere: list[str] = []
    if key not in view.tree:
        return table, elsewhere
    entries = view.object(key)
    for text, value in entries.tree.items():
        if (type(value) is not int and type(value) is not float) or not 0 <= value <= MOST:
            entries.wrong(text, value, "a number from 0 to 1e15")
        k = element_id(text, entries)
        if k in elements.names:
            table[k] = float(value)
        else:
            elsewhere.append(text)
    return table, elsewhere


def element_id(text: str, fields: Fields) -> int:
    """The id that is the key ``text``."""
    if not (text.isascii() and text.isdigit()):
        fields.refuse(text, f"{text!r} is no id", "a whole number in quotes")
    return int(text)


def network_labels(view: Fields, nodes: Elements, labels: dict[int, dict[str, str]]) -> str:
    """Write each node's link into ``labels`` (``net.switch``, ``net.capacity`` in Mbit/s); the sentence on what is not planned with."""
    switches = _list(view, "switches")
    routes = view.object("routing").tree.get("type", "no") if "routing" in view.tree else "no"
    links = list(view.objects("links")) if "links" in view.tree else []
    between = 0
    for link in links:
        end = link.object("physicalElement")
        if end.text("type") != "node":
            between += 1
            continue
        k = end.count("id")
        if k not in nodes.names:
            end.wrong("id", k, "the id of a node of the mapping")
        here = labels.setdefault(k, {})
        for label, value in (("net.switch", link.get("switch")), ("net.capacity", link.get("capacity"))):
            here[label] = f"{here[label]},{_word(value)}" if label in here else _word(value)
    return (
        f"the network view is kept as labels of nodes (net.switch, net.capacity) and not planned with: {len(switches)} switches, "
        f"{len(links) - between} links of nodes; {between} links between switches and {routes} routing are left out"
    )


def _list(fields: Fields, key: str) -> list[Any]:
    return fields.list(key) if key in fields.tree else []


# -- attributes ---------------------------------------------------------------------------------------------------

_PROFILE = {
    "memUsed": "memory_used",
    "hotDirtySize": "hot_dirty_size",
    "hotDirtyDuration": "hot_dirty_duration",
    "coldDirtyRate": "cold_dirty_rate",
}
_ACTED_ON = ("migrate", "boot", "shutdown", "suspend", "resume", "forge", "kill", "halt", "allocate", "clone", "template")
"""Attributes that BtrPlace plans with: durations of actions, and whether a VM may be made anew instead of moved."""


@dataclass(frozen=True)
class Attributes:
    """Labels of nodes and VMs and VMs' migration profiles, by id."""

    node_labels: dict[int, dict[str, str]] = field(default_factory=dict)
    vm_labels: dict[int, dict[str, str]] = field(default_factory=dict)
    profiles: dict[int, MigrationProfile] = field(default_factory=dict)
    node_keys: set[str] = field(default_factory=set)
    vm_keys: set[str] = field(default_factory=set)
    elsewhere: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, model: Fields, nodes: Elements, vms: Elements) -> Attributes:
        """Of all elements that the mapping holds; the others' are named in ``elsewhere``."""
        found = cls()
        if "attributes" not in model.tree:
            return found
        attributes = model.object("attributes")
        for key, elements, labels, keys in (
            ("nodes", nodes, found.node_labels, found.node_keys),
            ("vms", vms, found.vm_labels, found.vm_keys),
        ):
            tables = attributes.object(key) if key in attributes.tree else Fields({}, model.where)
            for text in tables.tree:
                table = tables.object(text)
                k = element_id(text, tables)
                if k not in elements.names:
                    found.elsewhere.append(f"{elements.kind} {k}")
                    continue
                if key == "vms" and not _PROFILE.keys().isdisjoint(table.tree):
                    profile = {ours: table.amount(theirs) for theirs, ours in _PROFILE.items() if theirs in table.tree}
                    found.profiles[k] = MigrationProfile(**profile)
                labels[k] = _labels(table, _PROFILE if key == "vms" else (), keys)
        return found

    def warnings(self) -> Iterator[str]:
        """What is kept and yet not planned with, and what is left out."""
        acted = sorted({key for key in _ACTED_ON if key in self.vm_keys | self.node_keys})
        if acted:
            yield f"attributes that are kept as labels and not planned with (durations, making a VM anew): {', '.join(acted)}"
        if self.elsewhere:
            yield f"attributes of elements that the mapping does not hold are left out: {some(self.elsewhere)}"


def _labels(table: Fields, but: Container[str], keys: set[str]) -> dict[str, str]:
    """``keys``: the names of attributes met so far, known to be good."""
    labels = {}
    for key, value in table.tree.items():
        if key not in keys:
            if key in but:
                continue
            if not is_name(key):
                table.refuse(repr(key)[:80], "is no name of an attribute", A_NAME)
            keys.add(key)
        if type(value) is str:
            text = value
        elif type(value) in (int, bool, float):
            text = _word(value)
        else:
            table.wrong(key, value, "text, a number, true or false")
        labels[key] = text
        if len(text) > _LABEL_LENGTH:
            table.wrong(key, value, f"at most {_LABEL_LENGTH} characters")
    return labels


@lru_cache(maxsize=4096, typed=True)
def _word(value: Any) -> str:
    """Cached: a large instance has a hundred thousand small numbers; by type too, as 1 and true are equal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
