"""BtrPlace's JSON instances (``btrplace``): model, views and attributes become a Cluster, constraints and objective a Policy.

What a ``shareableResource`` view says a VM uses is its demand and its consumption; where a ``preserve`` constraint asks another
amount, that is the demand.  The rcId ``mem`` is our ``memory``, every other one keeps its name (``cpu``, ``memory``, ``uCpu``);
amounts are copied unchanged, in whatever unit the file has them.  What has no name in an ``ns`` view is called ``vm#3``, ``node#3``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from entropy.formats.btrplace_rules import CONSTRAINTS, Elements, Rulebook
from entropy.formats.btrplace_views import Attributes, Resource, element_id, network_labels, resource_of
from entropy.formats.fields import Fields
from entropy.model.cluster import VM, Cluster, Node, VMState
from entropy.model.errors import InputError
from entropy.model.policy import Objective, Policy
from entropy.model.values import A_NAME, is_name
from entropy.model.words import some

__all__ = ["CONSTRAINTS", "looks_like", "parse"]

_OBJECTIVES: Mapping[str, tuple[Objective, str]] = {
    "minimizeMTTR": ("repair", ""),
    "minimizeMigrations": ("repair", "the least moved memory, then the shortest plan"),
    "minimizeMTTRMigrationScheduling": ("repair", "the least moved memory, then the shortest plan; the network is not modelled"),
}


def looks_like(raw: bytes) -> bool:
    """Is this a BtrPlace instance or plan, whole or not?  Told by the keys that one has and no document of ours."""
    return raw.lstrip()[:1] == b"{" and b'"apiVersion"' not in raw and (b'"model"' in raw or b'"origin"' in raw)


def parse(raw: bytes, *, where: str = "-", now: datetime) -> tuple[Cluster, Policy, tuple[str, ...]]:
    """Cluster, rules, and one sentence for each kind of thing that is not taken over.

    ``now`` is the local time that deadlines at a time of day count from.  Raises ``InputError`` with file and place.
    """
    instance = _instance(raw, where)
    model = instance.object("model")
    mapping = _Mapping.read(model.object("mapping"))
    views = _Views.read(model, mapping)
    attributes = Attributes.read(model, views.nodes, views.vms)
    book = Rulebook(views.vms, views.nodes, {r.rc: r.name for r in views.resources}, now, frozenset(attributes.node_keys))
    rules = book.read(instance)
    cluster = Cluster(
        nodes=tuple(_nodes(mapping, views, attributes, book)),
        vms=tuple(_vms(mapping, views, attributes, book)),
    )
    objective, told = _objective(instance)
    unread = [f"{where}: {text}" for text in (*_unread(instance, model), *views.warnings, *attributes.warnings(), *told)]
    return cluster, Policy(objective=objective, constraints=rules), (*unread, *book.warnings)


def _instance(raw: bytes, where: str) -> Fields:
    try:
        tree = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        place = f"{where}:{problem.lineno}:{problem.colno}"
        raise InputError(f"is no JSON: {problem.msg}", where=place, accepted="a whole BtrPlace instance") from problem
    instance = Fields.of(tree, where)
    if "origin" in instance.tree and "model" not in instance.tree:
        instance.refuse("", "is a BtrPlace plan", "a BtrPlace instance: model, constraints, objective")
    return instance


def _objective(instance: Fields) -> tuple[Objective, tuple[str, ...]]:
    if "objective" not in instance.tree:
        return "repair", ()
    name = instance.object("objective").text("id")
    objective, meaning = _OBJECTIVES.get(name, ("repair", "its meaning is not known"))
    return objective, ((f"the objective {name} is planned as {objective}: {meaning}",) if meaning else ())


def _unread(instance: Fields, model: Fields) -> Iterator[str]:
    for fields, known in ((instance, ("model", "constraints", "objective")), (model, ("mapping", "attributes", "views"))):
        if unknown := [repr(key) for key in fields.tree if key not in known]:
            yield f"{some(unknown)} of {fields.path or 'the instance'} is not read"


# -- who is where -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mapping:
    """Node id -> is it online; VM id -> its state and its node's id.  In the order of the ids."""

    nodes: Mapping[int, bool]
    vms: Mapping[int, tuple[VMState, int | None]]

    @classmethod
    def read(cls, mapping: Fields) -> _Mapping:
        nodes: dict[int, bool] = {}
        vms: dict[int, tuple[VMState, int | None]] = {}
        online = mapping.object("onlineNodes")
        for key in online.tree:
            node = element_id(key, online)
            nodes[node] = True
            here = online.object(key)
            for kind, state in _HOSTED:
                _place(here, kind, state, node, vms)
        for k, node in enumerate(_list(mapping, "offlineNodes")):
            if type(node) is not int or node < 0 or node in nodes:
                mapping.wrong(f"offlineNodes[{k}]", node, "the id of a node, once")
            nodes[node] = False
        _place(mapping, "readyVMs", "ready", None, vms)
        return cls(dict(sorted(nodes.items())), dict(sorted(vms.items())))


