"""Measures a simulated cluster while time passes: nodes in use and nodes overloaded, in the middle of every period.

    Meter(world, period=60.0)
        await .run(seconds, tick)          until the clock has advanced by ``seconds``; ``tick()`` is called after each measurement
        .look() -> Glance                  nodes and what they carry, now
        .in_use, .overloaded               one number a period
        .node_hours, .overload_minutes     what they come to

A node carries the VMs that run there and those under way to it; it is in use from the first until the last of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from entropy.model.cluster import Node
from entropy.simulation.cluster import SimulatedCluster

__all__ = ["Glance", "Meter", "NodeLoad"]

_SLACK = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """What one node carries: cores, MiB, and how many VMs; ``entering``: of these, under way to it; ``leaving``: about to go."""

    node: Node
    cpu: float = 0.0
    memory: float = 0.0
    vms: int = 0
    entering: int = 0
    leaving: int = 0

    @property
    def share_of_cpu(self) -> float:
        """Of what it may give."""
        return _share(self.cpu, self.node.limit("cpu"))

    @property
    def share_of_memory(self) -> float:
        """Of what it may give."""
        return _share(self.memory, self.node.limit("memory"))

    @property
    def overloaded(self) -> bool:
        """Does it carry more than it may give?"""
        return self.cpu > self.node.limit("cpu") + _SLACK or self.memory > self.node.limit("memory") + _SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The nodes at one instant (seconds), in their order."""

    at: float
    nodes: tuple[NodeLoad, ...]

    @property
    def in_use(self) -> int:
        """Nodes that carry something."""
        return sum(n.vms > 0 for n in self.nodes)

    @property
    def overloaded(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(n.node.name for n in self.nodes if n.overloaded)


class Meter:
    """``period`` in seconds."""

    def __init__(self, world: SimulatedCluster, period: float = 60.0) -> None:
        self.world, self.period = world, period
        self.in_use: list[int] = []
        self.overloaded: list[int] = []

    async def run(self, seconds: float, tick: Callable[[], None] = lambda: None) -> None:
        """Measure in the middle of every period: what is between two changes of the load."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for k in range(round(seconds / self.period)):
            await asyncio.sleep(start + (k + 0.5) * self.period - loop.time())
            found = self.look()
            self.in_use.append(found.in_use)
            self.overloaded.append(len(found.overloaded))
            tick()
        await asyncio.sleep(start + seconds - loop.time())

    def look(self) -> Glance:
        """One pass over the VMs and the operations under way."""
        seen = self.world.view().cluster
        entering = {op.vm: op.enters for op in self.world.operations.values() if op.vm is not None}
        cpu = dict.fromkeys(seen.node_by_name, 0.0)
        memory, vms, coming, going = dict(cpu), dict.fromkeys(cpu, 0), dict.fromkeys(cpu, 0), dict.fromkeys(cpu, 0)
        for vm in seen.vms:
            here = vm.node if vm.state == "running" else None
            there = entering.get(vm.name)
            for name in (here, there):
                if name is None:
                    continue
                cpu[name] += vm.demand.get("cpu", 0.0)
                memory[name] += vm.demand.get("memory", 0.0)
                vms[name] += 1
            if there is not None:
                coming[there] += 1
                if here is not None:
                    going[here] += 1
        return Glance(at=self.world.now(), nodes=tuple(_load(n, cpu, memory, vms, coming, going) for n in seen.nodes))

    @property
    def node_hours(self) -> float:
        """Hours, summed over the nodes in use."""
        return sum(self.in_use) * self.period / 3600.0

    @property
    def overload_minutes(self) -> float:
        """Minutes, summed over the overloaded nodes."""
        return sum(self.overloaded) * self.period / 60.0


def _load(
    node: Node,
    cpu: Mapping[str, float],
    memory: Mapping[str, float],
    vms: Mapping[str, int],
    coming: Mapping[str, int],
    going: Mapping[str, int],
) -> NodeLoad:
    name = node.name
    return NodeLoad(node=node, cpu=cpu[name], memory=memory[name], vms=vms[name], entering=coming[name], leaving=going[name])


def _share(amount: float, limit: float) -> float:
    return amount / limit if limit else float("inf") if amount else 0.0
