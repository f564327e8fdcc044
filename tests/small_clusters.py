"""Small random clusters and policies, and their optima by brute force over every assignment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Ban, Fence, Preserve, Ready, Running, Spread
from entropy.model.selectors import Selector

__all__ = ["Optimum", "brute_force", "clusters", "policies"]


@st.composite
def clusters(draw: st.DrawFn, *, viable: bool = False, nodes: int = 4, vms: int = 6) -> Cluster:
    """Up to ``nodes`` nodes and ``vms`` VMs, often tight, sometimes overloaded unless ``viable``."""
    n = draw(st.integers(2, nodes))
    memory = draw(st.lists(st.sampled_from([4.0, 6.0, 8.0]), min_size=n, max_size=n))
    hosts = tuple(
        Node(
            name=f"n{k}",
            capacity={"cpu": draw(st.sampled_from([2.0, 3.0])), "memory": memory[k] * 1024},
            maintenance=not viable and draw(st.integers(0, 9)) == 0,
            labels={"rack": f"r{k % 2}"},
        )
        for k in range(n)
    )
    machines = []
    for k in range(draw(st.integers(1, vms))):
        size = draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.0]))
        cpu = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
        state = draw(st.sampled_from(["running"] * 6 + ["ready", "sleeping"]))
        machines.append(
            VM(
                name=f"v{k}",
                state=state,  # type: ignore[arg-type]
                node=None if state == "ready" else f"n{draw(st.integers(0, n - 1))}",
                demand={"cpu": cpu, "memory": size * 1024},
                consumption=draw(st.sampled_from([{}, {"cpu": 0.2}])),
                migratable=draw(st.integers(0, 9)) > 0,
            )
        )
    if viable:
        machines = list(_without_overload(hosts, machines))
    return Cluster(nodes=hosts, vms=tuple(machines))


def _without_overload(hosts: tuple[Node, ...], machines: list[VM]) -> Iterator[VM]:
    room = {h.name: dict(h.capacity) for h in hosts}
    for vm in machines:
        if vm.state == "running" and vm.node is not None:
            here = room[vm.node]
            if any(max(vm.demand[r], vm.used(r)) > here[r] for r in here):
                continue
            for r in here:
                here[r] -= max(vm.demand[r], vm.used(r))
        yield vm


@st.composite
def policies(draw: st.DrawFn, cluster: Cluster) -> Policy:
    """Up to three rules over the names of ``cluster``."""
    names, hosts = [v.name for v in cluster.vms], [n.name for n in cluster.nodes]
    some = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(tuple)
    where = st.lists(st.sampled_from(hosts), min_size=1, max_size=2, unique=True).map(tuple)
    rules: list[AnyRule] = []
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["fence", "ban", "spread", "preserve", "running", "ready"])):
            case "fence":
                rules.append(Fence(vms=draw(some), nodes=draw(where), continuous=draw(st.booleans())))
            case "ban":
                rules.append(Ban(vms=draw(some), nodes=draw(where), continuous=draw(st.booleans())))
            case "spread":
                across = draw(st.sampled_from(["node", "rack"]))
                rules.append(Spread(vms=draw(some), across=across, max=draw(st.integers(1, 2)), continuous=draw(st.booleans())))
            case "preserve":
                rules.append(Preserve(vms=draw(some), resource="cpu", amount=draw(st.sampled_from([0.3, 1.0]))))
            case "running":
                rules.append(Running(vms=draw(some)))
            case _:
                rules.append(Ready(vms=draw(some)))
    return Policy(objective=draw(st.sampled_from(["repair", "consolidate"])), constraints=tuple(rules))


@dataclass(frozen=True)
class Optimum:
    """Least moved memory (MiB) of any viable configuration; and (fewest nodes, least moved memory among those)."""

    repair: float
    consolidate: tuple[int, float]


def brute_force(cluster: Cluster, policy: Policy) -> Optimum | None:
    """Optima over every assignment of the VMs that run at the end; ``None`` when there is no viable one."""
    pick = Selector(cluster)
    goal = {v.name: v.state for v in cluster.vms}
    demand = {v.name: dict(v.demand) for v in cluster.vms}
    domain = {v.name: {n.name for n in cluster.nodes if n.state == "online" and not n.maintenance} for v in cluster.vms}
    groups: list[tuple[set[str], str, int]] = []
    asked: dict[str, str] = {}
    for rule in policy.constraints:
        match rule:
            case Running() | Ready():
                for v in pick.vms(rule.vms):
                    if asked.setdefault(v.name, rule.type) != rule.type:
                        return None
                    goal[v.name] = rule.type
            case Fence() | Ban():
                named = {n.name for n in pick.nodes(rule.nodes)}
                for v in pick.vms(rule.vms):
                    domain[v.name] = domain[v.name] & named if isinstance(rule, Fence) else domain[v.name] - named
            case Spread():
                groups.append(({v.name for v in pick.vms(rule.vms)}, rule.across, rule.max))
            case Preserve():
                for v in pick.vms(rule.vms):
                    demand[v.name][rule.resource] = max(demand[v.name].get(rule.resource, 0.0), rule.amount)
    runs = [v for v in cluster.vms if goal[v.name] == "running"]
    choices = [sorted(domain[v.name] & {v.node} if not v.migratable and v.state != "ready" else domain[v.name]) for v in runs]
    zone = {across: {n.name: n.name if across == "node" else n.labels[across] for n in cluster.nodes} for across in ("node", "rack")}
    found: list[tuple[int, float]] = []
    for hosts in product(*choices):
        place = dict(zip((v.name for v in runs), hosts, strict=True))
        if _overloaded(cluster, place, demand) or any(_crowded(place, zone[a], g, most) for g, a, most in groups):
            continue
        moved = sum(demand[v.name]["memory"] for v in runs if v.state == "running" and place[v.name] != v.node)
        found.append((len(set(hosts)), moved))
    if not found:
        return None
    return Optimum(repair=min(m for _, m in found), consolidate=min(found))


def _overloaded(cluster: Cluster, place: dict[str, str], demand: dict[str, dict[str, float]]) -> bool:
    for node in cluster.nodes:
        here = [v for v, n in place.items() if n == node.name]
        if any(sum(demand[v].get(r, 0.0) for v in here) > node.limit(r) + 1e-6 for r in ("cpu", "memory")):
            return True
    return False


def _crowded(place: dict[str, str], zone: dict[str, str], group: set[str], most: int) -> bool:
    zones = [zone[n] for v, n in place.items() if v in group]
    return any(zones.count(z) > most for z in zones)
