"""Where VMs that end sleeping keep their image."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Indices, Problem, State, positions
from entropy.scheduling.steps import may_enter

__all__ = ["started_to_sleep", "with_images"]


def started_to_sleep(problem: Problem) -> Indices:
    """VMs that are not started and have to end sleeping: they are run first, then suspended."""
    return positions((problem.state == State.READY) & (problem.goal == State.SLEEPING))


def with_images(problem: Problem, host: Indices) -> Indices:
    """``host`` with the nodes of images added: sleeping VMs stay where they are, suspended ones where they run; those that are
    started for it where most room is left at the end."""
    whole = np.where(problem.goal == State.SLEEPING, problem.host, host).astype(np.int32)
    starts = started_to_sleep(problem)
    if not len(starts):
        return whole
    runs = positions(problem.runs_at_end() & (host >= 0))
    free = problem.capacity.copy()
    np.subtract.at(free, host[runs], problem.demand[runs])
    allowed = may_enter(problem)
    for v in starts:
        nodes = allowed[problem.path_of[v]] & (problem.demand[v] <= problem.capacity).all(axis=1)
        room = ((free - problem.demand[v]) / np.maximum(problem.capacity, 1)).min(axis=1, initial=np.inf)
        room[~nodes] = -np.inf
        n = int(np.argmax(room))
        if nodes[n]:
            whole[v] = n
            free[n] -= problem.demand[v]
    return whole
