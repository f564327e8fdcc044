"""A simulated cluster: hypervisors that take their time, refuse what is impossible, and fail where a schedule says so.

    SimulatedCluster(cluster, *, durations=contract_duration, noise=0.0, seed=0, load=None, faults=Faults(), clock=None)
        .now() -> seconds                     .view(at=None) -> Observation (as monitoring would show it at that time)
        .begin(type, vm, source, target) -> Operation      .give_up(operation)       .busy(vm, node) -> bool
        .set_demand(vm, cpu=2.0)              .kill_node(name)                       .revive_node(name)
        .usage(node, resource) -> float       .overloaded(resource) -> node names    await .quiet()
        .operations                           .trace: list[Event]                    .incidents: list[Event]

It does not trust its manager: what must never happen (memory of a node over its capacity because something entered, a VM
touched that may not move) is recorded as an incident, not hidden.  Operations belong to the hypervisors: they go on when
the manager is killed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import NamedTuple

from entropy.model.cluster import VM, Cluster, Node, NodeState, VMState
from entropy.model.errors import PlatformError
from entropy.model.plan import ActionType
from entropy.platforms.base import Observation
from entropy.simulation.faults import ActionFault, Faults
from entropy.simulation.operations import Durations, Operation, contract_duration, noisy

__all__ = ["Event", "Load", "SimulatedCluster"]

Load = Callable[[VM, float], Mapping[str, float]]
"""What a VM demands at a time (seconds), resource by resource; resources it leaves out keep their amount."""

_SLACK = 1e-6  # MiB, cores: sums of floats
_HISTORY = 3600.0  # seconds that a lagging monitor may look back


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in the world: ``what`` is begun, done, failed, refused, given up, died, revived or incident."""

    at: float
    what: str
    text: str
    type: ActionType | None = None
    vm: str | None = None
    nodes: tuple[str, ...] = ()


class _Machine(NamedTuple):
    vm: VM
    lost: bool  # its node died under it


