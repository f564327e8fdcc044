"""A proven lower bound on how long a plan takes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from entropy.problem.problem import Indices, Problem, State
from entropy.scheduling.durations import DurationModel

__all__ = ["duration_bound"]


def duration_bound(problem: Problem, must_act: Iterable[int], host: Indices | None, durations: DurationModel) -> float:
    """Seconds that every plan takes in which each VM of ``must_act`` acts, and nodes are switched as asked.

    A VM's own actions follow one another, so the longest of these chains is a bound, whatever the order; a detour only lengthens it.
    With ``host`` (where each VM ends) chains that depend on it count in full; without, only what every placement needs does.
    """
    nodes = problem.cluster.nodes
    switches = [
        durations.seconds("startup" if problem.power[n] else "shutdown", None, nodes[n])
        for n in np.flatnonzero(problem.online != problem.power)
    ]
    return max([0.0, *switches, *(_chain(problem, int(v), host, durations) for v in must_act)])


def _chain(problem: Problem, v: int, host: Indices | None, durations: DurationModel) -> float:
    """Shortest sequence of actions that takes VM ``v`` from its state to its goal."""
    vm, now, goal = problem.cluster.vms[v], State(int(problem.state[v])), State(int(problem.goal[v]))
    elsewhere = host is not None and problem.host[v] >= 0 and host[v] >= 0 and host[v] != problem.host[v]

    def least(kind: str, remote: bool = False) -> float:
        if durations.depends_on_node(kind, remote):
            return min(durations.seconds(kind, vm, node, remote) for node in problem.cluster.nodes)
        return durations.seconds(kind, vm, problem.cluster.nodes[0], remote)

    match now, goal:
        case State.RUNNING, State.RUNNING:
            move = least("migrate")
            return min(move, least("suspend") + least("resume", remote=True)) if problem.allow_suspend else move
        case State.RUNNING, State.SLEEPING:
            return least("suspend") + (least("migrate") if elsewhere else 0.0)
        case State.SLEEPING, State.RUNNING:
            return least("resume", remote=True) if elsewhere else min(least("resume"), least("resume", remote=True))
        case State.SLEEPING, State.SLEEPING:
            return least("resume", remote=True) + least("suspend") if elsewhere else 0.0
        case State.READY, State.RUNNING:
            return least("run")
        case State.READY, State.SLEEPING:
            return least("run") + least("suspend")
        case _, State.READY:
            return 0.0 if now == State.READY else least("stop")
    return 0.0
