"""Everything that one judgement is about: the documents, the hard rules resolved against the cluster, the replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from entropy.model.cluster import VM, Cluster, VMState
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Killed, MaxOnline, Offline, Online, Overbook, Preserve, Ready, Running, Sleeping
from entropy.model.selectors import Selector
from entropy.model.values import Selection
from entropy.verification.order import Order
from entropy.verification.replay import Replay
from entropy.verification.rules.zones import zones_across

__all__ = ["Case", "StateRule", "title"]

T = TypeVar("T")
StateRule = Running | Sleeping | Ready | Killed
_GOAL: Mapping[str, VMState] = {"running": "running", "sleeping": "sleeping", "ready": "ready", "killed": "ready"}


@dataclass(frozen=True)
class Case:
    """``lenient``: names in rules that nothing bears are passed over (see ``Selector``)."""

    cluster: Cluster
    plan: Plan
    policy: Policy
    target: Cluster | None
    order: Order
    replay: Replay
    lenient: bool = False
    _found: dict[tuple[str, Selection], tuple[str, ...]] = field(default_factory=dict, compare=False)
    _made: dict[object, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def _selector(self) -> Selector:
        return Selector(self.cluster, lenient=self.lenient)

    @cached_property
    def rules(self) -> tuple[tuple[str, AnyRule], ...]:
        """The hard rules with the names that messages give them."""
        return tuple((title(rule), rule) for rule in self.policy.constraints if not rule.soft)

    def vms(self, selection: Selection) -> tuple[str, ...]:
        """Names of the selected VMs.  Raises ``InputError`` like ``Selector``."""
        key = ("vm", selection)
        if key not in self._found:
            self._found[key] = tuple(vm.name for vm in self._selector.vms(selection, "constraints"))
        return self._found[key]

    def nodes(self, selection: Selection) -> tuple[str, ...]:
        """Names of the selected nodes.  Raises ``InputError`` like ``Selector``."""
        key = ("node", selection)
        if key not in self._found:
            self._found[key] = tuple(node.name for node in self._selector.nodes(selection, "constraints"))
        return self._found[key]

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What many rules need: ``make()``, called for the first of them."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def node_set(self, selection: Selection) -> frozenset[str]:
        """The names of the selected nodes as a set."""
        return self.once(("nodes", selection), lambda: frozenset(self.nodes(selection)))

    def zone_of(self, across: str) -> Callable[[str], str]:
        """Node name -> its zone."""
        return self.once(("zones", across), lambda: zones_across(self.cluster, across))

    # -- amounts ------------------------------------------------------------------------------------------------------

    @cached_property
    def _raised(self) -> Mapping[str, Mapping[str, float]]:
        """The demands that ``preserve`` changes."""
        found: dict[str, Mapping[str, float]] = {}
        for _, rule in self.rules:
            if isinstance(rule, Preserve):
                for name in self.vms(rule.vms):
                    demand = found.get(name, self.cluster.vm_by_name[name].demand)
                    found[name] = {**demand, rule.resource: max(demand.get(rule.resource, 0.0), rule.amount)}
        return found

    def demand_of(self, vm: VM) -> Mapping[str, float]:
        """What the VM must be given, ``preserve`` applied."""
        return self._raised.get(vm.name, vm.demand) if self._raised else vm.demand

    def demand(self, vm: str, resource: str) -> float:
        """What the VM must be given of ``resource``, ``preserve`` applied."""
        return self.demand_of(self.cluster.vm_by_name[vm]).get(resource, 0.0)

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """Every resource that counts, those that only ``preserve`` names included."""
        more = {r.resource for _, r in self.rules if isinstance(r, Preserve)} - set(self.cluster.resources)
        return (*self.cluster.resources, *sorted(more))

    @cached_property
    def _overbooked(self) -> Mapping[tuple[str, str], float]:
        return {
            (node, rule.resource): rule.ratio for _, rule in self.rules if isinstance(rule, Overbook) for node in self.nodes(rule.nodes)
        }

    def limit(self, node: str, resource: str) -> float:
        """How much of ``resource`` may be given on ``node``, ``overbook`` applied."""
        host = self.cluster.node_by_name[node]
        ratio = self._overbooked.get((node, resource))
        return host.limit(resource) if ratio is None else host.capacity.get(resource, 0.0) * ratio

    # -- what is asked ------------------------------------------------------------------------------------------------

    @cached_property
    def asked_states(self) -> Mapping[str, tuple[tuple[str, VMState], ...]]:
        """VM -> what rules ask of its state, with their titles."""
        found: dict[str, tuple[tuple[str, VMState], ...]] = {}
        for name, rule in self.rules:
            if isinstance(rule, StateRule):
                for vm in self.vms(rule.vms):
                    found[vm] = (*found.get(vm, ()), (name, _GOAL[rule.type]))
        return found

    def wanted(self, vm: str) -> VMState:
        """The state in which the VM should end: the target's, else what a rule asks last, else the observed one."""
        if self.target is not None:
            goal = self.target.vm_by_name.get(vm)
            return "ready" if goal is None else goal.state
        asked = self.asked_states.get(vm)
        return asked[-1][1] if asked else self.cluster.vm_by_name[vm].state

    @cached_property
    def switchable(self) -> frozenset[str]:
        """The nodes of which a rule or the target asks a state: only these may be started or shut down."""
        found: set[str] = set()
        for _, rule in self.rules:
            if isinstance(rule, Online | Offline | MaxOnline):
                found.update(self.nodes(rule.nodes))
        if self.target is not None:
            found.update(node.name for node in self.target.nodes)
        return frozenset(found)

    @cached_property
    def final_node_state(self) -> Mapping[str, str]:
        """``online`` or ``offline``, once every action has ended."""
        found: dict[str, str] = {node.name: node.state for node in self.cluster.nodes}
        for node, switches in self.replay.switches.items():
            found[node] = "online" if switches[-1].type == "startup" else "offline"
        return found


def title(rule: AnyRule) -> str:
    """What messages call a rule: its name, else its type and whom it is about."""
    if rule.name:
        return rule.name
    about = next((getattr(rule, key) for key in ("vms", "nodes", "vm_groups", "groups", "before") if hasattr(rule, key)), "")
    return f"{rule.type} {_short(about)}".strip()


def _short(selection: Selection | tuple[Selection, ...], most: int = 4) -> str:
    if isinstance(selection, str):
        return selection
    parts = [part if isinstance(part, str) else _short(part) for part in selection]
    return f"[{', '.join(parts[:most])}{', ...' if len(parts) > most else ''}]"
