"""Relief before it hurts: nodes that have eaten up most of the cpu that was to be kept free are given it back.

A repair that waits until a node is overloaded comes too late, and one that moves the least brings the node back to exactly full:
the next breath of load overloads it again.  So a node is *strained* when its VMs demand more than half of what caution keeps
free (``headroom``), and relief plans in a view where a strained node may be filled only up to that headroom.  The view only ever asks for
more than the real cluster, so a plan that is safe in it is safe in the real one.

    strained(cluster, headroom) -> {node: "n12 is nearly full (cpu 96.2 %)"}, the most strained first
    relieving(cluster, peaks, headroom, nodes) -> Cluster
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from entropy.control.caution import CPU, cautious
from entropy.model.cluster import Cluster

__all__ = ["relieving", "strained"]

SPENT = 0.5
"""Share of the headroom that may be used before relief."""


def strained(cluster: Cluster, headroom: float) -> Mapping[str, str]:
    """The nodes whose VMs demand more cpu than the limit less half of ``headroom``, the most strained first, each with a phrase
    for people; none without headroom."""
    if headroom <= 0.0:
        return {}
    found = []
    for node in cluster.nodes:
        vms = cluster.running_on.get(node.name, ())
        limit, load = node.limit(CPU), sum(vm.demand.get(CPU, 0.0) for vm in vms)
        if limit > 0.0 and load > limit * (1.0 - SPENT * headroom):
            share = load / limit
            found.append((-share, node.name, f"{node.name} is nearly full (cpu {math.floor(share * 1000) / 10:.3g} %)"))
    return {name: text for _, name, text in sorted(found)}


def relieving(cluster: Cluster, peaks: Mapping[str, float], headroom: float, nodes: Collection[str]) -> Cluster:
    """The cautious view, in which each of ``nodes`` may be filled only as far as its headroom."""
    careful = cautious(cluster, peaks, headroom)
    shrunk = {
        node.name: replace(node, capacity={**node.capacity, CPU: cluster.node_by_name[node.name].capacity[CPU] * (1.0 - headroom)})
        for node in careful.nodes
        if node.name in nodes
    }
    return replace(careful, nodes=tuple(shrunk.get(node.name, node) for node in careful.nodes))
