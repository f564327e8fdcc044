"""A proven lower bound on how long a plan takes, in its own forecast."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from entropy.model.collector import collector_paused
from entropy.problem.problem import Bools, Indices, Integers, Problem, State, positions
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.rooms import summed
from entropy.scheduling.steps import rounded

__all__ = ["duration_bound"]

_NEVER = float("inf")


@collector_paused()
def duration_bound(problem: Problem, must_act: Iterable[int], host: Indices | None, durations: DurationModel) -> float:
    """Seconds that every plan takes in which each VM of ``must_act`` acts at least once, and nodes are switched as asked.

    Valid for plans that bring every VM to its goal: with ``host``, to exactly these hosts; without it, to any hosts.  A VM of
    ``must_act`` that runs before and after is taken to change its node.  Detours are allowed for: they only make a VM's own
    chain longer.  What is counted: the longest of

    * a VM's shortest chain of actions, after the startup of the node that it needs;
    * with ``host``, the wait until enough VMs can have left the destination (each as early as it could leave at all), then the
      arriving action;
    * the last running VM's shortest way off a node that is to be shut down, then the shutdown.

    Sums are rounded as forecasts are, so that a plan as short as the bound compares equal.
    """
    return _Bound(problem, host, durations).longest(must_act)


class _Bound:
    def __init__(self, problem: Problem, host: Indices | None, durations: DurationModel) -> None:
        self.problem, self.host, self.durations = problem, host, durations
        self.room_at = cache(self._room_at)
        self._fixed: dict[tuple[str, bool], bool] = {}
        runs = positions(problem.state == State.RUNNING)
        self._runs = runs[np.argsort(problem.host[runs], kind="stable")]
        self._first = np.searchsorted(problem.host[self._runs], np.arange(problem.n_nodes + 1)).tolist()
        self._least_there = np.minimum(problem.demand, problem.consumption)
        self._free = problem.capacity - summed(problem.n_nodes, problem.host[runs], self._least_there[runs])
        self._leave: npt.NDArray[np.float64] = np.full(problem.n_vms, np.nan)
        self._alike = cache(lambda: durations.alike(problem.cluster.nodes))

    def longest(self, must_act: Iterable[int]) -> float:
        problem, nodes = self.problem, self.problem.cluster.nodes
        found = 0.0
        leaving: dict[int, float] = {}
        for n in positions(problem.online & ~problem.power).tolist():
            ends = self._leaving(self._on(n))
            leaving[n] = float(ends[ends != _NEVER].max(initial=0.0))
        for n in np.flatnonzero(problem.online != problem.power).tolist():
            if problem.power[n]:
                found = max(found, self._startup(n))
            else:
                found = max(found, _sum(leaving.get(n, 0.0), self.durations.seconds("shutdown", None, nodes[n])))
        vms = np.fromiter(must_act, dtype=np.int32)
        migrates = self._only_migrate(vms)
        found = max(found, self._migrations(vms[migrates]))
        for v in vms[~migrates].tolist():
            found = max(found, self._vm(v))
        return found

    def _only_migrate(self, vms: Indices) -> Bools:
        """bool[K]: those of ``vms`` that run before and after, on a host that is given and online now: most of a large plan."""
        problem = self.problem
        if self.host is None or (problem.allow_suspend and self.durations.depends_on_node("suspend")):
            return np.zeros(len(vms), dtype=np.bool_)
        here, there = problem.host[vms], self.host[vms]
        runs = (problem.state[vms] == State.RUNNING) & (problem.goal[vms] == State.RUNNING)
        return np.asarray(runs & (there >= 0) & (here != there) & problem.online[there])

    def _migrations(self, vms: Indices) -> float:
        """The longest of ``_vm`` of such VMs."""
        if self.host is None or not len(vms):
            return 0.0
        problem, each = self.problem, self.durations.seconds_each
        there, demand = self.host[vms], problem.demand[vms]
        who = [problem.cluster.vms[v] for v in vms.tolist()]
        onto = [problem.cluster.nodes[n] for n in there.tolist()]
        live = np.array(each("migrate", who, onto))
        suspend, resume = np.zeros(len(vms)), np.full(len(vms), np.inf)
        if problem.allow_suspend:
            suspend = np.array(each("suspend", who, onto))
            resume = np.minimum(each("resume", who, onto), each("resume", who, onto, remote=True))
        at_once = ((self._free[there] >= demand) | (demand == 0)).all(axis=1)
        found = _sum(0.0, float(np.minimum(live, rounded(suspend) + resume)[at_once].max(initial=0.0)))
        late = positions(~at_once)
        self._look_ahead(there[late])
        for k, v, n in zip(late.tolist(), vms[late].tolist(), there[late].tolist(), strict=True):
            room = self._room_for(v, n)
            found = max(found, min(_sum(room, float(live[k])), _sum(max(float(suspend[k]), room), float(resume[k]))))
        return found

    def _on(self, n: int) -> Indices:
        """The VMs that run on node n now."""
        return self._runs[self._first[n] : self._first[n + 1]]

    def _leaving(self, vms: Indices) -> npt.NDArray[np.float64]:
        """The earliest end of an action that takes each of the running ``vms`` off its node."""
        for v in vms[np.isnan(self._leave[vms])].tolist():
            self._leave[v] = self._earliest_leave(v)
        return self._leave[vms]

    def _look_ahead(self, nodes: Indices) -> None:
        """Before rooms of ``nodes`` are looked at one by one: when those that run there can leave."""
        problem, durations = self.problem, self.durations
        if durations.depends_on_node("migrate") or durations.depends_on_node("suspend"):
            return
        asked = np.zeros(problem.n_nodes, dtype=np.bool_)
        asked[nodes] = True
        there = self._runs[asked[problem.host[self._runs]]]
        there = there[problem.migratable[there] & (problem.goal[there] == State.RUNNING)]
        if len(there):
            who = [problem.cluster.vms[v] for v in there.tolist()]
            onto = problem.cluster.nodes[:1] * len(who)
            self._leave[there] = durations.seconds_each("migrate", who, onto)
            if problem.allow_suspend:
                self._leave[there] = np.minimum(self._leave[there], durations.seconds_each("suspend", who, onto))

    def _vm(self, v: int) -> float:
        problem = self.problem
        now, goal = State(int(problem.state[v])), State(int(problem.goal[v]))
        here = int(problem.host[v])
        there = int(self.host[v]) if self.host is not None else -1
        image = self._startup(here) if now == State.SLEEPING and here >= 0 else 0.0
        moved = there >= 0 and there != here
        resume = self._resume(v, there, remote=moved if there >= 0 else None)
        if goal == State.READY:
            return 0.0 if now == State.READY else _sum(image, self._least("stop", v, here))
        if goal == State.RUNNING:
            match now:
                case State.READY:
                    return self._arrive(v, there, 0.0, self._least("run", v, there))
                case State.SLEEPING:
                    return self._arrive(v, there, image, resume)
                case _:
                    live = self._arrive(v, there, 0.0, self._least("migrate", v, there))
                    if not problem.allow_suspend:
                        return live
                    return min(live, self._arrive(v, there, self._least("suspend", v, -1), self._resume(v, there, remote=None)))
        last = self._least("suspend", v, there)
        if now == State.READY:
            return _sum(self._arrive(v, there, 0.0, self._least("run", v, there)), last)
        if now == State.SLEEPING:
            return _sum(self._arrive(v, there, image, resume), last) if moved else 0.0
        if not moved:
            return last if there >= 0 else self._least("suspend", v, -1)
        live = self._arrive(v, there, 0.0, self._least("migrate", v, there))
        again = self._arrive(v, there, self._least("suspend", v, -1), self._resume(v, there, remote=None))
        return _sum(min(live, again), last)

    def _arrive(self, v: int, there: int, before: float, last: float) -> float:
        """The end of the action, ``last`` seconds long, that brings ``v`` to ``there``, not before ``before``."""
        if there < 0:
            return _sum(before, last)
        return _sum(max(before, self._startup(there), self._room_for(v, there)), last)

    def _room_for(self, v: int, n: int) -> float:
        """The earliest instant at which ``n`` can have room for ``v``; 0 if that is not known."""
        problem = self.problem
        if problem.state[v] == State.RUNNING and problem.host[v] == n:
            return 0.0
        demand = problem.demand[v]
        instants, free = self.room_at(n)
        enough = ((free >= demand) | (demand == 0)).all(axis=1)
        return instants[int(enough.argmax())] if enough.any() else 0.0

    def _room_at(self, n: int) -> tuple[list[float], Integers]:
        """Instants, and the most room that node n can have from each on; a VM there counts the smaller of its two amounts."""
        there = self._on(n)
        ends = self._leaving(there)
        order = np.argsort(ends, kind="stable")
        order = order[: np.searchsorted(ends[order], _NEVER)]
        given = np.cumsum(self._least_there[there[order]], axis=0, dtype=np.int64)
        return [0.0, *ends[order].tolist()], np.vstack((self._free[n], self._free[n] + given))

    def _earliest_leave(self, v: int) -> float:
        """The earliest end of an action that takes the running VM ``v`` off its node; never, if none may."""
        problem = self.problem
        here, goal = int(problem.host[v]), State(int(problem.goal[v]))
        if goal == State.READY:
            return self._least("stop", v, here)
        ways = [_NEVER]
        if goal == State.SLEEPING:
            ways.append(self._least("suspend", v, here))
        if problem.migratable[v]:  # also one that is held: a hold is this round's, the bound is of every plan
            ways.append(self._least("migrate", v, -1))
            if problem.allow_suspend:
                ways.append(self._least("suspend", v, here))
        return min(ways)

    def _startup(self, n: int) -> float:
        if self.problem.online[n] or not self.problem.power[n]:
            return 0.0
        return _sum(0.0, self.durations.seconds("startup", None, self.problem.cluster.nodes[n]))

    def _resume(self, v: int, there: int, *, remote: bool | None) -> float:
        kinds = (False, True) if remote is None else (remote,)
        return min(self._least("resume", v, there, kind) for kind in kinds)

    def _least(self, kind: str, v: int, n: int, remote: bool = False) -> float:
        """Seconds of the action on node n, or (-1) on whichever node is quickest."""
        vm, nodes = self.problem.cluster.vms[v], self.problem.cluster.nodes
        if (kind, remote) not in self._fixed:
            self._fixed[kind, remote] = not self.durations.depends_on_node(kind, remote)
        if n >= 0:
            return self.durations.seconds(kind, vm, nodes[n], remote)
        if self._fixed[kind, remote]:
            return self.durations.seconds(kind, vm, nodes[0] if nodes else None, remote)
        return min(self.durations.seconds(kind, vm, node, remote) for node in self._alike())


def _sum(*seconds: float) -> float:
    """The end of actions one after another, rounded as the forecast is."""
    return list(accumulate(seconds, lambda end, more: round(end + more, 6), initial=0.0))[-1]
