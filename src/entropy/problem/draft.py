"""A problem in the making: what the rules' translations write into before it is frozen into arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from entropy.model.cluster import Cluster
from entropy.model.selectors import Selector
from entropy.model.values import Selection
from entropy.problem.problem import (
    SOFT_SCALE,
    Bools,
    Disjoint,
    GroupLimit,
    Indices,
    Integers,
    Preference,
    SetLimit,
    State,
    Together,
    Unsatisfied,
    UsageLimit,
)

__all__ = ["Amounts", "Draft", "Zones", "soft_weight"]

Zones = tuple[Indices, Indices]
"""``zone_start`` and ``zone_nodes`` as ``Together`` has them."""
Amounts = Callable[[str, float], tuple[Integers, int, float]]
"""(resource or "" for one a VM, a limit in the documents' units) -> what each VM takes int64[V], the limit, and the scale of both."""
_MOST_WEIGHT = 1e6
"""Heavier rules weigh as much, so that no sum leaves 63 bits."""
_MOST_COST = float(1 << 52)
"""The same for capacities, whose costs are per unit of a resource."""


def soft_weight(weight: float) -> int:
    """A document's weight as an integer, at least 1."""
    return max(round(min(weight, _MOST_WEIGHT) * SOFT_SCALE), 1)


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
        self.groups: list[Together] = []
        self.apart: list[Disjoint] = []
        self.torn: list[tuple[int, str]] = []
        self.usage_limits: list[UsageLimit] = []
        self.preferences: list[Preference] = []
        self.contradictions: list[Unsatisfied] = []
        self._zones: dict[str, tuple[Indices, int]] = {}
        self._masks: dict[bytes, Bools] = {}
        self._nodes: dict[Selection, list[int]] = {}
        self._gathered: dict[object, Zones] = {}
        self._set_limits: list[Callable[[Amounts], SetLimit]] = []
        self._families = 0

    def vms(self, selection: Selection, path: str) -> list[int]:
        """Indices of the selected VMs."""
        return [self.vm_index[v.name] for v in self.selector.vms(selection, path)]

    def nodes(self, selection: Selection, path: str) -> Sequence[int]:
        """Indices of the selected nodes."""
        if not self._nodes.get(selection):  # what matches nothing is said for each rule
            self._nodes[selection] = [self.node_index[n.name] for n in self.selector.nodes(selection, path)]
        return self._nodes[selection]

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
        mask = self._mask(nodes, only)
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

    def prefer(self, vms: Iterable[int], nodes: Sequence[int], *, only: bool, weight: int, source: str) -> None:
        """Soft domain: each VM that ends elsewhere than on (or, ``only`` false, on one of) ``nodes`` costs ``weight``."""
        members = np.array(sorted(set(vms)), dtype=np.int32)
        self.preferences.append(Preference(members=members, mask=self._mask(nodes, only), source=source, weight=weight))

    def _mask(self, nodes: Sequence[int], only: bool) -> Bools:
        """bool[N], the same one for the same nodes: rules that name a rack are many."""
        mask = np.zeros(len(self.cluster.nodes), dtype=np.bool_)
        mask[nodes] = True
        if not only:
            mask = ~mask
        return self._masks.setdefault(mask.tobytes(), mask)

    def at_most(self, vms: Sequence[int], across: str, most: int, *, continuous: bool, source: str, weight: int = 0) -> None:
        """Group limit: at most ``most`` of the VMs in one zone of the scope ``across`` (``node`` or a label)."""
        zone_of, zones = self.zones(across)
        self.limits.append(
            GroupLimit(
                members=np.array(sorted(set(vms)), dtype=np.int32),
                zone_of=zone_of,
                zones=zones,
                most=most,
                continuous=continuous and not weight,
                source=source,
                weight=weight,
            )
        )

    def together(
        self, parties: Sequence[Sequence[int]], zones: Zones, *, apart: bool, continuous: bool, source: str, weight: int = 0
    ) -> None:
        """Together: the VMs of each party in one of ``zones``; ``apart``: no two parties in the same."""
        family = self._families if apart else -1
        self._families += apart
        for party in parties:
            self.groups.append(
                Together(
                    members=np.array(sorted(set(party)), dtype=np.int32),
                    zone_start=zones[0],
                    zone_nodes=zones[1],
                    continuous=continuous and not weight,
                    source=source,
                    family=family,
                    weight=weight,
                )
            )

    def disjoint(self, classes: Sequence[Iterable[int]], *, rest: bool, continuous: bool, source: str, weight: int = 0) -> None:
        """Disjoint: no node runs VMs of two classes; ``rest``: all other VMs are a class of their own.

        A VM of several classes counts as one of the first, and is ``torn``: by a hard rule it may run nowhere.
        """
        class_of = np.full(len(self.cluster.vms), -1, dtype=np.int32)
        for k, members in enumerate(classes):
            for v in members:
                if class_of[v] < 0:
                    class_of[v] = k
                elif class_of[v] != k and not weight:
                    self.torn.append((v, source))
        if rest:
            class_of[class_of < 0] = len(classes)
        self.apart.append(Disjoint(class_of=class_of, continuous=continuous and not weight, source=source, weight=weight))

    def set_limit(self, nodes: Sequence[int], resource: str, most: float, *, continuous: bool, source: str, weight: int = 0) -> None:
        """Set limit: the VMs on ``nodes`` demand at most ``most`` of ``resource`` ("": there are at most so many of them).

        A soft one costs ``weight`` for each VM, core, MiB or whatever the resource's unit above: its amounts are costs, rounded.
        """

        def scaled(amounts: Amounts) -> SetLimit:
            amount, limit, scale = amounts(resource, most)
            if weight:
                rate = min(weight, _MOST_COST / max(float(amount.sum()) / scale, most, 1.0))
                amount, limit, scale = np.rint(amount * (rate / scale)).astype(np.int64), round(most * rate), rate
            return SetLimit(
                nodes=np.array(sorted(set(nodes)), dtype=np.int32),
                amount=amount,
                most=limit,
                continuous=continuous and not weight,
                source=source,
                weight=min(weight, 1),
                resource=resource,
                scale=scale,
            )

        self._set_limits.append(scaled)

    def set_limits(self, amounts: Amounts) -> tuple[SetLimit, ...]:
        """The set limits, now that demands and scales are known."""
        return tuple(scaled(amounts) for scaled in self._set_limits)

    def usage_limit(self, nodes: Sequence[int], most: int, *, source: str, weight: int = 0) -> None:
        """Usage limit: at most ``most`` of ``nodes`` run a VM."""
        self.usage_limits.append(UsageLimit(nodes=np.array(sorted(set(nodes)), dtype=np.int32), most=most, source=source, weight=weight))

    def groups_as_zones(self, groups: Sequence[Selection], path: str) -> Zones:
        """Groups of nodes as zones, which may overlap; the same groups, the same arrays."""
        if (known := self._gathered.get(groups)) is not None:
            return known
        found = [sorted(set(self.nodes(group, f"{path}[{k}]"))) for k, group in enumerate(groups)]
        key = tuple(map(tuple, found))
        zones = self._gathered[key] = self._gathered.get(key) or _as_zones(found)
        if all(found):  # what matches nothing is said for each rule
            self._gathered[groups] = zones
        return zones

    def zones_as_groups(self, across: str) -> Zones:
        """The zones of a scope, as groups of nodes; always the same arrays."""
        if across not in self._gathered:
            zone_of, zones = self.zones(across)
            nodes = np.argsort(zone_of, kind="stable").astype(np.int32)
            start = np.searchsorted(zone_of[nodes], np.arange(zones + 1)).astype(np.int32)
            self._gathered[across] = start, nodes
        return self._gathered[across]

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


def _as_zones(groups: Sequence[Sequence[int]]) -> Zones:
    start = np.cumsum([0, *(len(group) for group in groups)]).astype(np.int32)
    return start, np.array([n for group in groups for n in group], dtype=np.int32)
