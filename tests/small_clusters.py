"""Small random clusters and policies, and their optima by brute force over every assignment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import (
    Among,
    AnyRule,
    Ban,
    Fence,
    Gather,
    Lonely,
    Preserve,
    Ready,
    ResourceCapacity,
    Running,
    RunningCapacity,
    Split,
    SplitAmong,
    Spread,
)
from entropy.model.selectors import Selector
from entropy.model.values import Selection

__all__ = ["GROUPS", "PLAIN", "Optimum", "brute_force", "clusters", "excess_of", "policies"]


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


PLAIN = ("fence", "ban", "spread", "preserve", "running", "ready")
GROUPS = ("gather", "lonely", "split", "among", "splitAmong", "runningCapacity", "resourceCapacity")
"""Kinds of rules for ``policies``."""


@st.composite
def policies(draw: st.DrawFn, cluster: Cluster, *, kinds: tuple[str, ...] = PLAIN, soft: bool = False, most: int = 3) -> Policy:
    """Up to ``most`` rules of ``kinds`` over the names of ``cluster``; ``soft``: placement rules may be."""
    names, hosts = [v.name for v in cluster.vms], [n.name for n in cluster.nodes]
    some = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(tuple)
    where = st.lists(st.sampled_from(hosts), min_size=1, max_size=2, unique=True).map(tuple)
    rules: list[AnyRule] = []
    for _ in range(draw(st.integers(0, most))):
        rule = draw(_rule(draw(st.sampled_from(kinds)), some, where))
        if soft and not isinstance(rule, Preserve | Running | Ready) and draw(st.booleans()):
            rule = replace(rule, soft=True, weight=draw(st.sampled_from([1.0, 0.5, 3.0])))
        rules.append(rule)
    return Policy(objective=draw(st.sampled_from(["repair", "consolidate"])), constraints=tuple(rules))


Names = st.SearchStrategy[tuple[str, ...]]


@st.composite
def _rule(draw: st.DrawFn, kind: str, some: Names, where: Names) -> AnyRule:
    groups = st.lists(where, min_size=2, max_size=3).map(tuple)
    match kind:
        case "fence":
            return Fence(vms=draw(some), nodes=draw(where), continuous=draw(st.booleans()))
        case "ban":
            return Ban(vms=draw(some), nodes=draw(where), continuous=draw(st.booleans()))
        case "spread":
            across = draw(st.sampled_from(["node", "rack"]))
            return Spread(vms=draw(some), across=across, max=draw(st.integers(1, 2)), continuous=draw(st.booleans()))
        case "preserve":
            return Preserve(vms=draw(some), resource="cpu", amount=draw(st.sampled_from([0.3, 1.0])))
        case "gather":
            return Gather(vms=draw(some), across=draw(st.sampled_from(["node", "rack"])))
        case "lonely":
            return Lonely(vms=draw(some), continuous=draw(st.booleans()))
        case "split":
            return Split(groups=tuple(draw(st.lists(some, min_size=2, max_size=3))), continuous=draw(st.booleans()))
        case "among":
            return Among(vms=draw(some), groups=draw(groups))
        case "splitAmong":
            return SplitAmong(vm_groups=tuple(draw(st.lists(some, min_size=2, max_size=2))), groups=draw(groups))
        case "runningCapacity":
            return RunningCapacity(nodes=draw(where), max=draw(st.integers(0, 3)))
        case "resourceCapacity":
            return ResourceCapacity(nodes=draw(where), resource="memory", max=1024.0 * draw(st.integers(1, 8)))
        case "running":
            return Running(vms=draw(some))
        case _:
            return Ready(vms=draw(some))


@dataclass(frozen=True)
class Optimum:
    """Over the viable configurations that violate soft rules least (``soft``, in the documents' weights): the least moved memory (MiB), and
    (fewest nodes, least moved memory among those)."""

    repair: float
    consolidate: tuple[int, float]
    soft: float = 0.0


def brute_force(cluster: Cluster, policy: Policy) -> Optimum | None:
    """Optima over every assignment of the VMs that run at the end; ``None`` when there is no viable one."""
    pick = Selector(cluster)
    goal = {v.name: v.state for v in cluster.vms}
    demand = {v.name: dict(v.demand) for v in cluster.vms}
    domain = {v.name: {n.name for n in cluster.nodes if n.state == "online" and not n.maintenance} for v in cluster.vms}
    judged: list[tuple[AnyRule, Excess]] = []
    asked: dict[str, str] = {}
    for rule in policy.constraints:
        match rule:
            case Running() | Ready():
                for v in pick.vms(rule.vms):
                    if asked.setdefault(v.name, rule.type) != rule.type:
                        return None
                    goal[v.name] = rule.type
            case Fence() | Ban() if not rule.soft:
                named = {n.name for n in pick.nodes(rule.nodes)}
                for v in pick.vms(rule.vms):
                    domain[v.name] = domain[v.name] & named if isinstance(rule, Fence) else domain[v.name] - named
            case Preserve():
                for v in pick.vms(rule.vms):
                    demand[v.name][rule.resource] = max(demand[v.name].get(rule.resource, 0.0), rule.amount)
            case _:
                judged.append((rule, excess_of(rule, cluster, demand)))
    runs = [v for v in cluster.vms if goal[v.name] == "running"]
    choices = [sorted(domain[v.name] & {v.node} if not v.migratable and v.state != "ready" else domain[v.name]) for v in runs]
    found: list[tuple[float, int, float]] = []
    for hosts in product(*choices):
        place = dict(zip((v.name for v in runs), hosts, strict=True))
        if _overloaded(cluster, place, demand) or any(excess(place) for rule, excess in judged if not rule.soft):
            continue
        moved = sum(demand[v.name]["memory"] for v in runs if v.state == "running" and place[v.name] != v.node)
        found.append((sum(rule.weight * excess(place) for rule, excess in judged if rule.soft), len(set(hosts)), moved))
    if not found:
        return None
    least = min(soft for soft, _, _ in found)
    best = [(nodes, moved) for soft, nodes, moved in found if soft <= least + 1e-9]
    return Optimum(repair=min(m for _, m in best), consolidate=min(best), soft=least)


def _overloaded(cluster: Cluster, place: Place, demand: Mapping[str, Mapping[str, float]]) -> bool:
    for node in cluster.nodes:
        here = [v for v, n in place.items() if n == node.name]
        if any(sum(demand[v].get(r, 0.0) for v in here) > node.limit(r) + 1e-6 for r in ("cpu", "memory")):
            return True
    return False


# -- how far a placement breaks a rule, by the contract ------------------------------------------------------------------------

Place = dict[str, str]
"""VM -> node, of those that run at the end."""
Excess = Callable[[Place], float]


def excess_of(rule: AnyRule, cluster: Cluster, demand: Mapping[str, Mapping[str, float]]) -> Excess:
    """0 where the rule is kept; else the VMs (nodes shared, units) that are too many."""
    pick = Selector(cluster)

    def vms(selection: Selection) -> list[str]:
        return [v.name for v in pick.vms(selection)]

    def nodes(selection: Selection) -> set[str]:
        return {n.name for n in pick.nodes(selection)}

    match rule:
        case Fence() | Ban():
            members, named = vms(rule.vms), nodes(rule.nodes)
            wrong = named if isinstance(rule, Ban) else {n.name for n in cluster.nodes} - named
            return lambda place: sum(place.get(v) in wrong for v in members)
        case Spread():
            members, zone = vms(rule.vms), {n.name: _zone(n, rule.across) for n in cluster.nodes}
            return lambda place: sum(max(n - rule.max, 0) for n in Counter(zone[place[v]] for v in members if v in place).values())
        case Gather():
            zones = {_zone(n, rule.across) for n in cluster.nodes}
            homes, parties = [{n.name for n in cluster.nodes if _zone(n, rule.across) == z} for z in zones], [vms(rule.vms)]
            return lambda place: _outside(place, parties, homes)
        case Among() | SplitAmong():
            homes = [nodes(g) for g in rule.groups]
            parties = [vms(rule.vms)] if isinstance(rule, Among) else [vms(g) for g in rule.vm_groups]
            return lambda place: _outside(place, parties, homes)
        case Lonely():
            group = set(vms(rule.vms))
            return lambda place: _shared(place, {v: {0} if v in group else {1} for v in place})
        case Split():
            classes: dict[str, set[int]] = {}
            for k, selection in enumerate(rule.groups):
                for v in vms(selection):
                    classes.setdefault(v, set()).add(k)
            if rule.soft:  # a VM of two groups counts as one of the first
                classes = {v: {min(k)} for v, k in classes.items()}
            return lambda place: _shared(place, {v: k for v, k in classes.items() if v in place})
        case RunningCapacity():
            named, most = nodes(rule.nodes), rule.max
            return lambda place: max(sum(n in named for n in place.values()) - most, 0)
        case ResourceCapacity():
            named, amount = nodes(rule.nodes), {v: table[rule.resource] for v, table in demand.items()}
            return lambda place: max(sum(amount[v] for v, n in place.items() if n in named) - rule.max, 0.0)
    raise AssertionError(f"{rule.type} is not judged here")


def _zone(node: Node, across: str) -> str:
    return node.name if across == "node" else node.labels[across]


def _outside(place: Place, parties: list[list[str]], homes: list[set[str]]) -> int:
    """VMs outside of their party's home, no home for two parties, by the best choice of homes; a party may have none."""
    there = [[place[v] for v in party if v in place] for party in parties]
    choices = product(range(-1, len(homes)), repeat=len(parties))
    allowed = [c for c in choices if len(real := [k for k in c if k >= 0]) == len(set(real))]
    return min(sum(k < 0 or n not in homes[k] for k, hosts in zip(c, there, strict=True) for n in hosts) for c in allowed)


def _shared(place: Place, classes: Mapping[str, set[int]]) -> int:
    """Classes beyond the first on each node."""
    on: dict[str, set[int]] = {}
    for v, k in classes.items():
        on.setdefault(place[v], set()).update(k)
    return sum(len(k) - 1 for k in on.values())
