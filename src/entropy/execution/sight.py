"""What an observed cluster says about an action: that it happened, that it did not, or something else.  Pure.

look(action, cluster) -> Sight(verdict, text)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropy.model.cluster import VM, Cluster
from entropy.model.plan import Action

__all__ = ["Sight", "Verdict", "look"]

Verdict = Literal["done", "source", "elsewhere"]
"""The state that the action leads to; the state that it starts from; anything else."""


@dataclass(frozen=True, slots=True)
class Sight:
    """``text`` says what is seen: ``web-1 runs on n2``."""

    verdict: Verdict
    text: str


def look(action: Action, cluster: Cluster) -> Sight:
    """Compare ``cluster``, as observed, with the states before and after ``action``."""
    if action.vm is None:
        return _look_at_node(action, cluster)
    vm = cluster.vm_by_name.get(action.vm)
    text = _where(action.vm, vm)
    if vm is not None and _claimed_by_source(action, vm, cluster):
        return Sight("elsewhere", f"{text}, but {action.source} may hold it too ({cluster.node_by_name[str(action.source)].untouchable})")
    if _happened(action, vm, cluster):
        return Sight("done", text)
    return Sight("source" if _not_begun(action, vm) else "elsewhere", text)


def _claimed_by_source(action: Action, vm: VM, cluster: Cluster) -> bool:
    """Seen at its destination, and not settled there, while what its source holds is in doubt: as long as a migration lasts,
    both nodes name the VM, and an adapter that does not know where it was before may have picked the wrong one."""
    source = cluster.node_by_name.get(action.source or "")
    return action.source != vm.node == action.target and not vm.migratable and source is not None and bool(source.untouchable)


def _happened(action: Action, vm: VM | None, cluster: Cluster) -> bool:
    if action.type == "stop":
        if vm is not None:
            return vm.state == "ready"
        # Monitoring forgets a VM that does not run.  On a node that does not answer, that proves nothing.
        node = cluster.node_by_name.get(action.node or "")
        return node is not None and node.state == "online" and not node.untouchable
    if vm is None:
        return False
    if action.type == "suspend":
        return vm.state == "sleeping" and vm.node == action.node
    return vm.state == "running" and vm.node == action.enters


def _not_begun(action: Action, vm: VM | None) -> bool:
    match action.type:
        case "run":
            return vm is None or vm.state == "ready"
        case "resume":
            return vm is not None and vm.state == "sleeping" and vm.node == action.source
        case "stop":
            return vm is not None and vm.state != "ready" and vm.node == action.node
        case _:
            return vm is not None and vm.state == "running" and vm.node == action.leaves


def _look_at_node(action: Action, cluster: Cluster) -> Sight:
    node = cluster.node_by_name.get(action.node or "")
    if node is None:
        return Sight("elsewhere", f"{action.node} is not seen")
    wanted = "online" if action.type == "startup" else "offline"
    return Sight("done" if node.state == wanted else "source", f"{node.name} is {node.state}")


def _where(name: str, vm: VM | None) -> str:
    if vm is None:
        return f"{name} is not seen"
    if vm.state == "ready":
        return f"{name} is ready, on no node"
    return f"{name} {'runs' if vm.state == 'running' else 'sleeps'} on {vm.node}"
