"""A cluster and a policy, compiled into the arrays of ``Problem``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.constraints.catalogue import compile_rule
from entropy.model.cluster import Cluster, Node
from entropy.model.collector import collector_paused
from entropy.model.policy import Policy
from entropy.model.selectors import Selector
from entropy.problem.draft import Draft
from entropy.problem.problem import Bools, Indices, Integers, Problem, State, Together, Unsatisfied
from entropy.problem.scaling import Scale, scale_of
from entropy.problem.togetherness import confined_to_now, kept_apart_now, only_zone

__all__ = ["compile_problem"]

_STATE = {"ready": State.READY, "running": State.RUNNING, "sleeping": State.SLEEPING}


@collector_paused()
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
    masks = draft.domains | {v: [*draft.domains.get(v, ()), _alone(int(host[v]), usable)] for v in _images_that_stay(cluster)}
    domain_of, path_of = domains.rows(masks, len(cluster.vms)), domains.rows(draft.paths, len(cluster.vms))
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
        domain_of=domain_of,
        path_of=path_of,
        domains=table,
        migratable=np.array([v.migratable for v in cluster.vms], dtype=np.bool_),
        held=np.zeros(len(cluster.vms), dtype=np.bool_),
        may_stay=_may_stay(draft, host, power & ~maintenance),
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
    nodes = len(draft.cluster.nodes)
    broken = {g.family for g in draft.groups if g.family >= 0 and not kept_apart_now(draft.groups, g.family, host, state, nodes)}
    for group in draft.groups:
        # a family is one rule: once it is broken, none of its groups is bound to what it has
        confined = group if group.family in broken else confined_to_now(group, host, state, goal, nodes)
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


def _images_that_stay(cluster: Cluster) -> list[int]:
    """A VM that sleeps and is not migratable runs nowhere but where its image lies."""
    return [v for v, vm in enumerate(cluster.vms) if vm.state == "sleeping" and not vm.migratable]


def _alone(n: int, usable: Bools) -> Bools:
    mask = np.zeros_like(usable)
    mask[n] = True
    return mask


def _may_stay(draft: Draft, host: Indices, in_service: Bools) -> Bools:
    found = np.ones(len(host), dtype=np.bool_)
    placed = host >= 0
    found[placed] = in_service[host[placed]]
    for v, masks in draft.domains.items():
        if placed[v] and not all(mask[host[v]] for mask in masks):
            found[v] = False
    return found


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
    scales, limits, capacity, demand, consumption = {}, [], [], [], []
    for r in (*cluster.resources, *sorted(asked - set(cluster.resources))):
        stated = [v.demand.get(r, 0.0) for v in cluster.vms]
        needed = np.array(stated, dtype=np.float64)
        for (v, resource), amount in draft.least.items():
            if resource == r:
                needed[v] = max(needed[v], amount)
        used = np.array([v.consumption.get(r, amount) for v, amount in zip(cluster.vms, stated, strict=True)], dtype=np.float64)
        if not needed.any() and not used.any():
            continue
        offered = np.array([_offered(n, r, draft.ratio.get((k, r))) for k, n in enumerate(cluster.nodes)], dtype=np.float64)
        scale = scale_of(np.concatenate((needed, used)), offered)
        scales[r] = scale
        limits.append(offered)
        demand.append(scale.demand(needed))
        consumption.append(scale.demand(used))
        capacity.append(scale.capacity(offered))
    return _Amounts(
        resources=tuple(scales),
        scale=np.array([s.factor / s.divisor for s in scales.values()], dtype=np.float64),
        offered=np.stack(limits, axis=1) if limits else np.zeros((len(cluster.nodes), 0)),
        capacity=_columns(capacity, len(cluster.nodes)),
        demand=_columns(demand, len(cluster.vms)),
        consumption=_columns(consumption, len(cluster.vms)),
        scales=scales,
    )


def _offered(node: Node, resource: str, ratio: float | None) -> float:
    return node.limit(resource) if ratio is None else node.capacity.get(resource, 0.0) * ratio


def _columns(columns: list[Integers], rows: int) -> Integers:
    return np.ascontiguousarray(np.stack(columns, axis=1)) if columns else np.zeros((rows, 0), dtype=np.int64)


class _Domains:
    """The distinct sets of nodes that VMs may use; most VMs share one."""

    def __init__(self, usable: Bools) -> None:
        self._row: dict[bytes, int] = {usable.tobytes(): 0}
        self._rows: list[Bools] = [usable]

    def rows(self, masks: Mapping[int, Sequence[Bools]], vms: int) -> Indices:
        """int32[V]: the row of the usable nodes that are in every one of a VM's ``masks``."""
        found = np.zeros(vms, dtype=np.int32)
        known: dict[tuple[int, ...], int] = {}  # a rule gives all its VMs one mask
        for v, several in masks.items():
            key = tuple([id(mask) for mask in several])
            if key not in known:
                known[key] = self._number(np.logical_and.reduce([self._rows[0], *several]))
            found[v] = known[key]
        return found

    def _number(self, mask: Bools) -> int:
        number = self._row.setdefault(mask.tobytes(), len(self._rows))
        if number == len(self._rows):
            self._rows.append(mask)
        return number

    def table(self) -> Bools:
        return np.stack(self._rows)
