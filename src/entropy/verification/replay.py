"""Each VM's own story, told by the actions in the order that ``after`` gives them: spells of running on nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from entropy.model.cluster import VM, Cluster, VMState
from entropy.model.plan import Action, Plan
from entropy.verification.order import Order
from entropy.verification.violation import Violation

__all__ = ["Replay", "Spell", "Told", "replay"]


class Spell(NamedTuple):
    """A VM runs on a node, from the start of ``came`` to the end of ``left``.

    ``came`` is ``None`` where the VM was observed, ``left`` is ``None`` where it stays; else ids of actions.
    """

    vm: str
    node: str
    came: str | None
    left: str | None

    def may_meet(self, other: Spell, order: Order) -> bool:
        """Is there an instant, in some order of events, that belongs to both spells?

        Spells that may meet in pairs may all meet at one instant: just the starts of all, with what these force, ends none.
        """
        return not (_parted(self, other, order) or _parted(other, self, order))


def _parted(first: Spell, second: Spell, order: Order) -> bool:
    return first.left is not None and second.came is not None and order.before(first.left, second.came)


class Told(NamedTuple):
    """A VM that has actions: its spells, and how and where it ends."""

    vm: VM
    spells: Sequence[Spell]
    state: VMState
    node: str | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What the plan does: actions by VM and by node switched; of the VMs that have actions, spells and end.

    Of all others, which in a large cluster are most, nothing is kept: they are where they were observed.
    """

    cluster: Cluster
    story: Mapping[str, Sequence[Action]]
    switches: Mapping[str, Sequence[Action]]
    told: Mapping[str, Told]
    moved_on: Mapping[str, Sequence[tuple[VM, Spell]]]
    _on: dict[str, Sequence[Spell]] = field(default_factory=dict, compare=False)

    def spells(self, vm: str) -> Sequence[Spell]:
        """Where and when the VM runs, in the order of its story."""
        if (told := self.told.get(vm)) is not None:
            return told.spells
        observed = self.cluster.vm_by_name[vm]
        return (Spell(vm, observed.node, None, None),) if observed.state == "running" and observed.node is not None else ()

    def final(self, vm: str) -> tuple[VMState, str | None]:
        """The VM's state at the end, and the node where it runs or its image lies."""
        if (told := self.told.get(vm)) is not None:
            return told.state, told.node
        observed = self.cluster.vm_by_name[vm]
        return observed.state, observed.node

    def staying(self, node: str) -> Sequence[VM]:
        """The VMs that run on the node and have no actions."""
        there = self.cluster.running_on.get(node, ())
        leaving = sum([spell.came is None for _, spell in self.moved_on.get(node, ())])
        if leaving in (0, len(there)):  # nearly every node keeps all that it has, or none
            return there if not leaving else ()
        return [vm for vm in there if vm.name not in self.told]

    def spells_on(self, node: str) -> Sequence[Spell]:
        """Of all VMs that are ever there: those that stay first."""
        if node not in self._on:
            staying = [Spell(vm.name, node, None, None) for vm in self.staying(node)]
            self._on[node] = staying + [spell for _, spell in self.moved_on.get(node, ())]
        return self._on[node]


def replay(cluster: Cluster, plan: Plan, order: Order) -> tuple[Replay, tuple[Violation, ...]]:
    """The replay; with violations it is incomplete, and nothing should be concluded from it."""
    faults = list(_unknown(cluster, plan))
    story: dict[str, list[Action]] = {}
    switches: dict[str, list[Action]] = {}
    for action in plan.actions:
        if action.vm is not None:
            story.setdefault(action.vm, []).append(action)
        else:
            switches.setdefault(str(action.node), []).append(action)
    for several in (*story.values(), *switches.values()):
        if len(several) > 1:
            several.sort(key=lambda a: order.rank[a.id])
    told: dict[str, Told] = {}
    moved_on: dict[str, list[tuple[VM, Spell]]] = defaultdict(list)
    for name, actions in story.items() if not faults else ():
        vm = cluster.vm_by_name[name]
        if (found := _one_migration(vm, actions)) is None:
            teller = _Teller(vm)
            faults += teller.tell(actions, order)
            found = Told(vm, teller.spells, teller.state, teller.node)
        told[name] = found
        for spell in found.spells:
            moved_on[spell.node].append((vm, spell))
    return Replay(cluster, story, switches, told, moved_on), tuple(faults)


