"""Best effort: what cannot be mended stays as it is, said and listed, so that everything else can be satisfied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from entropy.planning.conflicts import conflicts
from entropy.problem.problem import Problem, State, Unsatisfied, positions

__all__ = ["leave_alone", "relaxed"]


def relaxed(problem: Problem) -> Problem:
    """``problem`` with every simple conflict set aside."""
    found = conflicts(problem)
    if not found:
        return problem
    notes = tuple(Unsatisfied(text=c.text, vm=c.vms[0] if c.vms else -1, node=c.nodes[0] if c.nodes else -1) for c in found)
    return _held(replace(problem, unsatisfied=problem.unsatisfied + notes), [v for c in found if len(c.vms) == 1 for v in c.vms])


def leave_alone(problem: Problem, vms: Iterable[int]) -> Problem:
    """``problem`` with ``vms``, which find no node, left where they are (not started, if they do not run)."""
    vms = list(vms)
    notes = tuple(Unsatisfied(text=_text(problem, v), vm=v, node=int(problem.host[v])) for v in vms)
    return _held(replace(problem, unsatisfied=problem.unsatisfied + notes), vms)


def _text(problem: Problem, v: int) -> str:
    name = problem.vm_name(v)
    if problem.state[v] != State.RUNNING:
        return f"VM {name} is not started: no node has room for it"
    return f"VM {name} stays on {problem.node_name(int(problem.host[v]))}: no other node that it may use has room for it"


def _held(problem: Problem, vms: list[int]) -> Problem:
    """VMs that run stay; VMs that do not are left as they are; what stays is granted its room."""
    held, goal, capacity = problem.held.copy(), problem.goal.copy(), problem.capacity.copy()
    for v in vms:
        if problem.state[v] == State.RUNNING:
            held[v] = True
        else:
            goal[v] = problem.state[v]
    stays = positions(held & (problem.state == State.RUNNING) & (goal == State.RUNNING))
    load = np.zeros_like(capacity)
    np.add.at(load, problem.host[stays], problem.demand[stays])
    return replace(problem, held=held, goal=goal, capacity=np.maximum(capacity, load))
