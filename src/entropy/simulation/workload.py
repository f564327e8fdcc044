"""What a set of VMs demands over time, as one array; and the nodes and the cluster of a simulation.

Workload(vms, cpu, period)          .demand: a ``Load`` for SimulatedCluster      .at(seconds) -> cores per VM
    .peak -> cores per VM           .memory -> MiB per VM                         .seconds: how long it lasts
Machine(name, kind, vcpus, memory)
make_nodes(count, mixed=False) -> nodes           start_cluster(workload, nodes, hosts) -> Cluster
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from entropy.model.cluster import VM, Cluster, Node

__all__ = ["Machine", "Workload", "make_nodes", "start_cluster"]

Cores = NDArray[np.float64]

GIB = 1024
RACK = 10
"""Nodes of one rack."""
MODELS: tuple[tuple[str, int, int], ...] = (("m16", 16, 64 * GIB), ("m24", 24, 96 * GIB), ("m32", 32, 128 * GIB))
"""Node models: name, cores, MiB."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A VM's size and what it is used for.  ``memory`` in MiB."""

    name: str
    kind: str
    vcpus: int
    memory: int


@dataclass(frozen=True, eq=False)
class Workload:
    """``cpu[v, k]``: cores that VM v demands from k x ``period`` seconds until just before (k + 1) x ``period``.

    Memory does not vary: a VM keeps what it was given.  After its end a workload stays as it was last.
    """

    machines: tuple[Machine, ...]
    cpu: Cores
    period: float

    @property
    def samples(self) -> int:
        """How many there are of each VM."""
        return int(self.cpu.shape[1])

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples * self.period

    @cached_property
    def memory(self) -> Cores:
        """MiB per VM."""
        return np.array([m.memory for m in self.machines], dtype=np.float64)

    @cached_property
    def peak(self) -> Cores:
        """The most that each VM ever demands, in cores."""
        return np.asarray(self.cpu.max(axis=1))

    def sample(self, at: float) -> int:
        """The index of the sample that holds at ``at`` seconds."""
        return min(max(int(at // self.period), 0), self.samples - 1)

    def at(self, at: float) -> Cores:
        """Cores per VM at ``at`` seconds."""
        return np.asarray(self.cpu[:, self.sample(at)])

    def demand(self, vm: VM, at: float) -> Mapping[str, float]:
        """What ``vm`` demands at ``at`` seconds, for ``SimulatedCluster``."""
        row = self._rows.get(vm.name)
        return {} if row is None else {"cpu": row[self.sample(at)]}

    @cached_property
    def _rows(self) -> Mapping[str, list[float]]:
        """Plain lists: single elements of an array are slow to reach."""
        return {machine.name: row for machine, row in zip(self.machines, self.cpu.tolist(), strict=True)}


def make_nodes(count: int, mixed: bool = False) -> tuple[Node, ...]:
    """``count`` online nodes in racks of ten: 16 cores and 64 GiB each or, ``mixed``, three models of up to twice that."""
    width = len(str(count))
    nodes = []
    for k in range(count):
        model, cores, memory = MODELS[k % len(MODELS)] if mixed else MODELS[0]
        name = f"n{k + 1:0{width}d}"
        labels = {"rack": f"r{k // RACK + 1}", "model": model}
        nodes.append(Node(name=name, capacity={"cpu": cores, "memory": memory}, labels=labels))
    return tuple(nodes)


def start_cluster(workload: Workload, nodes: Sequence[Node], hosts: Sequence[int], name: str = "simulated") -> Cluster:
    """Every VM runs on ``nodes[hosts[v]]`` and demands what it does at second 0."""
    now = workload.at(0.0).tolist()
    vms = tuple(
        VM(
            name=machine.name,
            node=nodes[hosts[v]].name,
            demand={"cpu": now[v], "memory": machine.memory},
            labels={"kind": machine.kind},
        )
        for v, machine in enumerate(workload.machines)
    )
    return Cluster(name=name, nodes=tuple(nodes), vms=vms)
