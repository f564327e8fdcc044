"""Where VMs that end sleeping keep their image."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Bools, Indices, Problem, State, positions
from entropy.scheduling.steps import may_enter

__all__ = ["may_start_on", "started_to_sleep", "with_images"]


def started_to_sleep(problem: Problem) -> Indices:
    """VMs that are not started and have to end sleeping: they are run first, then suspended."""
    return positions((problem.state == State.READY) & (problem.goal == State.SLEEPING))


def may_start_on(problem: Problem, vms: Indices) -> Bools:
    """bool[len(vms), N]: nodes where each could be run for a while, were they empty."""
    fits = (problem.demand[vms][:, None, :] <= problem.capacity[None, :, :]).all(axis=2)
    return np.asarray(fits & may_enter(problem)[problem.path_of[vms]])


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
    allowed = may_start_on(problem, starts)
    for v, nodes in zip(starts, allowed, strict=True):
        room = ((free - problem.demand[v]) / np.maximum(problem.capacity, 1)).min(axis=1, initial=np.inf)
        room[~nodes] = -np.inf
        n = int(np.argmax(room))
        if nodes[n]:
            whole[v] = n
            free[n] -= problem.demand[v]
    return whole
