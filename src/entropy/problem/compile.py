"""A cluster and a policy, compiled into the arrays of ``Problem``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.constraints.catalogue import compile_rule
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.selectors import Selector
from entropy.problem.draft import Draft
from entropy.problem.problem import Bools, Indices, Integers, Problem, State, Together, Unsatisfied
from entropy.problem.scaling import Scale, scale_of
from entropy.problem.togetherness import confined_to_now, only_zone

__all__ = ["compile_problem"]

_STATE = {"ready": State.READY, "running": State.RUNNING, "sleeping": State.SLEEPING}


def compile_problem(cluster: Cluster, policy: Policy, *, held: Collection[str] = (), lenient: bool = False) -> Problem:
    """The problem of bringing ``cluster`` to what ``policy`` asks.

    ``held``: names of running VMs that stay where they are unless a rule drives them out.  ``lenient``: rules may name what
    no longer exists, with a warning.  Raises ``InputError`` for a rule that cannot be planned for.
    """
    selector = Selector(cluster, lenient)
    draft = Draft(cluster, selector)
    for k, rule in enumerate(policy.constraints):
        compile_rule(rule, draft, f"constraints[{k}]")
    amounts = _amounts(cluster, draft)
    state = np.array([_STATE[v.state] for v in cluster.vms], dtype=np.int8)
    goal = state.copy()
    for v, wanted in draft.goal.items():
        goal[v] = wanted
    host = np.array([-1 if v.node is None else draft.node_index[v.node] for v in cluster.vms], dtype=np.int32)
    online = np.array([n.state == "online" for n in cluster.nodes], dtype=np.bool_)
    power = online.copy()
    for n, on in draft.power.items():
        power[n] = on
    untouchable = np.array([bool(n.untouchable) or k in draft.closed for k, n in enumerate(cluster.nodes)], dtype=np.bool_)
    maintenance = np.array([n.maintenance for n in cluster.nodes], dtype=np.bool_)
    usable = power & ~untouchable & ~maintenance
    groups = tuple(_groups(draft, host, state, goal))
    domains = _Domains(usable)
    domain_of = [domains.row((*draft.domains.get(v, ()), *_image(vm, int(host[v]), usable))) for v, vm in enumerate(cluster.vms)]
    path_of = [domains.row(draft.paths.get(v, ())) for v in range(len(cluster.vms))]
    table = domains.table()
    memory = amounts.resources.index("memory") if "memory" in amounts.resources else -1
    problem = Problem(
        cluster=cluster,
        resources=amounts.resources,
        scale=amounts.scale,
        offered=amounts.offered,
        capacity=amounts.capacity,
        demand=amounts.demand,
        consumption=amounts.consumption,
        weight=amounts.demand[:, memory].copy() if memory >= 0 else np.zeros(len(cluster.vms), dtype=np.int64),
        state=state,
        goal=goal,
        host=host,
        domain_of=np.array(domain_of, dtype=np.int32),
        path_of=np.array(path_of, dtype=np.int32),
        domains=table,
        migratable=np.array([v.migratable for v in cluster.vms], dtype=np.bool_),
        held=np.zeros(len(cluster.vms), dtype=np.bool_),
        may_stay=np.array([_may_stay(draft, v, int(host[v]), power) for v in range(len(cluster.vms))], dtype=np.bool_),
        online=online,
        power=power,
        maintenance=maintenance,
        untouchable=untouchable,
        limits=tuple(draft.limits),
        together=groups,
        disjoint=tuple(draft.apart),
        set_limits=draft.set_limits(amounts.limit),
        usage_limits=tuple(draft.usage_limits),
        preferences=tuple(draft.preferences),
        allow_suspend=policy.allow_suspend,
        contradictions=(*draft.contradictions, *_torn(draft, goal)),
        warnings=tuple(selector.warnings),
    )
    problem.held[:] = _held(problem, draft, held)
    return problem


def _groups(draft: Draft, host: Indices, state: npt.NDArray[np.int8], goal: npt.NDArray[np.int8]) -> Iterator[Together]:
    """The groups that have a choice: one that must stay in the zone it has is no more than a domain."""
    for group in draft.groups:
        confined = confined_to_now(group, host, state, goal, len(draft.cluster.nodes))
        if confined is group or not only_zone(confined):
            yield confined
            continue
        draft.allow(confined.members.tolist(), confined.zone_nodes.tolist(), only=True, continuous=True)
        if confined.family >= 0:
            yield confined


def _torn(draft: Draft, goal: npt.NDArray[np.int8]) -> Iterator[Unsatisfied]:
    """VMs that must run and that a rule forbids to share a node with themselves."""
    for v, source in draft.torn:
        if goal[v] == State.RUNNING:
            yield Unsatisfied(text=f"rule {source}: VM {draft.cluster.vms[v].name} is in two of its groups, so it may run on no node", vm=v)


def _image(vm: VM, n: int, usable: Bools) -> tuple[Bools, ...]:
    """A VM that sleeps and is not migratable runs nowhere but where its image lies."""
    if vm.state != "sleeping" or vm.migratable:
        return ()
    mask = np.zeros_like(usable)
    mask[n] = True
    return (mask,)


def _may_stay(draft: Draft, v: int, n: int, power: Bools) -> bool:
    allowed = n < 0 or (bool(power[n]) and not draft.cluster.nodes[n].maintenance)
    return allowed and all(bool(mask[n]) for mask in draft.domains.get(v, ()))


def _held(problem: Problem, draft: Draft, held: Collection[str]) -> Bools:
    """VMs that end on their host whatever else would be better: not migratable, rooted, on a closed node, cooling down."""
    runs = problem.state == State.RUNNING
    images = problem.state == State.SLEEPING
    stuck = ~problem.migratable & (runs | images)
    stuck[list(draft.pinned)] |= runs[list(draft.pinned)]
    placed = problem.host >= 0
    stuck[placed] |= problem.untouchable[problem.host[placed]]
    cooling = np.zeros(problem.n_vms, dtype=np.bool_)
    cooling[[draft.vm_index[name] for name in held if name in draft.vm_index]] = True
    cooling &= runs
    cooling[placed] &= problem.domains[problem.domain_of[placed], problem.host[placed]]
    return np.asarray(stuck | cooling)


@dataclass(frozen=True)
class _Amounts:
    resources: tuple[str, ...]
    scale: npt.NDArray[np.float64]
    offered: npt.NDArray[np.float64]
    capacity: Integers
    demand: Integers
    consumption: Integers
    scales: Mapping[str, Scale]

    def limit(self, resource: str, most: float) -> tuple[Integers, int, float]:
        """What each VM takes of ``resource``, ``most`` of it, and the scale of both; "": one for each VM, whole."""
        if resource == "":
            return np.ones(len(self.demand), dtype=np.int64), int(most), 1.0
        if resource not in self.scales:  # nobody takes any
            return np.zeros(len(self.demand), dtype=np.int64), 0, 1.0
        k = self.resources.index(resource)
        return self.demand[:, k].copy(), int(self.scales[resource].capacity(np.array([most]))[0]), float(self.scale[k])


def _amounts(cluster: Cluster, draft: Draft) -> _Amounts:
    """All amounts as integers.  A resource that nobody demands or consumes is left out: it cannot bind."""
    asked = {r for (_, r), amount in draft.least.items() if amount > 0}
    wanted = {r for v in cluster.vms for table in (v.demand, v.consumption) for r, amount in table.items() if amount > 0} | asked
    resources = tuple(r for r in (*cluster.resources, *sorted(asked - set(cluster.resources))) if r in wanted)
    scales, limits, capacity, demand, consumption = {}, [], [], [], []
    for r in resources:
        needed = np.array([_needed(v, r, draft.least.get((k, r), 0.0)) for k, v in enumerate(cluster.vms)], dtype=np.float64)
        used = np.array([v.used(r) for v in cluster.vms], dtype=np.float64)
        offered = np.array([_offered(n, r, draft.ratio.get((k, r))) for k, n in enumerate(cluster.nodes)], dtype=np.float64)
        scale = scale_of(np.concatenate((needed, used)), offered)
        scales[r] = scale
        limits.append(offered)
        demand.append(scale.demand(needed))
        consumption.append(scale.demand(used))
        capacity.append(scale.capacity(offered))
    return _Amounts(
        resources=resources,
        scale=np.array([s.factor / s.divisor for s in scales.values()], dtype=np.float64),
        offered=np.stack(limits, axis=1) if limits else np.zeros((len(cluster.nodes), 0)),
        capacity=_columns(capacity, len(cluster.nodes)),
        demand=_columns(demand, len(cluster.vms)),
        consumption=_columns(consumption, len(cluster.vms)),
        scales=scales,
    )


def _needed(vm: VM, resource: str, least: float) -> float:
    return max(vm.demand.get(resource, 0.0), least)


def _offered(node: Node, resource: str, ratio: float | None) -> float:
    return node.limit(resource) if ratio is None else node.capacity.get(resource, 0.0) * ratio


def _columns(columns: list[Integers], rows: int) -> Integers:
    return np.ascontiguousarray(np.stack(columns, axis=1)) if columns else np.zeros((rows, 0), dtype=np.int64)


class _Domains:
    """The distinct sets of nodes that VMs may use; most VMs share one."""

    def __init__(self, usable: Bools) -> None:
        self._usable = usable
        self._row: dict[bytes, int] = {}
        self._masks: list[Bools] = []
        self._plain = self.row((np.ones_like(usable),))

    def row(self, masks: Collection[Bools]) -> int:
        """The row of the usable nodes that are in every one of ``masks``."""
        if not masks:
            return self._plain
        mask = self._usable
        for other in masks:
            mask = mask & other
        key = mask.tobytes()
        if key not in self._row:
            self._row[key] = len(self._masks)
            self._masks.append(mask)
        return self._row[key]

    def table(self) -> Bools:
        return np.stack(self._masks)
