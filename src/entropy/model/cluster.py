"""The cluster at one instant: nodes, VMs, and where each VM is (Entropy calls it a configuration)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from entropy.model.values import DOCUMENT, Amount, Amounts, Flag, Instant, InvalidValueError, Labels, Name, Positive, Seconds
from entropy.model.words import some

__all__ = ["VM", "Cluster", "MigrationProfile", "Node", "NodeState", "Power", "VMState"]

NodeState = Literal["online", "offline"]
VMState = Literal["running", "sleeping", "ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a node draws: ``idle`` and ``max`` watts."""

    __pydantic_config__ = DOCUMENT

    idle: Amount
    max: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationProfile:
    """What is known of a VM's memory while it migrates: MiB in use, MiB and seconds of the hot set, MiB/s of the rest."""

    __pydantic_config__ = DOCUMENT

    memory_used: Annotated[Amount | None, Field(alias="memoryUsed")] = None
    hot_dirty_size: Annotated[Amount | None, Field(alias="hotDirtySize")] = None
    hot_dirty_duration: Annotated[Seconds | None, Field(alias="hotDirtyDuration")] = None
    cold_dirty_rate: Annotated[Amount | None, Field(alias="coldDirtyRate")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A physical host.

    ``capacity`` is what it offers (a resource it does not state it does not offer); ``overcommit`` multiplies it.
    ``untouchable`` is empty, or says why nothing may enter, leave or be switched on this node for now (what it runs is
    not fully known, say).
    """

    __pydantic_config__ = DOCUMENT

    name: Name
    state: NodeState = "online"
    maintenance: Flag = False
    capacity: Amounts
    overcommit: Mapping[Name, Positive] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    power: Power | None = None
    untouchable: Annotated[str, Field(max_length=1024)] = ""

    def limit(self, resource: str) -> float:
        """How much of ``resource`` may be given: capacity x overcommit, 0 if the node states none."""
        return self.capacity.get(resource, 0.0) * self.overcommit.get(resource, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VM:
    """A virtual machine: ``running`` on ``node``, ``sleeping`` with its image on ``node``, or ``ready`` (no node).

    ``demand`` is what the plan must give it; ``consumption`` what it uses now where it runs, resource by resource
    the demand when not stated.
    """

    __pydantic_config__ = DOCUMENT

    name: Name
    state: VMState = "running"
    node: Name | None = None
    demand: Amounts
    consumption: Amounts = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    migratable: Flag = True
    migration: MigrationProfile | None = None

    def used(self, resource: str) -> float:
        """Consumption of ``resource`` on the node where the VM was observed."""
        found = self.consumption.get(resource)
        return self.demand.get(resource, 0.0) if found is None else found


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """All nodes and VMs at one instant.  Names are unique per kind; raises ``InvalidValueError`` otherwise."""

    __pydantic_config__ = DOCUMENT

    name: Annotated[str, Field(max_length=255)] = ""
    observed_at: Annotated[Instant | None, Field(alias="observedAt")] = None
    nodes: tuple[Node, ...]
    vms: tuple[VM, ...]

    def __post_init__(self) -> None:
        if len(self.node_by_name) < len(self.nodes):
            raise _named_twice("nodes", self.nodes)
        if len(self.vm_by_name) < len(self.vms):
            raise _named_twice("vms", self.vms)
        online = {node.name for node in self.nodes if node.state == "online"}
        may_be_on: Mapping[VMState, Container[str | None]] = {"running": online, "sleeping": self.node_by_name, "ready": (None,)}
        for k, vm in enumerate(self.vms):
            if vm.node not in may_be_on[vm.state]:
                raise self._misplaced(k, vm)

    def _misplaced(self, k: int, vm: VM) -> InvalidValueError:
        """Why the VM cannot be where it is said to be."""
        path = ("vms", k, "node")
        if vm.state == "ready":
            return InvalidValueError(f"VM {vm.name} is ready, so it is on no node", path, vm.node, "no node")
        if vm.node is None:
            return InvalidValueError(f"VM {vm.name} is {vm.state} but names no node", path, None, "a node's name")
        if vm.node not in self.node_by_name:
            what = f"VM {vm.name} is on {vm.node}, which is no node of this cluster"
            return InvalidValueError(what, path, vm.node, some(self.node_by_name))
        return InvalidValueError(f"VM {vm.name} runs on {vm.node}, which is offline", path, vm.node, "an online node")

    @cached_property
    def node_by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def vm_by_name(self) -> Mapping[str, VM]:
        """VMs by name."""
        return {vm.name: vm for vm in self.vms}

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """Every resource that a node offers or a VM demands, cpu and memory first, then in alphabetical order."""
        named: set[str] = set()
        for tables in ((n.capacity for n in self.nodes), (v.demand for v in self.vms), (v.consumption for v in self.vms)):
            named = named.union(*tables)
        return tuple(sorted(named, key=lambda r: ({"cpu": 0, "memory": 1}.get(r, 2), r)))

    @cached_property
    def running_on(self) -> Mapping[str, tuple[VM, ...]]:
        """Node name -> the VMs that run there, in document order; only nodes that run some."""
        found: dict[str, list[VM]] = {}
        for vm in self.vms:
            if vm.state == "running" and vm.node is not None:
                found.setdefault(vm.node, []).append(vm)
        return {node: tuple(vms) for node, vms in found.items()}


def _named_twice(kind: str, items: Sequence[Node | VM]) -> InvalidValueError:
    first: dict[str, int] = {}
    k = next(k for k, item in enumerate(items) if first.setdefault(item.name, k) != k)
    name = items[k].name
    what = f"the name {name} stands twice ({kind}[{first[name]}] and {kind}[{k}])"
    return InvalidValueError(what, (kind, k, "name"), name, "a name of its own")
