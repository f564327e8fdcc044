"""BtrPlace's constraints as the statements of ``entropy.model.rules``: one line a constraint, one explicit table.

Each constraint becomes exactly one rule, in order, so a rule's place in the Policy is the constraint's place in the file; its
name says so too (``spread #12``).  ``continuous`` is kept where a rule has it; the others hold at the end only, or always, by
nature, as in BtrPlace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from entropy.formats.fields import Fields
from entropy.formats.words import some
from entropy.model import rules
from entropy.model.rules import AnyRule
from entropy.model.values import Names, Selection

__all__ = ["CONSTRAINTS", "Elements", "Rulebook"]

_TIMESTAMP = re.compile(r"(\+?)(\d{1,6}):([0-5]?\d):([0-5]?\d)")
_DAY = 86400


@dataclass(frozen=True)
class Elements:
    """The VMs, or the nodes, of the mapping: id -> name."""

    kind: str
    names: Mapping[int, str]

    def one(self, value: Any, fields: Fields, key: str) -> str:
        """The name of the element whose id stands at ``key``."""
        name = self.names.get(value) if type(value) is int else None
        if name is None:
            fields.wrong(key, value, f"the id of a {self.kind} of the mapping")
        return name

    def several(self, fields: Fields, key: str) -> Names:
        """The names of the ids listed at ``key``, in their order."""
        return self.group(fields.list(key), fields, key)

    def group(self, ids: Any, fields: Fields, key: str) -> Names:
        """The names of ``ids``, which stand at ``key``."""
        if type(ids) is not list:
            fields.wrong(key, ids, f"a list of ids of {self.kind}s")
        try:
            return tuple([self.names[k] for k in ids])
        except (KeyError, TypeError):
            return tuple([self.one(k, fields, f"{key}[{j}]") for j, k in enumerate(ids)])

    def groups(self, fields: Fields, key: str) -> tuple[Names, ...]:
        """The groups listed at ``key``."""
        return tuple(self.group(ids, fields, f"{key}[{j}]") for j, ids in enumerate(fields.list(key)))


@dataclass
class Rulebook:
    """Reads the constraints of one file.

    ``resources``: rcId -> our name of the resource.  ``now``: the local time that a deadline at a time of day counts from.
    Filled while reading: ``preserved`` (VM name -> resource -> amount), ``labels`` of nodes (name -> label -> value): groups of
    nodes that several constraints share become a label, so that a rule names twenty groups and not five thousand nodes;
    ``warnings``.
    """

    vms: Elements
    nodes: Elements
    resources: Mapping[str, str]
    now: datetime
    taken_labels: frozenset[str] = frozenset()
    preserved: dict[str, dict[str, float]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _shared: dict[bytes, tuple[Selection, ...] | None] = field(default_factory=dict, repr=False)
    _unread: dict[str, int] = field(default_factory=dict, repr=False)

    def read(self, instance: Fields) -> tuple[AnyRule, ...]:
        """The rules of all constraints.  Raises ``InputError`` with the constraint's place."""
        if "constraints" not in instance.tree:
            return ()
        found = list(instance.objects("constraints"))
        self._find_shared_groups(found)
        result = tuple(self._rule(k, constraint) for k, constraint in enumerate(found))
        for key, times in self._unread.items():
            self.warnings.append(f"{instance.where}: the key {key!r} of {times} constraints is no known one and is not read")
        return result

    def _rule(self, number: int, fields: Fields) -> AnyRule:
        kind = fields.text("id")
        known = CONSTRAINTS.get(_plain(kind))
        if known is None:
            fields.refuse("id", f"is {kind!r}, which is no constraint that can be read", ", ".join(CONSTRAINTS))
        for key in fields.tree.keys() - _KEYS:
            self._unread[key] = self._unread.get(key, 0) + 1
        return known(_Constraint(fields, self, f"{kind} #{number}"))

    # -- groups of nodes that many constraints share -------------------------------------------------------------------

    def _find_shared_groups(self, constraints: Sequence[Fields]) -> None:
        times: dict[bytes, int] = {}
        for fields in constraints:
            key = _NODE_GROUPS.get(_plain(str(fields.tree.get("id"))))
            if key is not None:
                raw = orjson.dumps(fields.tree.get(key))
                times[raw] = times.get(raw, 0) + 1
        self._shared.update({raw: None for raw, count in times.items() if count > 1})

    def node_groups(self, fields: Fields, key: str) -> tuple[Selection, ...]:
        """The groups of nodes at ``key``: lists of names or, when other constraints have the same, selectors of their label."""
        raw = orjson.dumps(fields.list(key))
        if raw not in self._shared:
            return self.nodes.groups(fields, key)
        known = self._shared[raw]
        if known is None:
            known = self._shared[raw] = self._labelled(self.nodes.groups(fields, key))
        return known

    def _labelled(self, groups: tuple[Names, ...]) -> tuple[Selection, ...]:
        members = [node for group in groups for node in group]
        if len(set(members)) < len(members) or not all(groups):
            return groups  # a node of two groups cannot have both in one label
        used = self.taken_labels.union(*(labels for labels in self.labels.values()))
        label = next(name for k in range(1, len(used) + 2) if (name := f"partition-{k}" if k > 1 else "partition") not in used)
        for k, group in enumerate(groups, start=1):
            for node in group:
                self.labels.setdefault(node, {})[label] = str(k)
        return tuple(f"{label}={k}" for k in range(1, len(groups) + 1))


