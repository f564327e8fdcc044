"""Seeded instance families, from fifty nodes to thousands.

consolidate-easy   a third of the memory used, sizes 2, 4 and 8 GiB: packs without waste, so the bound can be met
consolidate-real   the same use, memory from a lognormal law, cpu from a uniform one: nothing fits exactly
overload           7 % of the nodes 5 to 25 % over their cpu
drain              5 % of the nodes under maintenance
fragmented         drained VMs of 8 GiB, every other node has 4 GiB free: others must move first
spread             overload, with a third of the VMs in groups that keep apart
heterogeneous      nodes of four sizes, half of their room used, memory from a lognormal law, cpu from a uniform one: consolidate
ruled              consolidate-real with groups that keep apart, groups that stay in one rack, and fences
balance            half of the room used, everything on half of the nodes: balance
*-million          ten VMs a node of a dozen shapes: consolidate at half load, or repair 5 % of the nodes
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Fence, Gather, Spread

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


_SIZES = ((8.0, 32), (16.0, 64), (16.0, 128), (32.0, 128))
"""Cores and GiB of the nodes of ``heterogeneous``."""


def _heterogeneous(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    sizes = [rng.choice(_SIZES) for _ in range(nodes)]
    filling.free = [[cores, gib * GIB] for cores, gib in sizes]
    for n, (cores, gib) in enumerate(sizes):
        goal = rng.uniform(0.3, 0.7)
        while filling.free[n][0] > cores * (1 - goal) and filling.free[n][1] > gib * GIB * (1 - goal):
            cpu, memory = rng.uniform(0.1, 3.0), round(min(rng.lognormvariate(8.4, 0.6), gib * GIB / 2), 3)
            if filling.free[n][0] < cpu or filling.free[n][1] < memory:
                break
            filling.add(cpu, memory, node=n)
    hosts = tuple(Node(name=f"n{k}", capacity={"cpu": cores, "memory": gib * GIB}) for k, (cores, gib) in enumerate(sizes))
    return Cluster(nodes=hosts, vms=tuple(filling.vms)), Policy(objective="consolidate")


def _ruled(rng: random.Random, nodes: int) -> Instance:
    cluster, _ = _consolidate_real(rng, nodes)
    rack = [f"r{k // 25}" for k in range(nodes)]
    hosts = tuple(Node(name=n.name, capacity=n.capacity, labels={"rack": r}) for n, r in zip(cluster.nodes, rack, strict=True))
    by_rack: dict[str, list[VM]] = {}
    for vm in cluster.vms:
        by_rack.setdefault(rack[int(str(vm.node)[1:])], []).append(vm)
    rules = list[AnyRule]()
    for name, vms in sorted(by_rack.items()):
        rng.shuffle(vms)
        apart: dict[str, VM] = {}
        for vm in vms[:20]:
            apart.setdefault(str(vm.node), vm)
        rules.append(Spread(vms=tuple(vm.name for vm in apart.values())))
        rules.append(Gather(vms=tuple(vm.name for vm in vms[20:30]), across="rack"))
        rules.append(Fence(vms=tuple(vm.name for vm in vms[30:40]), nodes=(f"rack={name}",)))
    return Cluster(nodes=hosts, vms=cluster.vms), Policy(objective="consolidate", constraints=tuple(rules))


def _balance(rng: random.Random, nodes: int) -> Instance:
    filling = _Filling(rng, nodes)
    for n in range(0, nodes, 2):
        while filling.free[n][1] > 4 * GIB and filling.free[n][0] > 1:
            filling.add(rng.uniform(0.1, 1.0), round(min(rng.lognormvariate(8.0, 0.5), 4 * GIB), 3), node=n)
    return Cluster(nodes=_nodes(nodes), vms=tuple(filling.vms)), Policy(objective="balance")


def _many(rng: random.Random, nodes: int, load: float) -> list[list[tuple[float, float]]]:
    """Ten VMs a node, filled node by node, so that a million take seconds."""
    shapes = [(c / 8, m * 384.0) for c, m in ((1, 3), (2, 5), (3, 4), (4, 9), (5, 7), (6, 12), (8, 10), (3, 14), (7, 17), (10, 15))]
    room = MEMORY * load * 1.35
    out = []
    for _ in range(nodes):
        here, used = list[tuple[float, float]](), 0.0
        for shape in rng.choices(shapes, k=rng.randint(7, 13)):
            if used + shape[1] <= room and sum(c for c, _ in here) + shape[0] <= CORES:
                here.append(shape)
                used += shape[1]
        out.append(here)
    return out


def _million(rng: random.Random, nodes: int) -> Instance:
    vms = [
        VM(name=f"v{n}-{k}", node=f"n{n}", demand={"cpu": cpu, "memory": memory})
        for n, here in enumerate(_many(rng, nodes, 0.7))
        for k, (cpu, memory) in enumerate(here)
    ]
    return Cluster(nodes=_nodes(nodes), vms=tuple(vms)), Policy(objective="consolidate")


def _hot_million(rng: random.Random, nodes: int) -> Instance:
    vms = []
    for n, here in enumerate(_many(rng, nodes, 0.7)):
        rise = CORES * rng.uniform(1.05, 1.2) / max(sum(cpu for cpu, _ in here), 0.1) if rng.random() < 0.05 else 0.0
        for k, (cpu, memory) in enumerate(here):
            demand = round(min(cpu * rise, CORES / 2), 3) if rise else cpu
            vms.append(VM(name=f"v{n}-{k}", node=f"n{n}", demand={"cpu": demand, "memory": memory}, consumption={"cpu": cpu}))
    return Cluster(nodes=_nodes(nodes), vms=tuple(vms)), Policy(objective="repair")


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
    "heterogeneous": _heterogeneous,
    "ruled": _ruled,
    "balance": _balance,
    "consolidate-million": _million,
    "overload-million": _hot_million,
}


def make(family: str, nodes: int, seed: int) -> Instance:
    """The instance of ``family`` with so many nodes; same arguments, same instance."""
    return FAMILIES[family](random.Random(f"{family}-{nodes}-{seed}"), nodes)