class SimulatedCluster:
    """The world.  Times are seconds of ``clock`` (default: the running loop's)."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        durations: Durations = contract_duration,
        noise: float = 0.0,
        seed: int = 0,
        load: Load | None = None,
        faults: Faults | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = cluster.name
        self.durations, self.noise, self.seed, self.load, self.faults = durations, noise, seed, load, faults or Faults()
        self.operations: dict[int, Operation] = {}
        self.trace: list[Event] = []
        self.incidents: list[Event] = []
        self._clock = clock
        self._nodes: dict[str, Node] = dict(cluster.node_by_name)
        self._machines: dict[str, _Machine] = {vm.name: _Machine(vm, False) for vm in cluster.vms}
        self._changes: list[tuple[float, str, Node | _Machine]] = []  # time, name, what it was before
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._begun = 0
        self._armed = False

    # ---------------------------------------------------------------- looking

    def now(self) -> float:
        """Seconds of the world's clock."""
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    def view(self, at: float | None = None) -> Observation:
        """The cluster as it was at ``at`` seconds (default: as it is)."""
        self._arm()
        nodes, machines = self._nodes, self._machines
        if at is not None and self._changes and self._changes[-1][0] > at:
            nodes, machines = self._rewound(at)
        moment = self.now() if at is None else min(at, self.now())
        lost = [m.vm for m in machines.values() if m.lost]
        return Observation(
            cluster=Cluster(
                name=self.name,
                observed_at=datetime.fromtimestamp(max(moment, 0.0), timezone.utc),
                nodes=tuple(nodes.values()),
                vms=tuple(self._loaded(m.vm, moment) for m in machines.values() if not m.lost),
            ),
            warnings=tuple(f"{vm.node} does not answer; {vm.name}, which ran there, is left out" for vm in lost),
        )

    def vm(self, name: str) -> VM | None:
        """The VM as it really is now, ``None`` if it was lost with its node."""
        machine = self._machines[name]
        return None if machine.lost else self._loaded(machine.vm, self.now())

    def busy(self, vm: str, node: str) -> bool:
        """Is an operation on ``vm`` under way in which ``node`` takes part?"""
        return any(op.vm == vm and node in op.nodes for op in self.operations.values())

    def usage(self, node: str, resource: str) -> float:
        """What is taken of ``resource`` on ``node``: VMs that run there and VMs under way to it."""
        now = self.now()
        here = [m.vm for m in self._machines.values() if m.vm.node == node and m.vm.state == "running" and not m.lost]
        entering = [self._machines[op.vm].vm for op in self.operations.values() if op.vm and op.enters == node]
        return sum(self._loaded(vm, now).used(resource) for vm in here) + sum(
            self._loaded(vm, now).demand.get(resource, 0.0) for vm in entering
        )

    def overloaded(self, resource: str) -> tuple[str, ...]:
        """The online nodes on which more of ``resource`` is taken than they may give."""
        return tuple(
            n.name for n in self._nodes.values() if n.state == "online" and self.usage(n.name, resource) > n.limit(resource) + _SLACK
        )

    async def quiet(self) -> None:
        """Wait until no operation is under way; for ever if one is stuck."""
        while self.operations:
            await asyncio.wait([op.over for op in self.operations.values()])

    # ---------------------------------------------------------------- acting

    def begin(self, kind: ActionType, vm: str | None, source: str | None, target: str | None) -> Operation:
        """A hypervisor starts an operation.  ``source`` is where the VM is (or the node to switch), ``target`` where it goes.

        Raises ``PlatformError`` when the hypervisor refuses at once.
        """
        self._arm()
        subject = vm or source or ""
        self._attempts[kind, subject] += 1
        loop = asyncio.get_running_loop()
        op = Operation(
            number=self._begun, type=kind, vm=vm, source=source, target=target, begun=self.now(), duration=0.0,
            answer=loop.create_future(), over=loop.create_future(),
            fault=self.faults.of_operation(kind, subject, self._attempts[kind, subject]),
        )  # fmt: skip
        if reason := self._refusal(op):
            self._note("refused", op, reason)
            raise PlatformError(f"{op.nodes[0]}: {reason}")
        self._begun += 1
        machine = self._machines[vm].vm if vm else None
        op.duration = noisy(self.durations(kind, machine), self.noise, f"{self.seed}/{kind}/{subject}/{self._begun}")
        self.operations[op.number] = op
        self._note("begun", op, op.describe())
        self._suspect(op, machine)
        self._set_timers(op)
        return op

    def give_up(self, op: Operation) -> None:
        """The manager asks the hypervisor to give up; the VM stays where it was.  A stuck operation does not listen."""
        if op.number in self.operations and not (op.fault and op.fault.kind == "stuck"):
            self._remove(op)
            self._note("given up", op, f"{op.describe()}: given up")
            self._answer(op, "given up")

    def set_demand(self, vm: str, **amounts: float) -> None:
        """The VM demands these amounts from now on."""
        machine = self._machines[vm]
        self._change(vm, machine._replace(vm=replace(machine.vm, demand={**machine.vm.demand, **amounts})))

    def kill_node(self, name: str) -> None:
        """The node fails: what runs there is lost, operations from or to it fail, images on its disk stay."""
        if self._nodes[name].state == "offline":
            return
        self._change(name, replace(self._nodes[name], state="offline"))
        self.trace.append(Event(at=self.now(), what="died", text=f"{name} died", nodes=(name,)))
        for op in [op for op in self.operations.values() if name in op.nodes]:
            self._fail(op, f"{name} does not answer any more")
        for machine in list(self._machines.values()):
            if machine.vm.node == name and machine.vm.state == "running" and not machine.lost:
                self._change(machine.vm.name, machine._replace(lost=True))

    def revive_node(self, name: str) -> None:
        """The node is back, empty; the VMs lost with it are ready again."""
        self._change(name, replace(self._nodes[name], state="online"))
        self.trace.append(Event(at=self.now(), what="revived", text=f"{name} is back", nodes=(name,)))
        for machine in list(self._machines.values()):
            if machine.lost and machine.vm.node == name:
                self._change(machine.vm.name, _Machine(replace(machine.vm, state="ready", node=None), False))

    # ---------------------------------------------------------------- inside

    def _arm(self) -> None:
        """Deaths need a running loop, which there may not have been when the world was made."""
        if not self._armed:
            self._armed = True
            loop, now = asyncio.get_running_loop(), self.now()
            for death in self.faults.deaths:
                loop.call_later(max(0.0, death.at - now), self.kill_node, death.node)

    def _refusal(self, op: Operation) -> str:
        """Why a hypervisor refuses, empty if it does not."""
        if op.fault and op.fault.kind == "refused":
            return "the hypervisor refuses"
        for name in op.nodes:
            node = self._nodes.get(name)
            if node is None:
                return f"there is no node {name}"
            if (node.state == "online") == (op.type == "startup"):
                return f"{name} is {node.state}"
        if op.vm is None:
            return self._node_refusal(op)
        machine = self._machines.get(op.vm)
        if machine is None or machine.lost:
            return f"there is no VM {op.vm}"
        if other := next((o for o in self.operations.values() if o.vm == op.vm), None):
            return f"another operation is under way ({other.describe()})"
        vm = machine.vm
        states: Mapping[str, tuple[VMState, ...]] = {"run": ("ready",), "resume": ("sleeping",), "stop": ("running", "sleeping")}
        if vm.state not in states.get(op.type, ("running",)) or vm.node != op.source:
            return f"{op.vm} is {vm.state}" + (f" on {vm.node}" if vm.node else "")
        return "it is there already" if op.type == "migrate" and op.source == op.target else ""

    def _node_refusal(self, op: Operation) -> str:
        (name,) = op.nodes
        if any(name in other.nodes for other in self.operations.values()):
            return f"an operation is under way on {name}"
        here = [m.vm.name for m in self._machines.values() if m.vm.node == name and m.vm.state == "running" and not m.lost]
        return f"{', '.join(here[:5])} still run there" if op.type == "shutdown" and here else ""

    def _suspect(self, op: Operation, vm: VM | None) -> None:
        """Record what a manager must never do, though the hypervisor accepts it."""
        if vm and not vm.migratable and op.type == "migrate":
            self._note("incident", op, f"{op.describe()}: the VM may not be migrated")
        if op.enters is None:
            return
        taken, limit = self.usage(op.enters, "memory"), self._nodes[op.enters].limit("memory")
        if taken > limit + _SLACK:
            self._note("incident", op, f"{op.describe()}: {taken:g} MiB of {limit:g} MiB of memory are taken on {op.enters}")

    def _set_timers(self, op: Operation) -> None:
        """When the world changes, and when the driver hears something."""
        loop, fault, share = asyncio.get_running_loop(), op.fault, op.duration * (op.fault.share if op.fault else 1.0)
        match fault.kind if fault else "":
            case "broken":
                op.timers = (loop.call_later(share, self._fail, op, "the operation broke off"),)
            case "false-failure":
                lie = loop.call_later(share, self._answer, op, "the connection to the hypervisor was lost")
                op.timers = (lie, loop.call_later(op.duration, self._happen, op))
            case "false-success":
                op.timers = (loop.call_later(share, self._vanish, op),)
            case "hang" | "stuck":
                op.timers = ()
            case _:
                op.timers = (loop.call_later(op.duration, self._happen, op),)

    def _happen(self, op: Operation) -> None:
        self._remove(op)
        if op.vm is None:
            state: NodeState = "online" if op.type == "startup" else "offline"
            self._change(op.nodes[0], replace(self._nodes[op.nodes[0]], state=state))
        else:
            after: Mapping[str, tuple[VMState, str | None]] = {"stop": ("ready", None), "suspend": ("sleeping", op.source)}
            state_after, node = after.get(op.type, ("running", op.target))
            machine = self._machines[op.vm]
            # On the node it was brought to, it takes what it was given; what it used elsewhere says nothing there.
            self._change(op.vm, machine._replace(vm=replace(machine.vm, state=state_after, node=node, consumption={})))
        self._note("done", op, op.describe())
        self._answer(op, None)

    def _fail(self, op: Operation, why: str) -> None:
        self._remove(op)
        self._note("failed", op, f"{op.describe()}: {why}")
        self._answer(op, why)

    def _vanish(self, op: Operation) -> None:
        """The hypervisor says it is done, and nothing has happened."""
        self._remove(op)
        self._note("failed", op, f"{op.describe()}: nothing happened, though success was reported")
        self._answer(op, None)

    def _remove(self, op: Operation) -> None:
        for timer in op.timers:
            timer.cancel()
        del self.operations[op.number]
        op.over.set_result(None)

    def _answer(self, op: Operation, error: str | None) -> None:
        deaf: ActionFault | None = op.fault if op.fault and op.fault.kind in ("hang", "stuck", "silent") else None
        if deaf is None and not op.answer.done():
            op.answer.set_result(error)

    def _change(self, name: str, value: Node | _Machine) -> None:
        now = self.now()
        if isinstance(value, Node):
            self._changes.append((now, name, self._nodes[name]))
            self._nodes[name] = value
        else:
            self._changes.append((now, name, self._machines[name]))
            self._machines[name] = value
        if len(self._changes) > 1000 and self._changes[len(self._changes) // 2][0] < now - _HISTORY:
            del self._changes[: len(self._changes) // 2]

    def _rewound(self, at: float) -> tuple[dict[str, Node], dict[str, _Machine]]:
        nodes, machines = dict(self._nodes), dict(self._machines)
        for when, name, before in reversed(self._changes):
            if when <= at:
                break
            if isinstance(before, Node):
                nodes[name] = before
            else:
                machines[name] = before
        return nodes, machines

    def _loaded(self, vm: VM, at: float) -> VM:
        return vm if self.load is None else replace(vm, demand={**vm.demand, **self.load(vm, at)})

    def _note(self, what: str, op: Operation, text: str) -> None:
        event = Event(at=self.now(), what=what, text=text, type=op.type, vm=op.vm, nodes=op.nodes)
        self.trace.append(event)
        if what == "incident":
            self.incidents.append(event)