@dataclass(frozen=True, slots=True)
class _Constraint:
    """One constraint being read; each method is one field of it, as the statements want it."""

    fields: Fields
    book: Rulebook
    name: str

    def vms(self) -> Names:
        return self._elements(self.book.vms, "vm", "vms")

    def nodes(self) -> Names:
        return self._elements(self.book.nodes, "node", "nodes")

    def _elements(self, elements: Elements, one: str, several: str) -> Names:
        tree = self.fields.tree
        found = elements.several(self.fields, several) if several in tree else ()
        if one in tree:
            found = (*found, elements.one(tree[one], self.fields, one))
        elif several not in tree:
            self.fields.refuse("", f"names no {elements.kind}", f"{one}: an id, or {several}: a list of ids")
        return found

    def vm(self, key: str) -> Names:
        return (self.book.vms.one(self.fields.get(key), self.fields, key),)

    def vm_groups(self, key: str) -> tuple[Names, ...]:
        return self.book.vms.groups(self.fields, key)

    def node_groups(self, key: str) -> tuple[Selection, ...]:
        return self.book.node_groups(self.fields, key)

    def resource(self) -> str:
        rc = self.fields.text("rc")
        if rc not in self.book.resources:
            self.fields.wrong("rc", rc, some(self.book.resources) or "the rcId of a shareableResource view")
        return self.book.resources[rc]

    def when(self, default: bool = True) -> bool:
        """Continuous?  Files older than the flag mean what our rule means without it."""
        return self.fields.flag("continuous") if "continuous" in self.fields.tree else default

    def preserve(self) -> rules.Preserve:
        vms, resource, amount = self.vms(), self.resource(), self.fields.amount("amount")
        for vm in vms:
            table = self.book.preserved.setdefault(vm, {})
            table[resource] = max(amount, table.get(resource, 0.0))
        return rules.Preserve(name=self.name, vms=vms, resource=resource, amount=amount)

    def ratio(self) -> float:
        ratio = self.fields.amount("ratio")
        if ratio == 0:
            self.fields.wrong("ratio", ratio, "a number above 0")
        return ratio

    def seconds(self) -> float:
        """A timestamp: ``+hh:mm:ss`` from now, or ``hh:mm:ss``, tomorrow's if that is past."""
        text = self.fields.text("timestamp")
        found = _TIMESTAMP.fullmatch(text)
        if found is None or (not found[1] and int(found[2]) > 23):
            self.fields.wrong("timestamp", text, "+hh:mm:ss from now, or a time of day hh:mm:ss")
        seconds = float(int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4]))
        if found[1]:
            return seconds
        now = self.book.now
        left = (seconds - (now.hour * 3600 + now.minute * 60 + now.second)) % _DAY or float(_DAY)
        self.book.warnings.append(f"{self.fields.where}: {self.name}: {text} is taken as {left:,.0f} s from now ({now:%H:%M:%S})")
        return left


