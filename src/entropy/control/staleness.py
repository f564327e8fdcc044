"""Does a plan still fit the cluster?  Only what the plan touches matters: anything else may have changed."""

from __future__ import annotations

from entropy.model.cluster import Cluster
from entropy.model.plan import Action, Plan

__all__ = ["changes"]

_STATE = {
    "migrate": ("running",),
    "suspend": ("running",),
    "stop": ("running", "sleeping"),
    "run": ("ready",),
    "resume": ("sleeping",),
}


def changes(plan: Plan, cluster: Cluster) -> tuple[str, ...]:
    """One sentence for each VM or node that is no longer as the plan's first action on it expects; empty if all are."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    powered = {a.node for a in plan.actions if a.type in ("startup", "shutdown")}
    for key in plan.topological:
        action = plan.by_id[key]
        for name in action.nodes:
            if (text := _node(cluster, name, action, name in powered)) and name not in seen:
                found[text] = None
            if action.type in ("startup", "shutdown"):
                seen.add(name)
        if action.vm is not None and action.vm not in seen:
            seen.add(action.vm)
            if text := _vm(cluster, action):
                found[text] = None
    return tuple(found)


def _vm(cluster: Cluster, action: Action) -> str:
    assert action.vm is not None
    vm = cluster.vm_by_name.get(action.vm)
    if vm is None:
        return f"{action.id} ({action.describe()}): there is no VM {action.vm} any more"
    expected = action.source or (action.node if action.type != "run" else None)
    if vm.state not in _STATE[action.type] or vm.node != expected:
        return f"{action.id} ({action.describe()}): {vm.name} is {vm.state}{f' on {vm.node}' if vm.node else ''} now"
    return ""


def _node(cluster: Cluster, name: str, action: Action, powered: bool) -> str:
    node = cluster.node_by_name.get(name)
    if node is None:
        return f"{action.id} ({action.describe()}): there is no node {name} any more"
    if node.untouchable:
        return f"{action.id} ({action.describe()}): {name} must not be touched now: {node.untouchable}"
    wanted = "offline" if action.type == "startup" else "online"
    if (action.type in ("startup", "shutdown") or not powered) and node.state != wanted:
        return f"{action.id} ({action.describe()}): {name} is {node.state} now"
    if node.maintenance and action.enters == name:
        return f"{action.id} ({action.describe()}): {name} is in maintenance now"
    return ""
