"""What provably cannot be had: each conflict is a sentence, with the VMs and nodes that it concerns.

These are necessary conditions, each simple enough to be believed; that none holds proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from entropy.planning.broken_rules import broken_rules, zoneless_groups
from entropy.planning.images import started_to_sleep
from entropy.planning.room import fit_somewhere
from entropy.planning.words import exact, listed
from entropy.problem.problem import Integers, Problem, State, positions
from entropy.scheduling.steps import may_enter

__all__ = ["Conflict", "conflicts"]


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Why no configuration exists: ``text``, and the indices of the ``vms`` and ``nodes`` it concerns."""

    text: str
    vms: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()


def conflicts(problem: Problem) -> tuple[Conflict, ...]:
    """Every simple conflict of ``problem``, the most specific first."""
    told = (Conflict(text=c.text, vms=(c.vm,) if c.vm >= 0 else (), nodes=(c.node,) if c.node >= 0 else ()) for c in problem.contradictions)
    return (
        *told,
        *_unswitchable(problem),
        *_unreachable(problem),
        *_stuck(problem),
        *_homeless(problem),
        *_unstartable(problem),
        *_overfull(problem),
        *_groups(problem),
        *_rules(problem),
        *_volume(problem),
    )


def _amount(problem: Problem, r: int, value: int) -> str:
    return exact(problem.resources[r], value / problem.scale[r])


def _unswitchable(problem: Problem) -> Iterator[Conflict]:
    """Nodes to be started or shut down that are left alone."""
    for n in positions(problem.online != problem.power):
        if why := problem.cluster.nodes[n].untouchable:
            verb = "started" if problem.power[n] else "shut down"
            yield Conflict(text=f"node {problem.node_name(n)} cannot be {verb}: it is left alone: {why}", nodes=(int(n),))


def _unreachable(problem: Problem) -> Iterator[Conflict]:
    """VMs whose state must change on a node where it cannot."""
    told = {State.RUNNING: "resumed", State.READY: "stopped", State.SLEEPING: "suspended"}
    for v in positions((problem.state != problem.goal) & (problem.host >= 0)):
        n, sleeps, goal = int(problem.host[v]), problem.state[v] == State.SLEEPING, State(int(problem.goal[v]))
        where = f"its image lies on {problem.node_name(n)}" if sleeps else f"it runs on {problem.node_name(n)}"
        if sleeps and not (problem.online[n] or problem.power[n]):
            why = "which is off and is not to be started"
        elif left_alone := problem.cluster.nodes[n].untouchable:
            why = f"which is left alone: {left_alone}"
        elif problem.untouchable[n] and goal == State.RUNNING:
            why = "which nothing may enter or leave"
        else:
            continue
        yield Conflict(text=f"VM {problem.vm_name(v)} cannot be {told[goal]}: {where}, {why}", vms=(int(v),), nodes=(n,))


def _stuck(problem: Problem) -> Iterator[Conflict]:
    """VMs that must leave a node, or resume elsewhere than where their image lies, and cannot."""
    for v in positions(problem.runs_at_end() & problem.held & ~problem.may_stay):
        n = int(problem.host[v])
        if problem.state[v] == State.SLEEPING:
            text = f"VM {problem.vm_name(v)} resumes only where its image lies, on {problem.node_name(n)} ({_reason_to_leave(problem, n)})"
            yield Conflict(text=text, vms=(int(v),), nodes=(n,))
            continue
        why = f"nothing may leave {problem.node_name(n)} for now" if problem.untouchable[n] else "a rule roots it there"
        if not problem.migratable[v]:
            why = "it is not migratable"
        text = f"VM {problem.vm_name(v)} must leave {problem.node_name(n)} ({_reason_to_leave(problem, n)}), but {why}"
        yield Conflict(text=text, vms=(int(v),), nodes=(n,))


def _reason_to_leave(problem: Problem, n: int) -> str:
    if problem.cluster.nodes[n].maintenance:
        return "under maintenance"
    return "to be switched off" if not problem.power[n] else "a rule forbids it"


def _homeless(problem: Problem) -> Iterator[Conflict]:
    """VMs that no node could take even if it were empty."""
    vms = positions(problem.runs_at_end() & ~problem.held)
    told: dict[int, tuple[str, Integers, list[float]]] = {}  # of each domain: who offers, and the most of each resource
    for v in vms[~fit_somewhere(problem, vms, problem.domain_of, problem.domains)]:
        row, name = int(problem.domain_of[v]), problem.vm_name(v)
        if row not in told:
            allowed = positions(problem.domains[row])
            where = f"the {len(allowed)} nodes that it may use offer" if len(allowed) > 1 else ""
            where = f"{problem.node_name(allowed[0])} offers" if len(allowed) == 1 else where
            told[row] = where, problem.capacity[allowed].max(axis=0, initial=0), problem.offered[allowed].max(axis=0, initial=0).tolist()
        where, capacity, offered = told[row]
        if not where:
            text = f"VM {name} may run on no node: rules, maintenance and nodes offline leave none"
        elif len(too_much := positions(problem.demand[v] > capacity)):
            r = int(too_much[0])
            resource, needs = problem.resources[r], _amount(problem, r, int(problem.demand[v, r]))
            text = f"VM {name} needs {needs} of {resource}; {where} at most {exact(resource, offered[r])}"
        else:
            text = f"VM {name} fits on none of {where.removesuffix(' offer')}, even empty"
        yield Conflict(text=text, vms=(int(v),))


