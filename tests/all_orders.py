"""Every order of events that a tiny plan allows, enumerated and looked at one state after another.

Shares nothing with ``entropy.verification`` but the contract: it knows no minimum cut and no ancestors, it just does every
start and every end that is possible, from every state, and looks at the cluster that results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from entropy.model.cluster import Cluster
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.selectors import Selector

__all__ = ["Finding", "what_can_go_wrong"]

Finding = tuple[str, str]
"""("story", vm), ("power", node), ("capacity", node), ("rule", name)."""

TOL = 1e-4


@dataclass(frozen=True)
class Machine:
    """A VM at one instant; ``at``: (node, brought there by the plan?) for each node on which it takes room."""

    state: str
    node: str | None
    busy: str | None
    at: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Instant:
    vms: dict[str, Machine]
    power: dict[str, str]
    waiting: frozenset[str]
    running: frozenset[str]

    def on(self, node: str) -> set[str]:
        return {v for v, machine in self.vms.items() if any(n == node for n, _ in machine.at)}


def what_can_go_wrong(cluster: Cluster, plan: Plan, policy: Policy, target: Cluster | None = None) -> set[Finding]:
    """Stories that fail (then nothing else is looked at), or nodes and rules that some order of events breaks."""
    return _World(cluster, plan, policy, target).look()


class _World:
    def __init__(self, cluster: Cluster, plan: Plan, policy: Policy, target: Cluster | None) -> None:
        self.cluster, self.plan, self.target = cluster, plan, target
        self.rules: list[Any] = [r for r in policy.constraints if not r.soft]
        select = Selector(cluster)
        self.vms: Callable[[Any], list[str]] = lambda s: [v.name for v in select.vms(s)]
        self.nodes: Callable[[Any], list[str]] = lambda s: [n.name for n in select.nodes(s)]
        self.resources = ("cpu", "memory", "gpu")
        self.found: set[Finding] = set()
        self.faults: set[Finding] = set()

    # -- the walk over all states -----------------------------------------------------------------------------------

    def look(self) -> set[Finding]:
        first = Instant(
            {v.name: Machine(v.state, v.node, None, ((str(v.node), False),) if v.state == "running" else ()) for v in self.cluster.vms},
            {n.name: n.state for n in self.cluster.nodes},
            frozenset(a.id for a in self.plan.actions),
            frozenset(),
        )
        self.first, self.last = first, first
        seen = {(first.waiting, first.running)}
        instants = [first]
        for now in instants:
            self._look_at(now)
            if not now.waiting and not now.running:
                self.last = now
            for a in self.plan.actions:
                if a.id in now.running:
                    after = self._end(now, a)
                elif a.id in now.waiting and not set(a.after) & (now.waiting | now.running):
                    after = self._start(now, a)
                    self._look_at_start(now, after, a)
                else:
                    continue
                if (after.waiting, after.running) not in seen:
                    seen.add((after.waiting, after.running))
                    instants.append(after)
        if self.faults:
            return self.faults
        for finding in self._look_at_end(self.last):
            self.found.add(finding)
        self._look_at_gatherings(instants)
        return self.found

    def _start(self, now: Instant, a: Action) -> Instant:
        vms, power = dict(now.vms), dict(now.power)
        if a.vm is None:
            ok = power[str(a.node)] == ("offline" if a.type == "startup" else "online")
            if not ok:
                self.found.add(("power", str(a.node)))
            power[str(a.node)] = "starting" if a.type == "startup" else "stopping"
        else:
            m = vms[a.vm]
            wants = {"migrate": "running", "suspend": "running", "stop": m.state, "run": "ready", "resume": "sleeping"}[a.type]
            wrong = m.busy is not None or m.state != wants or (m.state == "ready" and a.type == "stop")
            wrong = wrong or (a.type != "run" and m.node != (a.source or a.node)) or (a.type == "migrate" and a.source == a.target)
            free = next(v.migratable for v in self.cluster.vms if v.name == a.vm)
            wrong = wrong or (not free and a.type in ("migrate", "resume") and a.source != a.target)
            if wrong:
                self.faults.add(("story", a.vm))
            at = (*m.at, (str(a.enters), True)) if a.enters else m.at
            vms[a.vm] = replace(m, busy=a.id, at=at)
        return Instant(vms, power, now.waiting - {a.id}, now.running | {a.id})

    def _end(self, now: Instant, a: Action) -> Instant:
        vms, power = dict(now.vms), dict(now.power)
        if a.vm is None:
            power[str(a.node)] = "online" if a.type == "startup" else "offline"
        elif a.enters:
            vms[a.vm] = Machine("running", a.enters, None, ((a.enters, True),))
        else:
            vms[a.vm] = Machine("sleeping", a.node, None, ()) if a.type == "suspend" else Machine("ready", None, None, ())
        return Instant(vms, power, now.waiting, now.running - {a.id})

    # -- amounts ------------------------------------------------------------------------------------------------------

    def demand(self, vm: str, resource: str) -> float:
        amounts = [r.amount for r in self.rules if r.type == "preserve" and r.resource == resource and vm in self.vms(r.vms)]
        return max([self.cluster.vm_by_name[vm].demand.get(resource, 0.0), *amounts])

    def limit(self, node: str, resource: str) -> float:
        host = self.cluster.node_by_name[node]
        ratios = [r.ratio for r in self.rules if r.type == "overbook" and r.resource == resource and node in self.nodes(r.nodes)]
        return host.capacity.get(resource, 0.0) * ([host.overcommit.get(resource, 1.0), *ratios][-1])

    def load(self, now: Instant, node: str, resource: str) -> float:
        total = 0.0
        for vm, m in now.vms.items():
            for where, brought in m.at:
                if where == node:
                    stays = not any(a.vm == vm for a in self.plan.actions)
                    uses = self.cluster.vm_by_name[vm].used(resource)
                    total += self.demand(vm, resource) if brought or stays else uses
        return total

    # -- looking --------------------------------------------------------------------------------------------------------

    def _look_at(self, now: Instant) -> None:
        for node, power in now.power.items():
            touched = any(node in a.nodes and a.vm is not None for a in self.plan.actions if a.id in now.running)
            if power != "online" and (touched or now.on(node)):
                self.found.add(("power", node))
        for rule in self.rules:
            if rule.type in ("sequence", "serialize", "precedence") and not self._in_time(rule, now):
                self.found.add(("rule", rule.name))

    def _in_time(self, rule: Any, now: Instant) -> bool:
        of = {a.id: a.vm for a in self.plan.actions}
        begun = {i for i in of if i not in now.waiting}
        if rule.type == "serialize":
            return sum(of[i] in self.vms(rule.vms) for i in now.running) <= 1
        chain = [[v] for v in self.vms(rule.vms)] if rule.type == "sequence" else [self.vms(rule.before), self.vms(rule.after)]
        for k, later in enumerate(chain):
            earlier = {v for part in chain[:k] for v in part}
            unfinished = any(of[i] in earlier for i in now.waiting | now.running)
            if unfinished and any(of[i] in later for i in begun):
                return False
        return True

    def _look_at_start(self, before: Instant, after: Instant, a: Action) -> None:
        if a.enters:
            for resource in self.resources:
                added = self.demand(str(a.vm), resource) > 0
                if added and self.load(after, a.enters, resource) > self.limit(a.enters, resource) + TOL:
                    self.found.add(("capacity", a.enters))
        for rule in self.rules:
            if not self._may_start(rule, before, after, a):
                self.found.add(("rule", rule.name))

    def _may_start(self, rule: Any, before: Instant, after: Instant, a: Action) -> bool:
        match rule.type:
            case "spread" | "runningCapacity" | "resourceCapacity" | "maxOnline" if rule.continuous:
                old, new = self._counts(rule, before), self._counts(rule, after)
                return all(new[z] <= rule.max + TOL or new[z] <= old.get(z, 0) + TOL for z in new)
            case "fence" if rule.continuous and a.enters and a.vm in self.vms(rule.vms):
                return a.enters in self.nodes(rule.nodes)
            case "ban" if rule.continuous and a.enters and a.vm in self.vms(rule.vms):
                return a.enters not in self.nodes(rule.nodes)
            case "root" if a.enters and a.vm in self.vms(rule.vms):
                homes = {n for n, _ in self.first.vms[a.vm].at}
                homes |= {str(b.enters) for b in self.plan.actions if b.vm == a.vm and b.enters and b.id not in before.waiting}
                return homes <= {a.enters}
            case "quarantine":
                if a.vm is None or a.enters in self.nodes(rule.nodes):
                    return a.vm is None
                asked = {"stop": "ready", "suspend": "sleeping"}.get(a.type) == self._wanted(str(a.vm))
                image = a.vm is not None and before.vms[a.vm].state == "sleeping"
                return a.leaves not in self.nodes(rule.nodes) or asked or image
            case "lonely" | "split" if rule.continuous and a.enters:
                return not any(self._strangers(rule, str(a.vm), v) for v in after.on(a.enters))
        return True

    def _counts(self, rule: Any, now: Instant) -> dict[str, float]:
        if rule.type == "maxOnline":
            return {"": sum(now.power[n] != "offline" for n in self.nodes(rule.nodes))}
        inside = None if rule.type == "spread" else set(self.nodes(rule.nodes))
        counts: dict[str, float] = {}
        for vm, m in now.vms.items():
            if rule.type == "spread" and vm not in self.vms(rule.vms):
                continue
            value = self.demand(vm, rule.resource) if rule.type == "resourceCapacity" else 1.0
            zones = {self._zone(n, rule.across) for n, _ in m.at} if inside is None else {"" for n, _ in m.at if n in inside}
            for z in zones:
                counts[z] = counts.get(z, 0.0) + value
        return counts

    def _zone(self, node: str, across: str) -> str:
        return node if across == "node" else self.cluster.node_by_name[node].labels.get(across, f"alone {node}")

    def _strangers(self, rule: Any, u: str, v: str) -> bool:
        if rule.type == "lonely":
            return (u in self.vms(rule.vms)) != (v in self.vms(rule.vms))
        groups = [set(self.vms(g)) for g in rule.groups]
        return any(u in p and v in q for j, p in enumerate(groups) for k, q in enumerate(groups) if j != k)

    def _wanted(self, vm: str) -> str:
        if self.target is not None:
            return next((v.state for v in self.target.vms if v.name == vm), "ready")
        wanted: str = self.cluster.vm_by_name[vm].state
        for rule in self.rules:
            if rule.type in ("running", "sleeping", "ready", "killed") and vm in self.vms(rule.vms):
                wanted = "ready" if rule.type == "killed" else rule.type
        return wanted

    def _look_at_end(self, last: Instant) -> Iterator[Finding]:
        for node in last.power:
            for resource in self.resources:
                total = sum(self.demand(v, resource) for v in last.on(node))
                if total > self.limit(node, resource) + TOL:
                    yield "capacity", node
        for rule in self.rules:
            if not self._holds_at_end(rule, last):
                yield "rule", rule.name

    def _holds_at_end(self, rule: Any, last: Instant) -> bool:
        acts = [a for a in self.plan.actions if hasattr(rule, "vms") and a.vm in self.vms(rule.vms)]
        where = {v: m.at[0][0] for v, m in last.vms.items() if m.at}
        match rule.type:
            case "spread" | "runningCapacity" | "resourceCapacity" | "maxOnline":
                return all(count <= rule.max + TOL for count in self._counts(rule, last).values())
            case "fence":
                return all(n in self.nodes(rule.nodes) for v, n in where.items() if v in self.vms(rule.vms))
            case "ban":
                return all(n not in self.nodes(rule.nodes) for v, n in where.items() if v in self.vms(rule.vms))
            case "lonely" | "split":
                return not any(self._strangers(rule, u, v) for u in where for v in where if where[u] == where[v])
            case "online" | "offline":
                return all(last.power[n] == rule.type for n in self.nodes(rule.nodes))
            case "noDelay":
                first = {a.vm: a for a in sorted(acts, key=lambda a: self.plan.topological[a.id], reverse=True)}
                return not any(a.after for a in first.values())
            case "deadline":
                return all(a.end <= rule.seconds + TOL for a in acts)
            case "sync":
                ends = {v: max(self.plan.topological[a.id] for a in acts if a.vm == v) for v in {a.vm for a in acts}}
                times = [a.end for a in acts if self.plan.topological[a.id] == ends[a.vm]]
                return not times or max(times) - min(times) <= 1e-3
        return True

    # -- gather, among, splitAmong ----------------------------------------------------------------------------------------

    def _look_at_gatherings(self, instants: list[Instant]) -> None:
        for rule in self.rules:
            if rule.type not in ("gather", "among", "splitAmong"):
                continue
            parties = [self.vms(g) for g in rule.vm_groups] if rule.type == "splitAmong" else [self.vms(rule.vms)]
            arrivals = [(k, str(a.enters)) for a in self.plan.actions if a.enters for k, p in enumerate(parties) if a.vm in p]
            final = self._present(parties, self.last)
            if not self._homes_exist(rule, parties, final):
                self.found.add(("rule", rule.name))
            elif rule.continuous and self._homes_exist(rule, parties, self._present(parties, self.first)):
                if not all(self._homes_exist(rule, parties, self._present(parties, now)) for now in instants):
                    self.found.add(("rule", rule.name))
            elif rule.continuous:
                bound = {k for k, _ in final}
                if not self._homes_exist(rule, parties, final + [x for x in arrivals if x[0] in bound]):
                    self.found.add(("rule", rule.name))

    @staticmethod
    def _present(parties: list[list[str]], now: Instant) -> list[tuple[int, str]]:
        return [(k, n) for k, party in enumerate(parties) for v in party for n, _ in now.vms[v].at]

    def _homes_exist(self, rule: Any, parties: list[list[str]], present: list[tuple[int, str]]) -> bool:
        used = sorted({k for k, _ in present})
        if rule.type == "gather":
            return len({self._zone(n, rule.across) for _, n in present}) <= 1
        groups = [set(self.nodes(g)) for g in rule.groups]
        for choice in product(range(len(groups)), repeat=len(used)):
            home = dict(zip(used, choice, strict=True))
            if len(set(choice)) == len(choice) and all(n in groups[home[k]] for k, n in present):
                return True
        return False
