"""Best effort: what cannot be mended stays as it is, said and listed, so that everything else can be satisfied."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from entropy.planning.conflicts import conflicts
from entropy.planning.words import listed
from entropy.problem.problem import Problem, State, Unsatisfied, positions

__all__ = ["leave_alone", "leave_blocked", "relaxed"]


def relaxed(problem: Problem) -> Problem:
    """``problem`` with every simple conflict set aside."""
    told = {note.vm for note in problem.unsatisfied}
    found = [c for c in conflicts(problem) if not (len(c.vms) == 1 and c.vms[0] in told)]
    if not found:
        return problem
    notes = tuple(Unsatisfied(text=c.text, vm=c.vms[0] if c.vms else -1, node=c.nodes[0] if c.nodes else -1) for c in found)
    power = problem.power.copy()
    as_it_is = [c.node for c in problem.contradictions if c.node >= 0]
    as_it_is += [n for n, node in enumerate(problem.cluster.nodes) if node.untouchable]
    power[as_it_is] = problem.online[as_it_is]
    domains = problem.domains & (power | ~problem.power)  # what is not started after all can take nothing
    alone = [v for c in found if len(c.vms) == 1 for v in c.vms]
    return _as_observed(replace(problem, power=power, domains=domains, unsatisfied=problem.unsatisfied + notes), alone)


def leave_alone(problem: Problem, vms: Collection[int]) -> Problem:
    """``problem`` with ``vms``, which find no node, left where they are (not started, if they do not run)."""
    notes = tuple(Unsatisfied(text=_text(problem, v), vm=v, node=int(problem.host[v])) for v in vms)
    return _as_observed(replace(problem, unsatisfied=problem.unsatisfied + notes), vms)


def leave_blocked(problem: Problem, vms: Collection[int], reason: str) -> Problem:
    """``problem`` with ``vms``, for which no order of actions was found, left as they are."""
    names = listed([problem.vm_name(v) for v in vms])
    notes = tuple(Unsatisfied(text=f"VM {names} left as observed: {reason}", vm=v, node=int(problem.host[v])) for v in vms)
    return _as_observed(replace(problem, unsatisfied=problem.unsatisfied + notes), vms)


def _text(problem: Problem, v: int) -> str:
    name = problem.vm_name(v)
    if problem.state[v] != State.RUNNING:
        return f"VM {name} is not started: no node has room for it"
    return f"VM {name} stays on {problem.node_name(int(problem.host[v]))}: no other node that it may use has room for it"


def _as_observed(problem: Problem, vms: Collection[int]) -> Problem:
    """``vms`` keep their state and host; the nodes where they run stay on, and what stays is granted its room."""
    vms = list(vms)
    held, goal, capacity, power = problem.held.copy(), problem.goal.copy(), problem.capacity.copy(), problem.power.copy()
    goal[vms] = problem.state[vms]
    held[vms] |= problem.state[vms] == State.RUNNING
    stays = positions(held & (problem.state == State.RUNNING) & (goal == State.RUNNING))
    power[problem.host[stays]] = True
    load = np.zeros_like(capacity)
    np.add.at(load, problem.host[stays], problem.demand[stays])
    return replace(problem, held=held, goal=goal, power=power, capacity=np.maximum(capacity, load))
