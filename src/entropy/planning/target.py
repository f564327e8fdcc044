"""``--target``: states, hosts and node states come from another configuration, demands and capacities from this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from entropy.model.cluster import Cluster
from entropy.model.errors import InfeasibleError, InputError
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Offline, Online
from entropy.planning.broken_rules import broken_rules
from entropy.planning.words import exact, listed
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem, State, positions

__all__ = ["target_problem"]

_STATE = {"ready": State.READY, "running": State.RUNNING, "sleeping": State.SLEEPING}


def target_problem(cluster: Cluster, policy: Policy, target: Cluster, *, lenient: bool = False) -> tuple[Problem, Indices]:
    """The problem of reaching ``target``, and the node of each VM there (its image's when sleeping, -1 when ready).

    A VM that the target leaves out ends ready; a node that it leaves out keeps its state.  Raises ``InputError`` when the target names
    what the cluster does not have, ``InfeasibleError`` when it overloads a node or breaks the policy.
    """
    for kind, known, wanted in (("VM", cluster.vm_by_name, target.vm_by_name), ("node", cluster.node_by_name, target.node_by_name)):
        if missing := [name for name in wanted if name not in known]:
            raise InputError(
                f"{kind} {listed(missing)} of the target is not in the cluster", where="--target", accepted=f"the cluster's {kind}s"
            )
    power: tuple[AnyRule, ...] = (
        *(Online(nodes=(n.name,)) for n in target.nodes if n.state == "online"),
        *(Offline(nodes=(n.name,)) for n in target.nodes if n.state == "offline"),
    )
    asked = compile_problem(cluster, policy, lenient=lenient)
    problem = compile_problem(cluster, replace(policy, constraints=(*policy.constraints, *power)), lenient=lenient)
    index = {n.name: k for k, n in enumerate(cluster.nodes)}
    goal = np.full(problem.n_vms, State.READY, dtype=np.int8)
    host = np.full(problem.n_vms, -1, dtype=np.int32)
    for v, vm in enumerate(cluster.vms):
        if (there := target.vm_by_name.get(vm.name)) is not None:
            goal[v] = _STATE[there.state]
            host[v] = -1 if there.node is None else index[there.node]
    problem = replace(problem, goal=goal)
    if broken := [
        *(c.text for c in problem.contradictions),
        *_overloads(problem, host),
        *_misplaced(problem, host),
        *(broken.text for broken in broken_rules(problem, np.where(problem.runs_at_end(), host, -1).astype(np.int32), verb="would run")),
        *_states(asked, problem),
    ]:
        raise InfeasibleError("the target cannot be had:", broken)
    return problem, host


def _overloads(problem: Problem, host: Indices) -> Iterator[str]:
    runs = positions(problem.runs_at_end())
    load = np.zeros_like(problem.capacity)
    np.add.at(load, host[runs], problem.demand[runs])
    for n in positions((load > problem.capacity).any(axis=1)):
        here = runs[host[runs] == n]
        for r in positions(load[n] > problem.capacity[n]):
            name = problem.resources[r]
            asked, offered = exact(name, load[n, r] / problem.scale[r]), exact(name, problem.offered[n, r])
            vms = listed([problem.vm_name(v) for v in here if problem.demand[v, r] > 0])
            yield f"node {problem.node_name(n)} would be overloaded: {name} {asked} of {offered} ({vms})"


def _misplaced(problem: Problem, host: Indices) -> Iterator[str]:
    runs = problem.runs_at_end()
    for v in positions(runs):
        n, name = int(host[v]), problem.vm_name(v)
        if not problem.power[n]:
            yield f"VM {name} would run on {problem.node_name(n)}, which ends offline"
        elif problem.held[v] and host[v] != problem.host[v]:
            why = "is not migratable" if not problem.migratable[v] else "may not leave its node"
            yield f"VM {name} would move from {problem.node_name(int(problem.host[v]))} to {problem.node_name(n)}, but it {why}"
        elif not problem.held[v] and not problem.domains[problem.domain_of[v], n]:
            why = "which is under maintenance" if problem.cluster.nodes[n].maintenance else "which a rule forbids"
            yield f"VM {name} would run on {problem.node_name(n)}, {why}"
    for limit in problem.limits:
        members = limit.members[runs[limit.members]]
        count = np.bincount(limit.zone_of[host[members]], minlength=1)
        if not limit.weight and int(count.max(initial=0)) > limit.most:
            zone = int(count.argmax())
            there = [problem.vm_name(v) for v in members if limit.zone_of[host[v]] == zone]
            yield f"rule {limit.source}: {listed(there)} would be in one zone, at most {limit.most} may"


def _states(asked: Problem, problem: Problem) -> Iterator[str]:
    """VMs that a rule wants in another state than the target has them in."""
    ruled = asked.goal != asked.state
    for v in positions(ruled & (asked.goal != problem.goal)):
        wanted, found = State(int(asked.goal[v])).name.lower(), State(int(problem.goal[v])).name.lower()
        yield f"VM {problem.vm_name(v)} would end {found}, a rule wants it {wanted}"
