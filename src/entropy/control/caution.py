"""A cautious view of a viable cluster, for moves that only gain something.

Consolidation that packs by what is used *now* is undone by the next breath of load.  Here every VM is counted with its
recent peak of cpu and every node keeps a share of its cpu free, so that a node which consolidation fills stays viable when
the load wavers.  The view only ever asks for more (a demand is never below, a limit never above the real one), so a plan
that is safe in it is safe in the real cluster; and no node that is within its limit now is above it in the view, so caution
alone never moves a VM.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from entropy.model.cluster import VM, Cluster

__all__ = ["Peaks", "cautious"]

CPU = "cpu"


@dataclass
class Peaks:
    """The highest demand of cpu of each VM in a sliding window of ``window`` seconds.

    Kept per VM as a queue of (instant, demand) with falling demands, so an observation costs constant time per VM
    (the classic sliding-window maximum).
    """

    window: float
    _queues: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def observe(self, cluster: Cluster, now: float) -> None:
        """Take in the cluster as seen at ``now`` (seconds); VMs that are gone are forgotten."""
        known = self._queues
        self._queues = {}
        for vm in cluster.vms:
            if vm.state != "running":
                continue
            queue = known.get(vm.name) or deque()
            demand = vm.demand.get(CPU, 0.0)
            while queue and queue[-1][1] <= demand:
                queue.pop()
            queue.append((now, demand))
            while queue[0][0] < now - self.window:
                queue.popleft()
            self._queues[vm.name] = queue

    def of(self, vm: str) -> float:
        """The peak of ``vm`` in cores, 0 if it is not known."""
        queue = self._queues.get(vm)
        return queue[0][1] if queue else 0.0


def cautious(cluster: Cluster, peaks: Mapping[str, float], headroom: float) -> Cluster:
    """The cluster with recent ``peaks`` (VM -> cores) as demands of cpu and ``headroom`` (share) of every node kept free.

    Where the peaks of a node's VMs together exceed its limit they are scaled back until they fill it exactly: they did not
    all happen at once.
    """
    now = {vm.name: vm.demand.get(CPU, 0.0) for vm in cluster.vms}
    raised = {name: max(demand, peaks.get(name, 0.0)) for name, demand in now.items()}
    capacity: dict[str, float] = {}
    for node in cluster.nodes:
        vms = cluster.running_on.get(node.name, ())
        limit = node.limit(CPU)
        load, peak = sum(now[vm.name] for vm in vms), sum(raised[vm.name] for vm in vms)
        if peak > limit and peak > load:
            share = max(0.0, limit - load) / (peak - load)
            for vm in vms:
                # rounded down: the sum of the parts must not exceed the whole
                raised[vm.name] = max(now[vm.name], _floor(now[vm.name] + share * (raised[vm.name] - now[vm.name])))
        filled = sum(raised[vm.name] for vm in vms)
        offered = node.capacity.get(CPU, 0.0)
        wanted = max(offered * (1.0 - headroom), _ceil(filled / node.overcommit.get(CPU, 1.0)))
        capacity[node.name] = min(offered, wanted)
    nodes = tuple(
        replace(node, capacity={**node.capacity, CPU: capacity[node.name]}) if CPU in node.capacity else node for node in cluster.nodes
    )
    return replace(cluster, nodes=nodes, vms=tuple(_raised(vm, raised[vm.name]) for vm in cluster.vms))


def _raised(vm: VM, demand: float) -> VM:
    if vm.state != "running" or demand == vm.demand.get(CPU, 0.0):
        return vm
    return replace(vm, demand={**vm.demand, CPU: demand}, consumption={**vm.consumption, CPU: vm.used(CPU)})


def _floor(cores: float) -> float:
    return math.floor(cores * 1e3) / 1e3


def _ceil(cores: float) -> float:
    """To the next millionth: the noise of a sum of floats must not lift a limit."""
    return math.ceil(round(cores * 1e6, 3)) / 1e6
