"""Small random clusters, policies and plans: plausible enough that many are safe, careless enough that many are not.

All amounts are small integers; every draw comes from the ``Random`` passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from entropy.model import rules as catalogue
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule

__all__ = ["RandomCase", "random_case"]


@dataclass(frozen=True)
class RandomCase:
    cluster: Cluster
    plan: Plan
    policy: Policy
    target: Cluster | None


def random_case(rng: Random, *, most_actions: int = 5) -> RandomCase:
    """One case; about a third come out safe."""
    cluster = _cluster(rng)
    walk = _Walk(rng, cluster)
    for _ in range(rng.randint(0, most_actions)):
        walk.step()
    rules: list[AnyRule] = [_rule(rng, cluster, k) for k in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    target = None
    if rng.random() < 0.15:
        target = walk.reached()
    else:
        rules += walk.permissions()
    rng.shuffle(rules)
    policy = Policy(constraints=tuple(rules), allow_suspend=rng.random() < 0.7)
    actions = walk.actions
    rng.shuffle(actions)
    return RandomCase(cluster, Plan(actions=tuple(actions)), policy, target)


def _cluster(rng: Random) -> Cluster:
    nodes = []
    roomy = rng.random() < 0.5
    for k in range(rng.randint(2, 4)):
        offline = rng.random() < 0.1
        capacity = {"cpu": float(rng.randint(2, 6) + 8 * roomy), "memory": float(rng.randint(2, 6) + 8 * roomy)}
        if rng.random() < 0.1:
            capacity["gpu"] = 1.0
        nodes.append(
            Node(
                name=f"n{k}",
                state="offline" if offline else "online",
                maintenance=rng.random() < 0.03,
                capacity=capacity,
                overcommit={"cpu": rng.choice([0.5, 1.5, 2.0])} if rng.random() < 0.2 else {},
                labels={"rack": rng.choice(["r1", "r2"])} if rng.random() < 0.8 else {},
            )
        )
    online = [n.name for n in nodes if n.state == "online"]
    vms = []
    for k in range(rng.randint(1, 5)):
        state = rng.choice(["running"] * 6 + ["sleeping", "ready"]) if online else "ready"
        demand = {"cpu": float(rng.randint(0, 3)), "memory": float(rng.randint(1, 3))}
        if rng.random() < 0.1:
            demand["gpu"] = 1.0
        vms.append(
            VM(
                name=f"v{k}",
                state=state,  # type: ignore[arg-type]
                node=None if state == "ready" else rng.choice(online),
                demand=demand,
                consumption={"cpu": float(rng.randint(0, 3))} if rng.random() < 0.3 else {},
                labels={"app": rng.choice(["a", "b"])},
                migratable=rng.random() < 0.93,
            )
        )
    return Cluster(nodes=tuple(nodes), vms=tuple(vms))


class _Walk:
    """A plan made step by step, mostly aware of where each VM is by then."""

    def __init__(self, rng: Random, cluster: Cluster) -> None:
        self.rng, self.cluster = rng, cluster
        self.state: dict[str, str] = {vm.name: vm.state for vm in cluster.vms}
        self.node: dict[str, str | None] = {vm.name: vm.node for vm in cluster.vms}
        self.power: dict[str, str] = {node.name: node.state for node in cluster.nodes}
        self.last: dict[str, str] = {}
        self.actions: list[Action] = []

    def step(self) -> None:
        rng = self.rng
        if rng.random() < 0.12:
            node = rng.choice(self.cluster.nodes).name
            up = self.power[node] == "offline"
            self.power[node] = "online" if up else "offline"
            self._add(node, type="startup" if up else "shutdown", node=node)
            return
        vm = rng.choice(self.cluster.vms).name
        home = self.node[vm]
        online = [n for n, state in self.power.items() if state == "online"] or list(self.power)
        other = rng.choice([n for n in online if n != home] or online)
        if self.state[vm] == "running":
            kind = rng.choice(["migrate"] * 8 + ["suspend", "stop"])
            if kind == "migrate":
                self._add(vm, type=kind, vm=vm, source=self._slip(home), target=other)
                self.node[vm] = other
            else:
                self._add(vm, type=kind, vm=vm, node=self._slip(home))
                self.state[vm] = "sleeping" if kind == "suspend" else "ready"
                self.node[vm] = home if kind == "suspend" else None
        elif self.state[vm] == "sleeping":
            there = home if rng.random() < 0.7 else other
            self._add(vm, type="resume", vm=vm, source=self._slip(home), target=there)
            self.state[vm], self.node[vm] = "running", there
        else:
            self._add(vm, type="run", vm=vm, node=other)
            self.state[vm], self.node[vm] = "running", other

    def _slip(self, node: str | None) -> str | None:
        return node if self.rng.random() < 0.98 else self.rng.choice(list(self.power))

    def _add(self, subject: str, **fields: Any) -> None:
        rng = self.rng
        after = {a.id for a in self.actions if rng.random() < 0.3}
        if subject in self.last and rng.random() < 0.97:
            after.add(self.last[subject])
        ends = [a.end for a in self.actions if a.id in after]
        start = max(ends, default=0.0) + rng.choice([0.0, 0.0, 1.0])
        if rng.random() < 0.01:
            start = 0.0
        name = f"a{len(self.actions)}"
        self.actions.append(Action(id=name, start=start, end=start + rng.choice([0.5, 1.0, 3.0]), after=tuple(sorted(after)), **fields))
        self.last[subject] = name

    def permissions(self) -> list[AnyRule]:
        """Rules that ask for what the walk did to states, most of the time."""
        rules: list[AnyRule] = []
        for vm in self.cluster.vms:
            if self.state[vm.name] != vm.state and self.rng.random() < 0.9:
                rule = {"running": catalogue.Running, "sleeping": catalogue.Sleeping, "ready": catalogue.Ready}[self.state[vm.name]]
                rules.append(rule(name=f"state of {vm.name}", vms=vm.name))
        for node in self.cluster.nodes:
            if node.name in self.last and self.rng.random() < 0.9:
                ends = catalogue.Online if self.power[node.name] == "online" else catalogue.Offline
                rules.append(ends(name=f"state of {node.name}", nodes=node.name))
        return rules

    def reached(self) -> Cluster:
        """A target: what the walk leads to, now and then something else."""
        vms: list[VM] = []
        for vm in self.cluster.vms:
            state, node = self.state[vm.name], self.node[vm.name]
            if (state == "running" and node is not None and self.power[node] == "offline") or self.rng.random() < 0.03:
                continue
            vms.append(replace(vm, state=state, node=node))  # type: ignore[arg-type]
        nodes = [replace(n, state=self.power[n.name]) for n in self.cluster.nodes]  # type: ignore[arg-type]
        return Cluster(nodes=tuple(nodes), vms=tuple(vms))


def _rule(rng: Random, cluster: Cluster, k: int) -> AnyRule:
    def some(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(rng.sample(list(names), rng.randint(1, len(names))))

    vms, nodes = some([v.name for v in cluster.vms]), some([n.name for n in cluster.nodes])
    groups = tuple(some([n.name for n in cluster.nodes]) for _ in range(rng.randint(1, 3)))
    if rng.random() < 0.5:
        groups = tuple((n.name,) for n in cluster.nodes)
    parties = tuple(some([v.name for v in cluster.vms]) for _ in range(rng.randint(2, 3)))
    if rng.random() < 0.7 and len(vms) > 1:
        parties = (vms[:1], vms[1:])
    name, cont, across = f"rule {k}", rng.random() < 0.7, rng.choice(["node", "rack"])
    most = rng.randint(1, 3)
    makers: list[AnyRule] = [
        catalogue.Fence(name=name, vms=vms, nodes=nodes, continuous=cont),
        catalogue.Ban(name=name, vms=vms, nodes=nodes, continuous=cont),
        catalogue.Root(name=name, vms=vms),
        catalogue.Spread(name=name, vms=vms, across=across, max=rng.choice([1, 1, 2]), continuous=cont),
        catalogue.Spread(name=name, vms=vms, across=across, max=rng.choice([1, 1, 2])),
        catalogue.Gather(name=name, vms=vms, across=across, continuous=cont),
        catalogue.Lonely(name=name, vms=vms, continuous=cont),
        catalogue.Split(name=name, groups=parties, continuous=cont),
        catalogue.Among(name=name, vms=vms, groups=groups, continuous=cont),
        catalogue.SplitAmong(name=name, vm_groups=parties, groups=groups, continuous=cont),
        catalogue.Quarantine(name=name, nodes=nodes),
        catalogue.MaxOnline(name=name, max=most, continuous=cont),
        catalogue.RunningCapacity(name=name, nodes=nodes, max=most, continuous=cont),
        catalogue.ResourceCapacity(name=name, nodes=nodes, resource="memory", max=float(2 * most), continuous=cont),
        catalogue.Preserve(name=name, vms=vms, resource="cpu", amount=float(most)),
        catalogue.Overbook(name=name, nodes=nodes, resource="cpu", ratio=rng.choice([0.5, 2.0])),
        catalogue.NoDelay(name=name, vms=vms),
        catalogue.Sequence(name=name, vms=vms),
        catalogue.Serialize(name=name, vms=vms),
        catalogue.Sync(name=name, vms=vms),
        catalogue.Precedence(name=name, before=vms, after=some([v.name for v in cluster.vms])),
        catalogue.Deadline(name=name, vms=vms, seconds=float(rng.randint(1, 6))),
        catalogue.Killed(name=name, vms=vms[:1]),
        catalogue.Online(name=name, nodes=nodes[:1]),
        catalogue.Offline(name=name, nodes=nodes[:1]),
    ]
    return rng.choice(makers)
