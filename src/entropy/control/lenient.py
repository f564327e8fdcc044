"""A policy as it fits the cluster: a rule that names a VM or node that no longer exists covers those that do.

Only the control loop is lenient in this; everywhere else such a name is an error.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.model.selectors import Selector
from entropy.model.values import Selection

__all__ = ["lenient"]

_VMS = ("vms", "before", "after")
_VM_GROUPS = {"split": ("groups",), "splitAmong": ("vm_groups",)}


def lenient(policy: Policy, cluster: Cluster) -> tuple[Policy, tuple[str, ...]]:
    """``policy`` without the names and globs that match nothing in ``cluster``, and a warning for each."""
    selector = Selector(cluster, lenient=True)
    lost: list[str] = []
    rules: list[Any] = []
    for k, rule in enumerate(policy.constraints):
        where = f'rule "{rule.name}"' if rule.name else f"constraints[{k}] ({rule.type})"
        changes: dict[str, Any] = {}
        for field in fields(rule):
            value = getattr(rule, field.name)
            if field.name in _VMS:
                changes[field.name] = _known(selector, value, "VM", where, lost)
            elif field.name == "nodes":
                changes[field.name] = _known(selector, value, "node", where, lost)
            elif field.name in ("groups", "vm_groups"):
                kind = "VM" if field.name in _VM_GROUPS.get(rule.type, ()) else "node"
                changes[field.name] = tuple(_known(selector, group, kind, where, lost) for group in value)
        changed = {name: value for name, value in changes.items() if value != getattr(rule, name)}
        rules.append(replace(rule, **changed) if changed else rule)
    return (replace(policy, constraints=tuple(rules)), tuple(lost)) if lost else (policy, ())


def _known(selector: Selector, selection: Selection, kind: str, where: str, lost: list[str]) -> Selection:
    parts = (selection,) if isinstance(selection, str) else selection
    kept = tuple(part for part in parts if _matches(selector, part, kind))
    gone = [part for part in parts if part not in kept]
    if not gone:
        return selection
    lost.append(f"{where}: there is no {kind} {', '.join(gone)}; the rule covers those that exist")
    return kept


def _matches(selector: Selector, part: str, kind: str) -> bool:
    if part == "*" or "=" in part:  # a label that nobody bears is a warning everywhere, never an error
        return True
    return bool(selector.vms(part) if kind == "VM" else selector.nodes(part))
