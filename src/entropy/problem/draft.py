"""A problem in the making: what the rules' translations write into before it is frozen into arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from entropy.model.cluster import Cluster
from entropy.model.selectors import Selector
from entropy.model.values import Selection
from entropy.problem.problem import Bools, GroupLimit, Indices, State, Unsatisfied

__all__ = ["Draft"]


class Draft:
    """Collects, per VM and node index, what rules ask.  Each method is one primitive."""

    def __init__(self, cluster: Cluster, selector: Selector) -> None:
        self.cluster = cluster
        self.selector = selector
        self.node_index: Mapping[str, int] = {n.name: k for k, n in enumerate(cluster.nodes)}
        self.vm_index: Mapping[str, int] = {v.name: k for k, v in enumerate(cluster.vms)}
        self.goal: dict[int, State] = {}
        self.power: dict[int, bool] = {}
        self.least: dict[tuple[int, str], float] = {}
        self.ratio: dict[tuple[int, str], float] = {}
        self.domains: dict[int, list[Bools]] = {}
        self.paths: dict[int, list[Bools]] = {}
        self.pinned: dict[int, str] = {}
        self.closed: dict[int, str] = {}
        self.limits: list[GroupLimit] = []
        self.contradictions: list[Unsatisfied] = []
        self._zones: dict[str, tuple[Indices, int]] = {}

    def vms(self, selection: Selection, path: str) -> list[int]:
        """Indices of the selected VMs."""
        return [self.vm_index[v.name] for v in self.selector.vms(selection, path)]

    def nodes(self, selection: Selection, path: str) -> list[int]:
        """Indices of the selected nodes."""
        return [self.node_index[n.name] for n in self.selector.nodes(selection, path)]

    def want(self, vms: Iterable[int], state: State) -> None:
        """State: the VMs end in ``state``."""
        for v in vms:
            if (other := self.goal.setdefault(v, state)) != state:
                name = self.cluster.vms[v].name
                text = f"one rule wants VM {name} {other.name.lower()}, another {state.name.lower()}"
                self.contradictions.append(Unsatisfied(text=text, vm=v))

    def switch(self, nodes: Iterable[int], online: bool) -> None:
        """State: the nodes end online or offline."""
        for n in nodes:
            if self.power.setdefault(n, online) != online:
                text = f"one rule wants node {self.cluster.nodes[n].name} online, another offline"
                self.contradictions.append(Unsatisfied(text=text, node=n))

    def at_least(self, vms: Iterable[int], resource: str, amount: float) -> None:
        """Capacity: the VMs' demand of ``resource`` is at least ``amount``."""
        for v in vms:
            self.least[v, resource] = max(amount, self.least.get((v, resource), 0.0))

    def overcommit(self, nodes: Iterable[int], resource: str, ratio: float) -> None:
        """Capacity: the nodes' overcommit of ``resource`` is ``ratio``."""
        self.ratio.update({(n, resource): ratio for n in nodes})

    def allow(self, vms: Iterable[int], nodes: Sequence[int], *, only: bool, continuous: bool) -> None:
        """Domain: the VMs run only (or, ``only`` false, never) on ``nodes``; ``continuous`` also on the way."""
        mask = np.zeros(len(self.cluster.nodes), dtype=np.bool_)
        mask[list(nodes)] = True
        if not only:
            mask = ~mask
        for v in vms:
            self.domains.setdefault(v, []).append(mask)
            if continuous:
                self.paths.setdefault(v, []).append(mask)

    def pin(self, vms: Iterable[int], why: str) -> None:
        """Fixed: the VMs, where they run, stay."""
        self.pinned.update(dict.fromkeys(vms, why))

    def close(self, nodes: Iterable[int], why: str) -> None:
        """Fixed: nothing enters or leaves the nodes."""
        self.closed.update(dict.fromkeys(nodes, why))

    def at_most(self, vms: Sequence[int], across: str, most: int, *, continuous: bool, source: str) -> None:
        """Group limit: at most ``most`` of the VMs in one zone of the scope ``across`` (``node`` or a label)."""
        zone_of, zones = self.zones(across)
        self.limits.append(
            GroupLimit(
                members=np.array(sorted(set(vms)), dtype=np.int32),
                zone_of=zone_of,
                zones=zones,
                most=most,
                continuous=continuous,
                source=source,
            )
        )

    def zones(self, across: str) -> tuple[Indices, int]:
        """Zone of each node, and their number; a node without the label is a zone of its own."""
        if (known := self._zones.get(across)) is not None:
            return known
        number: dict[tuple[bool, str], int] = {}
        zone_of = []
        for node in self.cluster.nodes:
            labelled = across != "node" and across in node.labels
            key = (labelled, node.labels[across] if labelled else node.name)
            zone_of.append(number.setdefault(key, len(number)))
        self._zones[across] = np.array(zone_of, dtype=np.int32), len(number)
        return self._zones[across]
