"""BtrPlace's constraints as the statements of ``entropy.model.rules``: one line a constraint, one explicit table.

Each constraint becomes exactly one rule, in order, so a rule's place in the Policy is the constraint's place in the file; its
name says so too (``spread #12``).  ``continuous`` is kept where a rule has it; the others hold at the end only, or always, by
nature, as in BtrPlace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from entropy.formats.fields import Fields
from entropy.model import rules
from entropy.model.rules import AnyRule
from entropy.model.values import Names, Selection
from entropy.model.words import some

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
            if set(map(type, ids)) <= {int}:  # true would find 1
                return tuple([self.names[k] for k in ids])
        except KeyError:
            pass
        return tuple([self.one(k, fields, f"{key}[{j}]") for j, k in enumerate(ids)])

    def groups(self, fields: Fields, key: str) -> tuple[Names, ...]:
        """The groups listed at ``key``."""
        return tuple(self.group(ids, fields, f"{key}[{j}]") for j, ids in enumerate(fields.list(key)))


@dataclass
class Rulebook:
    """Reads the constraints of one file.

    ``resources``: rcId -> our name of the resource.  ``now``: the local time that a deadline at a time of day counts from.
    Filled while reading: ``preserved`` (VM name -> resource -> amount), ``labels`` of nodes (name -> label -> value): a set of
    nodes that several constraints name becomes a label, so that a rule names twenty groups and not five thousand nodes;
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
    _shared: dict[bytes, Selection | None] = field(default_factory=dict, repr=False)
    _selectors: dict[frozenset[str], str] = field(default_factory=dict, repr=False)
    _families: dict[str, int] = field(default_factory=dict, repr=False)
    _unread: dict[str, int] = field(default_factory=dict, repr=False)

    def read(self, instance: Fields) -> tuple[AnyRule, ...]:
        """The rules of all constraints.  Raises ``InputError`` with the constraint's place."""
        if "constraints" not in instance.tree:
            return ()
        found = list(instance.objects("constraints"))
        self._find_shared_sets(found)
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

    # -- sets of nodes that several constraints name -------------------------------------------------------------------

    def _find_shared_sets(self, constraints: Sequence[Fields]) -> None:
        times: dict[bytes, int] = {}
        for fields in constraints:
            for ids in _sets_of_nodes(fields.tree):
                raw = orjson.dumps(ids)
                times[raw] = times.get(raw, 0) + 1
        self._shared = {raw: None for raw, count in times.items() if count > 1}

    def node_set(self, ids: Any, fields: Fields, key: str) -> Selection:
        """The nodes whose ids stand at ``key``: a selector where other constraints have the same, else their names."""
        if not _is_large(ids) or (raw := orjson.dumps(ids)) not in self._shared:
            return self.nodes.group(ids, fields, key)
        known = self._shared[raw]
        if known is None:
            known = self._shared[raw] = self._labelled(self.nodes.group(ids, fields, key))
        return known

    def _labelled(self, names: Names) -> Selection:
        members = frozenset(names)
        if len(members) == len(self.nodes.names) and "*" not in members:
            return "*"
        if (known := self._selectors.get(members)) is not None:
            return known
        for label in self._families:
            if all(label not in self.labels.get(node, {}) for node in members):
                break
        else:
            if len(self._families) == _MOST_LABELS:
                return names
            label = next(name for k in range(1, 99) if (name := f"set-{k}") not in self.taken_labels and name not in self._families)
            self._families[label] = 0
        self._families[label] += 1
        value = str(self._families[label])
        for node in members:
            self.labels.setdefault(node, {})[label] = value
        selector = self._selectors[members] = f"{label}={value}"
        return selector


@dataclass(frozen=True, slots=True)
class _Constraint:
    """One constraint being read; each method is one field of it, as the statements want it."""

    fields: Fields
    book: Rulebook
    name: str

    def vms(self) -> Names:
        tree = self.fields.tree
        found = self.book.vms.several(self.fields, "vms") if "vms" in tree else ()
        if "vm" in tree:
            found = (*found, self.book.vms.one(tree["vm"], self.fields, "vm"))
        elif "vms" not in tree:
            self.fields.refuse("", "names no VM", "vm: an id, or vms: a list of ids")
        return found

    def nodes(self) -> Selection:
        tree = self.fields.tree
        if "nodes" in tree:
            return self.book.node_set(tree["nodes"], self.fields, "nodes")
        if "node" not in tree:
            self.fields.refuse("", "names no node", "node: an id, or nodes: a list of ids")
        return (self.book.nodes.one(tree["node"], self.fields, "node"),)

    def vm(self, key: str) -> Names:
        return (self.book.vms.one(self.fields.get(key), self.fields, key),)

    def vm_groups(self, key: str) -> tuple[Names, ...]:
        return self.book.vms.groups(self.fields, key)

    def node_groups(self, key: str) -> tuple[Selection, ...]:
        return tuple(self.book.node_set(ids, self.fields, f"{key}[{k}]") for k, ids in enumerate(self.fields.list(key)))

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
_LARGE = 8
"""Nodes that a set has before it is worth a label."""
_MOST_LABELS = 16


def _is_large(ids: Any) -> bool:
    return type(ids) is list and len(ids) >= _LARGE


def _sets_of_nodes(tree: Mapping[str, Any]) -> Iterator[Any]:
    """The large sets of nodes of one constraint, whatever its id."""
    if _is_large(ids := tree.get("nodes")):
        yield ids
    groups = tree.get(_NODE_GROUPS.get(_plain(str(tree.get("id"))), ""))
    if type(groups) is list:
        yield from (ids for ids in groups if _is_large(ids))


def _plain(kind: str) -> str:
    """BtrPlace begins some ids with a capital."""
    return kind[:1].lower() + kind[1:]
