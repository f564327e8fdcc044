"""What each action of a plan changes, and what the plan as a whole achieves, told from the documents alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import Overbook, Preserve
from entropy.model.selectors import Selector

__all__ = ["Effect", "Figures", "figures", "in_order", "replay", "with_rules"]

_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Effect:
    """The cluster once an action and all before it are done: nodes that run at least one VM, nodes above their limit."""

    nodes_in_use: int
    overloaded: int


@dataclass(frozen=True, slots=True)
class Figures:
    """A plan's figures, recomputed; moved memory in MiB, duration in seconds (forecast)."""

    nodes_before: int
    nodes_after: int
    moved_memory: float
    migrations: int
    duration: float


def with_rules(cluster: Cluster, policy: Policy) -> Cluster:
    """The cluster with the rules that change figures applied: ``preserve`` raises demands, ``overbook`` sets overcommit."""
    select = Selector(cluster, lenient=True)
    vms: dict[str, VM] = {}
    nodes: dict[str, Node] = {}
    for rule in policy.constraints:
        if isinstance(rule, Preserve) and not rule.soft:
            for vm in select.vms(rule.vms):
                now = vms.get(vm.name, vm)
                demand = {**now.demand, rule.resource: max(now.demand.get(rule.resource, 0.0), rule.amount)}
                used = {**now.consumption, rule.resource: now.used(rule.resource)}
                vms[vm.name] = replace(now, demand=demand, consumption=used)
        elif isinstance(rule, Overbook) and not rule.soft:
            for node in select.nodes(rule.nodes):
                here = nodes.get(node.name, node)
                nodes[node.name] = replace(here, overcommit={**here.overcommit, rule.resource: rule.ratio})
    if not vms and not nodes:
        return cluster
    return replace(
        cluster,
        nodes=tuple(nodes.get(n.name, n) for n in cluster.nodes),
        vms=tuple(vms.get(v.name, v) for v in cluster.vms),
    )


def in_order(plan: Plan) -> list[Action]:
    """The actions as the forecast starts them; of those that start together, the one that others wait for first."""
    rank = plan.topological
    return sorted(plan.actions, key=lambda a: (a.start, rank[a.id]))


def figures(cluster: Cluster, plan: Plan) -> Figures:
    """The figures of ``plan`` for ``cluster``; an action on a VM that the cluster does not have counts nothing."""
    moved = 0.0
    for action in plan.actions:
        vm = cluster.vm_by_name.get(action.vm or "")
        if vm is not None and action.type in ("migrate", "suspend", "resume"):
            moved += vm.demand.get("memory", 0.0)
    last = Effect(len(cluster.running_on), 0)
    for _action, effect in replay(cluster, plan):
        last = effect
    return Figures(
        nodes_before=len(cluster.running_on),
        nodes_after=last.nodes_in_use,
        moved_memory=moved,
        migrations=sum(a.type == "migrate" for a in plan.actions),
        duration=max((a.end for a in plan.actions), default=0.0),
    )


def replay(cluster: Cluster, plan: Plan) -> Iterator[tuple[Action, Effect]]:
    """Each action in forecast order with the effect of all up to it.  Trusts the plan: what is unsafe is ``verify``'s to find."""
    state = _State(cluster)
    for action in in_order(plan):
        state.do(action)
        yield action, Effect(state.in_use, len(state.overloaded))


class _State:
    """Loads of the nodes, brought up to date action by action."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.load: dict[str, dict[str, float]] = {n.name: {} for n in cluster.nodes}
        self.running = {n.name: 0 for n in cluster.nodes}
        self.in_use = 0
        self.overloaded: set[str] = set()
        for node, vms in cluster.running_on.items():
            for vm in vms:
                self._add(node, vm, +1)
        for node in self.load:
            self._judge(node)

    def do(self, action: Action) -> None:
        vm = self.cluster.vm_by_name.get(action.vm or "")
        if vm is None:
            return
        for node, sign in ((self._left(action, vm), -1), (action.enters, +1)):
            if node in self.load:
                self._add(node, vm, sign)
                self._judge(node)

    @staticmethod
    def _left(action: Action, vm: VM) -> str | None:
        return None if action.type == "stop" and vm.state == "sleeping" else action.leaves

    def _add(self, node: str, vm: VM, sign: int) -> None:
        here = self.load[node]
        for resource, amount in vm.demand.items():
            here[resource] = here.get(resource, 0.0) + sign * amount
        before = self.running[node]
        self.running[node] = before + sign
        self.in_use += (before + sign > 0) - (before > 0)

    def _judge(self, node: str) -> None:
        host = self.cluster.node_by_name[node]
        above = any(amount > host.limit(resource) + _TOLERANCE for resource, amount in self.load[node].items())
        (self.overloaded.add if above else self.overloaded.discard)(node)