_Read = Callable[[_Constraint], AnyRule]
CONSTRAINTS: Mapping[str, _Read] = {
    "running": lambda c: rules.Running(name=c.name, vms=c.vms()),
    "sleeping": lambda c: rules.Sleeping(name=c.name, vms=c.vms()),
    "ready": lambda c: rules.Ready(name=c.name, vms=c.vms()),
    "killed": lambda c: rules.Killed(name=c.name, vms=c.vms()),
    "online": lambda c: rules.Online(name=c.name, nodes=c.nodes()),
    "offline": lambda c: rules.Offline(name=c.name, nodes=c.nodes()),
    "fence": lambda c: rules.Fence(name=c.name, vms=c.vms(), nodes=c.nodes(), continuous=c.when()),
    "ban": lambda c: rules.Ban(name=c.name, vms=c.vms(), nodes=c.nodes(), continuous=c.when()),
    "root": lambda c: rules.Root(name=c.name, vms=c.vms()),
    "spread": lambda c: rules.Spread(name=c.name, vms=c.vms(), continuous=c.when()),
    "gather": lambda c: rules.Gather(name=c.name, vms=c.vms(), continuous=c.when(False)),
    "lonely": lambda c: rules.Lonely(name=c.name, vms=c.vms(), continuous=c.when()),
    "split": lambda c: rules.Split(name=c.name, groups=c.vm_groups("parts"), continuous=c.when()),
    "among": lambda c: rules.Among(name=c.name, vms=c.vms(), groups=c.node_groups("parts"), continuous=c.when(False)),
    "splitAmong": lambda c: rules.SplitAmong(
        name=c.name, vm_groups=c.vm_groups("vParts"), groups=c.node_groups("pParts"), continuous=c.when(False)
    ),
    "quarantine": lambda c: rules.Quarantine(name=c.name, nodes=c.nodes()),
    "maxOnline": lambda c: rules.MaxOnline(name=c.name, nodes=c.nodes(), max=c.fields.count("amount"), continuous=c.when()),
    "runningCapacity": lambda c: rules.RunningCapacity(
        name=c.name, nodes=c.nodes(), max=c.fields.count("amount"), continuous=c.when(False)
    ),
    "resourceCapacity": lambda c: rules.ResourceCapacity(
        name=c.name, nodes=c.nodes(), resource=c.resource(), max=c.fields.amount("amount"), continuous=c.when(False)
    ),
    "preserve": lambda c: c.preserve(),
    "overbook": lambda c: rules.Overbook(name=c.name, nodes=c.nodes(), resource=c.resource(), ratio=c.ratio()),
    "noDelay": lambda c: rules.NoDelay(name=c.name, vms=c.vms()),
    "seq": lambda c: rules.Sequence(name=c.name, vms=c.vms()),
    "sequence": lambda c: rules.Sequence(name=c.name, vms=c.vms()),
    "precedence": lambda c: rules.Precedence(name=c.name, before=c.vm("vm1"), after=c.vm("vm2")),
    "serialize": lambda c: rules.Serialize(name=c.name, vms=c.vms()),
    "sync": lambda c: rules.Sync(name=c.name, vms=c.vms()),
    "deadline": lambda c: rules.Deadline(name=c.name, vms=c.vms(), seconds=c.seconds()),
}
"""Constraint id (its first letter in either case) -> reader."""

_KEYS = frozenset(
    ("id", "continuous", "vm", "vms", "node", "nodes", "parts", "vParts", "pParts", "amount", "rc", "ratio", "timestamp", "vm1", "vm2")
)
_NODE_GROUPS = {"among": "parts", "splitAmong": "pParts"}


def _plain(kind: str) -> str:
    """BtrPlace begins some ids with a capital."""
    return kind[:1].lower() + kind[1:]
