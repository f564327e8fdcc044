"""What the same load would have cost without Entropy.

    static(workload, nodes, seconds) -> Baseline                                every VM keeps its peak; packed once
    repacked(workload, nodes, seconds, every, ...) -> Baseline     packed anew at every look, whatever has to move
    first_fit_decreasing(cpu, memory, cores, mib) -> Packing

Both pack first-fit decreasing (FFD) and heed no rules; their moves take no time and never fail, which flatters them.  A packing
judges what it knew: what the nodes carry until the next one is measured on the load itself, sample by sample.

FFD in two dimensions orders VMs by their share of the cluster's capacity, cpu and memory weighted by how scarce each is
(Panigrahy, Talwar, Uyeda, Wieder: "Heuristics for vector bin packing", 2011, section 3: FFDAvgSum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entropy.model.cluster import Node
from entropy.simulation.workload import Workload

__all__ = ["Baseline", "Packing", "first_fit_decreasing", "repacked", "static"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Packing:
    """``hosts[v]``: the node of VM v, -1 if its memory fits nowhere.  ``crowded``: VMs put where their cpu does not fit."""

    hosts: Integers
    crowded: int


@dataclass(frozen=True, eq=False)
class Baseline:
    """``in_use[k]``: nodes that run a VM during sample k of ``period`` seconds; ``hosts``: the last packing; ``moved_memory`` in MiB;
    ``overload_minutes``: minutes, summed over the nodes, with more demand than capacity."""

    in_use: tuple[int, ...]
    period: float
    hosts: Integers
    migrations: int = 0
    moved_memory: float = 0.0
    overload_minutes: float = 0.0
    crowded: int = 0

    @property
    def node_hours(self) -> float:
        """Hours, summed over the nodes in use."""
        return sum(self.in_use) * self.period / 3600.0


def first_fit_decreasing(cpu: Floats, memory: Floats, cores: Floats, mib: Floats) -> Packing:
    """Put each VM, the largest first, on the first node with room for its ``cpu`` and ``memory``.

    A VM for whose cpu no node has room goes where most of it is left, as long as its memory fits.
    """
    weight = cpu * (cpu.sum() / max(cores.sum(), 1e-12) ** 2) + memory * (memory.sum() / max(mib.sum(), 1e-12) ** 2)
    order = np.lexsort((np.arange(len(cpu)), -weight))
    free_cpu, free_memory = cores.astype(float).copy(), mib.astype(float).copy()
    hosts = np.full(len(cpu), -1, dtype=np.int64)
    crowded = 0
    for v in order:
        roomy = free_memory >= memory[v] - _SLACK
        fits = roomy & (free_cpu >= cpu[v] - _SLACK)
        if fits.any():
            n = int(np.argmax(fits))
        elif roomy.any():
            n = int(np.argmax(np.where(roomy, free_cpu, -np.inf)))
            crowded += 1
        else:
            continue
        hosts[v] = n
        free_cpu[n] -= cpu[v]
        free_memory[n] -= memory[v]
    return Packing(hosts, crowded)


def static(workload: Workload, nodes: Sequence[Node], seconds: float) -> Baseline:
    """Every VM is given the most that it ever demands in the whole workload, once and for all; measured over ``seconds``."""
    cores, mib = _capacities(nodes)
    packing = first_fit_decreasing(workload.peak, workload.memory, cores, mib)
    samples = _samples(workload, seconds)
    used = len(np.unique(packing.hosts[packing.hosts >= 0]))
    return Baseline(
        in_use=(used,) * samples,
        period=workload.period,
        hosts=packing.hosts,
        overload_minutes=_overload(workload, packing.hosts, cores, mib, 0, samples),
        crowded=packing.crowded,
    )


def repacked(
    workload: Workload,
    nodes: Sequence[Node],
    seconds: float,
    every: float,
    headroom: float = 0.0,
    window: float = 0.0,
    start: Integers | None = None,
) -> Baseline:
    """Pack anew every ``every`` seconds, by the peak of cpu that was seen at the looks of the last ``window`` seconds, leaving the share
    ``headroom`` of every node's cpu free: the same foresight as the control loop's.

    ``start``: where each VM is at first; without it the first packing moves nobody."""
    cores, mib = _capacities(nodes)
    samples = _samples(workload, seconds)
    stride = max(1, round(every / workload.period))
    back = int(window // (stride * workload.period))
    in_use = np.zeros(samples, dtype=np.int64)
    hosts = start
    migrations, moved, overload, crowded = 0, 0.0, 0.0, 0
    for k in range(0, samples, stride):
        seen = workload.cpu[:, max(0, k - back * stride) : k + 1 : stride]
        packing = first_fit_decreasing(np.asarray(seen.max(axis=1)), workload.memory, cores * (1.0 - headroom), mib)
        if hosts is not None:
            changed = (packing.hosts != hosts) & (packing.hosts >= 0) & (hosts >= 0)
            migrations += int(changed.sum())
            moved += float(workload.memory[changed].sum())
        hosts = packing.hosts
        end = min(k + stride, samples)
        in_use[k:end] = len(np.unique(hosts[hosts >= 0]))
        overload += _overload(workload, hosts, cores, mib, k, end)
        crowded = max(crowded, packing.crowded)
    return Baseline(
        in_use=tuple(in_use.tolist()),
        period=workload.period,
        hosts=hosts if hosts is not None else np.zeros(0, dtype=np.int64),
        migrations=migrations,
        moved_memory=moved,
        overload_minutes=overload,
        crowded=crowded,
    )


def _samples(workload: Workload, seconds: float) -> int:
    return min(max(1, round(seconds / workload.period)), workload.samples)


def _capacities(nodes: Sequence[Node]) -> tuple[Floats, Floats]:
    return np.array([n.limit("cpu") for n in nodes]), np.array([n.limit("memory") for n in nodes])


def _overload(workload: Workload, hosts: Integers, cores: Floats, mib: Floats, start: int, end: int) -> float:
    """Node-minutes of samples ``start`` to ``end`` in which a node carries more than it has."""
    placed = hosts >= 0
    on = np.zeros((len(cores), int(placed.sum())))
    on[hosts[placed], np.arange(on.shape[1])] = 1.0
    over = (on @ workload.cpu[placed, start:end] > cores[:, None] + _SLACK) | (on @ workload.memory[placed] > mib + _SLACK)[:, None]
    return float(over.sum()) * workload.period / 60.0
