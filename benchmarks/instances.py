"""Seeded instance families, from fifty nodes to thousands.

consolidate-easy   a third of the memory used, sizes 2, 4 and 8 GiB: packs without waste, so the bound can be met
consolidate-real   the same use, memory from a lognormal law, cpu from a uniform one: nothing fits exactly
overload           7 % of the nodes 5 to 25 % over their cpu
drain              5 % of the nodes under maintenance
fragmented         drained VMs of 8 GiB, every other node has 4 GiB free: others must move first
spread             overload, with a third of the VMs in groups that keep apart
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Spread

__all__ = ["FAMILIES", "Instance", "make"]

Instance = tuple[Cluster, Policy]
GIB = 1024.0
CORES, MEMORY = 16.0, 64 * GIB


class _Filling:
    """Nodes being filled at random, never above capacity."""

    def __init__(self, rng: random.Random, nodes: int) -> None:
        self.rng, self.free = rng, [[CORES, MEMORY] for _ in range(nodes)]
        self.vms: list[VM] = []

    def add(self, cpu: float, memory: float, avoid: frozenset[int] = frozenset(), node: int | None = None) -> int:
        for _ in range(1000):
            n = self.rng.randrange(len(self.free)) if node is None else node
            if n not in avoid and self.free[n][0] >= cpu and self.free[n][1] >= memory:
                break
        else:
            raise ValueError("no room left for a VM; fewer VMs a node")
        self.free[n][0] -= cpu
        self.free[n][1] -= memory
        self.vms.append(VM(name=f"v{len(self.vms)}", node=f"n{n}", demand={"cpu": round(cpu, 3), "memory": memory}))
        return n


def _nodes(count: int, drained: frozenset[int] = frozenset()) -> tuple[Node, ...]:
    return tuple(Node(name=f"n{k}", capacity={"cpu": CORES, "memory": MEMORY}, maintenance=k in drained) for k in range(count))


def _sized(rng: random.Random) -> tuple[float, float]:
    gib = rng.choices((2, 4, 8), (4, 3, 2))[0]
    return rng.uniform(0.1, 0.5) * gib, gib * GIB


def _consolidate_easy(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    for _ in range(nodes * 5):
        filling.add(*_sized(rng))
    return Cluster(nodes=_nodes(nodes), vms=tuple(filling.vms)), Policy(objective="consolidate")


def _consolidate_real(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    for _ in range(nodes * 5):
        filling.add(rng.uniform(0.1, 2.0), round(min(rng.lognormvariate(8.2, 0.6), MEMORY / 2), 3))
    return Cluster(nodes=_nodes(nodes), vms=tuple(filling.vms)), Policy(objective="consolidate")


def _hot(rng: random.Random, vms: list[VM], nodes: int) -> tuple[VM, ...]:
    """Demand rises on some nodes above their cpu; consumption stays what it was."""
    hot = {f"n{k}" for k in rng.sample(range(nodes), max(1, round(0.07 * nodes)))}
    use = {name: sum(v.demand["cpu"] for v in vms if v.node == name) for name in hot}
    rise = {name: CORES * rng.uniform(1.05, 1.25) / max(use[name], 0.1) for name in sorted(hot)}
    return tuple(
        VM(
            name=v.name,
            node=v.node,
            demand={**v.demand, "cpu": round(min(v.demand["cpu"] * rise[v.node], CORES / 2), 3)},
            consumption={"cpu": v.demand["cpu"]},
        )
        if v.node in rise
        else v
        for v in vms
    )


def _overload(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    for _ in range(nodes * 9):
        filling.add(*_sized(rng))
    return Cluster(nodes=_nodes(nodes), vms=_hot(rng, filling.vms, nodes)), Policy(objective="repair")


def _spread(rng: random.Random, nodes: int) -> Instance:
    filling, rules = _Filling(rng, nodes), list[AnyRule]()
    for _ in range(nodes):
        at: set[int] = set()
        first = len(filling.vms)
        for _ in range(3):
            at.add(filling.add(*_sized(rng), avoid=frozenset(at)))
        rules.append(Spread(vms=tuple(v.name for v in filling.vms[first:])))
    for _ in range(nodes * 6):
        filling.add(*_sized(rng))
    policy = Policy(objective="repair", constraints=tuple(rules))
    return Cluster(nodes=_nodes(nodes), vms=_hot(rng, filling.vms, nodes)), policy


def _drain(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    for _ in range(nodes * 9):
        filling.add(*_sized(rng))
    drained = frozenset(rng.sample(range(nodes), max(1, nodes // 20)))
    return Cluster(nodes=_nodes(nodes, drained), vms=tuple(filling.vms)), Policy(objective="repair")


def _fragmented(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    drained = frozenset(rng.sample(range(nodes), max(1, nodes // 20)))
    for n in range(nodes):
        sizes = (8, 8) if n in drained else rng.choice(((8,) * 7 + (4,), (8,) * 5 + (4,) * 5, (8,) * 4 + (4,) * 6 + (2, 2)))
        for gib in sizes:
            filling.add(rng.uniform(0.05, 0.12) * gib, gib * GIB, node=n)
    return Cluster(nodes=_nodes(nodes, drained), vms=tuple(filling.vms)), Policy(objective="repair")


FAMILIES: Mapping[str, Callable[[random.Random, int], Instance]] = {
    "consolidate-easy": _consolidate_easy,
    "consolidate-real": _consolidate_real,
    "overload": _overload,
    "drain": _drain,
    "fragmented": _fragmented,
    "spread": _spread,
}


def make(family: str, nodes: int, seed: int) -> Instance:
    """The instance of ``family`` with so many nodes; same arguments, same instance."""
    return FAMILIES[family](random.Random(f"{family}-{nodes}-{seed}"), nodes)
