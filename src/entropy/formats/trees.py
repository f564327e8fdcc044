"""Documents as plain data: defaults left out, whole numbers as integers, what a reader looks for first standing first.

VMs and actions, which come by the million, are spelt out; the rest is pydantic's to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from entropy.model.cluster import VM, Cluster
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy

__all__ = ["adapter", "tree_of", "trees_of_vms"]


_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def adapter(cls: type[Any]) -> TypeAdapter[Any]:
    """What reads and writes ``cls``; built on first use, which takes some milliseconds a class."""
    if cls.__name__ not in _ADAPTERS:
        _ADAPTERS[cls.__name__] = TypeAdapter(cls)
    return _ADAPTERS[cls.__name__]


def tree_of(document: Cluster | Policy | Plan, *, but: Sequence[str] = ()) -> dict[str, Any]:
    """The document without apiVersion and kind; the fields named in ``but`` are left out."""
    apart = {"vms", "actions", *but}
    body: dict[str, Any] = adapter(type(document)).dump_python(document, by_alias=True, exclude_defaults=True, mode="json", exclude=apart)
    _whole(body)
    if isinstance(document, Cluster):
        body["nodes"] = [{"name": node.name, "state": node.state} | tree for node, tree in zip(document.nodes, body["nodes"], strict=True)]
        return body if "vms" in but else body | {"vms": trees_of_vms(document.vms)}
    if isinstance(document, Policy):
        if document.constraints:
            pairs = zip(document.constraints, body["constraints"], strict=True)
            body["constraints"] = [{"type": rule.type} | tree for rule, tree in pairs]
        return body
    head = {"cluster": document.cluster} if document.cluster else {}
    return head | {"status": document.status, "actions": [_action(action) for action in document.actions]} | body


def trees_of_vms(vms: Iterable[VM]) -> list[dict[str, Any]]:
    """The VMs of a Cluster document."""
    return [_vm(vm) for vm in vms]


def _vm(vm: VM) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": vm.name, "state": vm.state}
    if vm.node is not None:
        tree["node"] = vm.node
    tree["demand"] = _amounts(vm.demand)
    if vm.consumption:
        tree["consumption"] = _amounts(vm.consumption)
    if vm.labels:
        tree["labels"] = dict(vm.labels)
    if not vm.migratable:
        tree["migratable"] = False
    if vm.migration is not None:
        profile = adapter(type(vm.migration)).dump_python(vm.migration, by_alias=True, exclude_defaults=True)
        tree["migration"] = _amounts(profile)
    return tree


def _action(action: Action) -> dict[str, Any]:
    tree: dict[str, Any] = {"id": action.id, "type": action.type}
    if action.vm is not None:
        tree["vm"] = action.vm
    if action.node is not None:
        tree["node"] = action.node
    else:
        tree["from"], tree["to"] = action.source, action.target
    tree["start"], tree["end"], tree["after"] = _seconds(action.start), _seconds(action.end), list(action.after)
    return tree


def _seconds(value: float) -> float | int:
    value = round(float(value), 3)
    return int(value) if value.is_integer() else value


def _amounts(table: Mapping[str, float]) -> dict[str, float]:
    return {key: int(amount) if amount % 1 == 0 else float(amount) for key, amount in table.items()}


def _whole(value: Any) -> None:
    """Turn floats that are whole into integers, in place."""
    places: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in places:
        kind = type(item)
        if kind is float:
            if item.is_integer():
                value[key] = int(item)
        elif kind is dict or kind is list:
            _whole(item)