_HOSTED: tuple[tuple[str, VMState], ...] = (("runningVMs", "running"), ("sleepingVMs", "sleeping"))


def _list(fields: Fields, key: str) -> list[Any]:
    return fields.list(key) if key in fields.tree else []


def _place(fields: Fields, key: str, state: VMState, node: int | None, vms: dict[int, tuple[VMState, int | None]]) -> None:
    for k, vm in enumerate(_list(fields, key)):
        if type(vm) is not int or vm < 0:
            fields.wrong(f"{key}[{k}]", vm, "the id of a VM, a whole number of at least 0")
        if vm in vms:
            other, host = vms[vm]
            fields.refuse(f"{key}[{k}]", f"VM {vm} is {other}{'' if host is None else f' on node {host}'} already", "one place a VM")
        vms[vm] = state, node


# -- views --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Views:
    """Names and resources; labels that a network view gives to nodes (id -> label -> value)."""

    vms: Elements
    nodes: Elements
    resources: tuple[Resource, ...]
    network: Mapping[int, Mapping[str, str]]
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, model: Fields, mapping: _Mapping) -> _Views:
        found: dict[str, list[Fields]] = {}
        for view in model.objects("views") if "views" in model.tree else ():
            found.setdefault(view.text("id"), []).append(view)
        warnings: list[str] = []
        names: dict[str, dict[int, str]] = {"vm": {}, "node": {}}
        for view in found.pop("ns", ()):
            _read_names(view, names, {"vm": mapping.vms, "node": mapping.nodes}, warnings)
        vms = Elements("VM", _complete(names["vm"], mapping.vms, "vm", model))
        nodes = Elements("node", _complete(names["node"], mapping.nodes, "node", model))
        shareable = found.pop("shareableResource", [])
        taken = {view.text("rcId") for view in shareable}
        resources: dict[str, Resource] = {}
        for view in shareable:
            resource = resource_of(view, taken, nodes, vms, warnings)
            if resources.setdefault(resource.rc, resource) is not resource:
                view.refuse("rcId", f"{resource.rc!r} stands in two views", "one view a resource")
        network: dict[int, dict[str, str]] = {}
        for view in found.pop("net", ()):
            warnings.append(network_labels(view, nodes, network))
        warnings += [f"the view {name!r} is no known one and is not read" for name in found]
        return cls(vms, nodes, tuple(resources.values()), network, warnings)


def _read_names(view: Fields, names: dict[str, dict[int, str]], known: Mapping[str, Mapping[int, object]], warnings: list[str]) -> None:
    kind = view.text("type")
    if kind not in names:
        view.wrong("type", kind, "vm, node")
    table, elsewhere = names[kind], []
    entries = view.object("map")
    for name, value in entries.tree.items():
        if type(value) is not int or value < 0:
            entries.wrong(name, value, "an id")
        if not is_name(name):
            entries.refuse(repr(name)[:80], f"is no name of a {kind}", A_NAME)
        if value not in known[kind]:
            elsewhere.append(name)
        elif table.setdefault(value, name) != name:
            entries.refuse(name, f"{kind} {value} is called {table[value]} already", "one name an element")
    if elsewhere:
        warnings.append(f"names of {kind}s that the mapping does not hold are left out: {some(elsewhere)}")


def _complete(names: Mapping[int, str], ids: Iterable[int], kind: str, model: Fields) -> Mapping[int, str]:
    full = {k: names.get(k) or f"{kind}#{k}" for k in ids}
    if len(set(full.values())) < len(full):
        first: dict[str, int] = {}
        k = next(k for k, name in full.items() if first.setdefault(name, k) != k)
        model.refuse("views", f"{kind}s {first[full[k]]} and {k} are both called {full[k]}", "a name of its own")
    return full


# -- the cluster --------------------------------------------------------------------------------------------------


def _nodes(mapping: _Mapping, views: _Views, attributes: Attributes, book: Rulebook) -> Iterator[Node]:
    tables = [(r.name, r.capacity, r.default_capacity) for r in views.resources]
    for k, online in mapping.nodes.items():
        name = views.nodes.names[k]
        yield Node(
            name=name,
            state="online" if online else "offline",
            capacity={resource: table.get(k, default) for resource, table, default in tables},
            labels={**views.network.get(k, {}), **attributes.node_labels.get(k, {}), **book.labels.get(name, {})},
        )


def _vms(mapping: _Mapping, views: _Views, attributes: Attributes, book: Rulebook) -> Iterator[VM]:
    tables = [(r.name, r.consumption, r.default_consumption) for r in views.resources]
    for k, (state, host) in mapping.vms.items():
        name = views.vms.names[k]
        used = {resource: table.get(k, default) for resource, table, default in tables}
        wanted = book.preserved.get(name, {})
        yield VM(
            name=name,
            state=state,
            node=None if host is None else views.nodes.names[host],
            demand=used | wanted if wanted else used,
            consumption={resource: used[resource] for resource, amount in wanted.items() if used[resource] != amount},
            labels=attributes.vm_labels.get(k, {}),
            migration=attributes.profiles.get(k),
        )