def _unknown(cluster: Cluster, plan: Plan) -> Iterator[Violation]:
    vms, nodes = cluster.vm_by_name, cluster.node_by_name
    named = {node for action in plan.actions for node in (action.source, action.target, action.node)}
    if {action.vm for action in plan.actions} - {None} <= vms.keys() and named - {None} <= nodes.keys():
        return
    for action in plan.actions:
        if action.vm is not None and action.vm not in vms:
            text = f"action {action.id} ({action.describe()}): the cluster has no VM {action.vm}"
            yield Violation("story", action.vm, text, actions=(action.id,))
        for node in (action.source, action.target, action.node):
            if node is not None and node not in nodes:
                text = f"action {action.id} ({action.describe()}): the cluster has no node {node}"
                yield Violation("story", node, text, actions=(action.id,))


_STATE_BEFORE: Mapping[str, tuple[VMState, ...]] = {
    "migrate": ("running",),
    "suspend": ("running",),
    "stop": ("running", "sleeping"),  # of a sleeping VM: its image is discarded
    "run": ("ready",),
    "resume": ("sleeping",),
}


def _one_migration(vm: VM, actions: Sequence[Action]) -> Told | None:
    """The story that is nearly always told, without a teller; ``None`` if it is another one, or a wrong one."""
    action = actions[0]
    if len(actions) > 1 or action.type != "migrate" or vm.state != "running" or not vm.migratable:
        return None
    source, target = action.source, action.target
    if source != vm.node or source is None or target is None or source == target:
        return None
    return Told(vm, (Spell(vm.name, source, None, action.id), Spell(vm.name, target, action.id, None)), "running", target)


class _Teller:
    """Follows one VM through its actions, up to the first that it cannot do."""

    __slots__ = ("came", "node", "spells", "state", "vm")

    def __init__(self, vm: VM) -> None:
        self.vm = vm
        self.state: VMState = vm.state
        self.node: str | None = vm.node
        self.came: str | None = None
        self.spells: list[Spell] = []

    def tell(self, actions: Sequence[Action], order: Order) -> Iterator[Violation]:
        previous: Action | None = None
        for action in actions:
            if previous is not None and not order.before(previous.id, action.id):
                text = f"VM {self.vm.name}: {previous.id} and {action.id} may run at the same time, neither waits for the other"
                yield Violation("order", self.vm.name, text, actions=(previous.id, action.id))
                return
            if why := self._refuse(action):
                text = f"VM {self.vm.name}: {action.id} cannot {action.describe()}: {why}"
                involved = (previous.id, action.id) if previous else (action.id,)
                yield Violation("story", self.vm.name, text, actions=involved)
                return
            self._do(action)
            previous = action
        if self.state == "running":
            self._leave(None)

    def _refuse(self, action: Action) -> str:
        if self.state not in _STATE_BEFORE[action.type]:
            return f"it is {self._whereabouts()} then"
        here = action.source or action.node
        if action.type != "run" and here != self.node:
            return f"it is {self._whereabouts()} then"
        if action.type == "migrate" and action.source == action.target:
            return "source and destination are the same node"
        if not self.vm.migratable and action.type == "migrate":
            return "the VM is not migratable"
        if not self.vm.migratable and action.type == "resume" and action.source != action.target:
            return f"the VM is not migratable, so it resumes only where its image lies, on {action.source}"
        return ""

    def _whereabouts(self) -> str:
        match self.state:
            case "ready":
                return "ready (on no node)"
            case "sleeping":
                return f"sleeping on {self.node}"
            case _:
                return f"running on {self.node}"

    def _do(self, action: Action) -> None:
        match action.type:
            case "migrate":
                self._leave(action.id)
                self.node, self.came = action.target, action.id
            case "run" | "resume":
                self.state, self.node, self.came = "running", action.enters, action.id
            case "suspend":
                self._leave(action.id)
                self.state, self.came = "sleeping", None
            case _:
                if self.state == "running":
                    self._leave(action.id)
                self.state, self.node, self.came = "ready", None, None

    def _leave(self, action: str | None) -> None:
        assert self.node is not None
        self.spells.append(Spell(self.vm.name, self.node, self.came, action))
