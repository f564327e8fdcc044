"""``dynamicConsolidation.simplify``: every running VM is *active* or *inactive*.

An active VM needs a processing unit of its own, an inactive one none (Hermenier et al., "Entropy: a consolidation manager
for clusters", VEE 2009, section 3).  A VM is active when what it uses, in MHz, is above the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from entropy.model.cluster import VM, Cluster, Node

__all__ = ["simplify"]

MHZ = "cpuMHz"
"""The node's label that holds the clock of one of its processing units, in MHz."""


def simplify(cluster: Cluster, threshold: float) -> tuple[Cluster, tuple[str, ...]]:
    """The cluster with whole processing units as demands of cpu, and warnings.

    ``threshold`` is in MHz.  An active VM is given one unit; one that keeps several vCPUs busy as many as it keeps busy,
    rounded up.  Memory and every other resource stay as they are, and so do VMs that do not run and VMs on a node that does
    not say its clock (with a warning).
    """
    clocks = {node.name: _clock(node) for node in cluster.nodes}
    blind = sorted({vm.node for vm in cluster.vms if vm.state == "running" and vm.node and clocks[vm.node] is None})
    warnings = [f"simplify: {_listed(blind)} no usable label {MHZ}; their VMs keep the cpu demand that was measured"] if blind else []
    return replace(cluster, vms=tuple(_simplified(vm, clocks, threshold) for vm in cluster.vms)), tuple(warnings)


def _clock(node: Node) -> float | None:
    try:
        clock = float(node.labels.get(MHZ, ""))
    except ValueError:
        return None
    return clock if math.isfinite(clock) and clock > 0 else None


def _simplified(vm: VM, clocks: Mapping[str, float | None], threshold: float) -> VM:
    clock = clocks.get(vm.node or "")
    if vm.state != "running" or clock is None:
        return vm
    cpu = vm.demand.get("cpu", 0.0)
    units = float(max(1, math.ceil(round(cpu, 6)))) if cpu * clock > threshold else 0.0
    consumption = {**vm.consumption, "cpu": units} if "cpu" in vm.consumption else vm.consumption
    return replace(vm, demand={**vm.demand, "cpu": units}, consumption=consumption)


def _listed(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{shown} {'has' if len(names) == 1 else 'have'}"