def _unstartable(problem: Problem) -> Iterator[Conflict]:
    """VMs that have to be started to be suspended, and may not run anywhere."""
    vms = started_to_sleep(problem)
    for v in vms[~fit_somewhere(problem, vms, problem.path_of, may_enter(problem))] if len(vms) else ():
        yield Conflict(text=f"VM {problem.vm_name(v)} has to be started to be suspended, and may run on no node, even empty", vms=(int(v),))


def _overfull(problem: Problem) -> Iterator[Conflict]:
    """Nodes that what must stay on them overloads."""
    stays = positions(problem.runs_at_end() & problem.held & (problem.state == State.RUNNING))
    stays = stays[np.argsort(problem.host[stays], kind="stable")]
    host = problem.host[stays]
    load = np.zeros_like(problem.capacity)
    np.add.at(load, host, problem.demand[stays])
    for n, r in zip(*np.nonzero(load > problem.capacity), strict=True):
        there = stays[slice(*np.searchsorted(host, [n, n + 1]))]
        vms = there[problem.demand[there, r] > 0]
        names = listed([problem.vm_name(v) for v in vms])
        yield Conflict(
            text=f"node {problem.node_name(n)}: {problem.resources[r]} is {_amount(problem, r, int(load[n, r]))} of "
            f"{exact(problem.resources[r], problem.offered[n, r])} with what may not leave it ({names})",
            vms=tuple(int(v) for v in vms),
            nodes=(int(n),),
        )


def _groups(problem: Problem) -> Iterator[Conflict]:
    """Groups with more members than their zones may hold, or with more that may not leave a zone than it may hold."""
    runs = problem.runs_at_end()
    reach: dict[tuple[int, int], int] = {}  # zones that a domain reaches: most groups fit into those of one member
    for limit in problem.limits:
        members = limit.members[runs[limit.members]]
        if limit.weight or not len(members):
            continue
        fixed = members[problem.held[members] & (problem.state[members] == State.RUNNING)]
        zones_of_fixed, count = np.unique(limit.zone_of[problem.host[fixed]], return_counts=True)
        for zone in zones_of_fixed[count > limit.most]:
            there = fixed[limit.zone_of[problem.host[fixed]] == zone]
            names = listed([problem.vm_name(v) for v in there])
            yield Conflict(
                text=f"rule {limit.source}: {names} may not leave their nodes, at most {limit.most} may be in one zone",
                vms=tuple(int(v) for v in there),
                nodes=(int(problem.host[there[0]]),),
            )
        key = (id(limit.zone_of), int(problem.domain_of[members[0]]))
        if key not in reach:
            reach[key] = len(np.unique(limit.zone_of[problem.domains[key[1]]]))
        if len(members) <= reach[key] * limit.most:
            continue
        allowed = np.asarray(problem.domains[problem.domain_of[members]].any(axis=0))
        allowed[problem.host[members[problem.held[members]]]] = True
        zones = len(np.unique(limit.zone_of[allowed]))
        if len(members) > zones * limit.most:
            yield Conflict(
                text=f"rule {limit.source}: {len(members)} VMs, at most {limit.most} in one zone, but only {zones} zones that they may use",
                vms=tuple(int(v) for v in members),
            )


def _rules(problem: Problem) -> Iterator[Conflict]:
    """Rules that what may not leave its node breaks, and groups that no zone can take."""
    stays = problem.runs_at_end() & problem.held & (problem.host >= 0)
    for broken in (
        *broken_rules(problem, np.where(stays, problem.host, -1).astype(np.int32), verb="may not leave and run"),
        *zoneless_groups(problem),
    ):
        yield Conflict(text=broken.text, vms=broken.vms, nodes=broken.nodes)


def _volume(problem: Problem) -> Iterator[Conflict]:
    """Resources of which more is demanded than all usable nodes offer."""
    runs = problem.runs_at_end()
    if not runs.any():
        return
    usable = np.zeros(problem.n_nodes, dtype=np.bool_)
    for row in np.unique(problem.domain_of[runs]):
        usable |= problem.domains[row]
    usable[problem.host[runs & problem.held]] = True
    for r in range(len(problem.resources)):
        needed = int(problem.demand[runs, r].sum())
        if needed > int(problem.capacity[usable, r].sum()):
            yield Conflict(
                text=f"the VMs that must run need {_amount(problem, r, needed)} of {problem.resources[r]} in all; the {int(usable.sum())} "
                f"usable nodes offer {exact(problem.resources[r], float(problem.offered[usable, r].sum()))}"
            )
