"""What has to be done to whom, in no order yet: each VM's own chain of actions, and the nodes to switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from entropy.model.plan import ActionType
from entropy.problem.problem import Bools, Indices, Problem, State
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.rooms import Amounts, Books
from entropy.scheduling.unorderable import Unorderable

__all__ = ["Changes", "Maker", "Step", "changes", "may_enter"]


@dataclass(slots=True, eq=False)
class Step:
    """An action to be ordered.  ``source``: the node that the VM leaves, or where its image lies; ``target``: the one it enters.

    Indices, -1 for none; of a startup or shutdown ``target`` is the node.  ``takes`` at its start, ``gives`` at its end.
    """

    kind: ActionType
    vm: int
    source: int
    target: int
    seconds: float
    takes: Amounts = ()
    gives: Amounts = ()

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that must be online for it."""
        return tuple({n for n in (self.source, self.target) if n >= 0})


class Maker:
    """Makes steps of one problem, with their durations and what they take and give."""

    def __init__(self, problem: Problem, books: Books, durations: DurationModel) -> None:
        self._problem, self._books, self._durations = problem, books, durations

    def migrate(self, v: int, source: int, target: int, *, observed: bool = True) -> Step:
        """Live migration; ``observed``: the VM has run on ``source`` since before the plan."""
        books = self._books
        gives = books.gives(v, source, observed, target)
        return Step("migrate", v, source, target, self.seconds("migrate", v, target), books.takes(v, target, source), gives)

    def suspend(self, v: int, node: int, *, observed: bool = True) -> Step:
        """Suspend in place."""
        return Step("suspend", v, node, -1, self.seconds("suspend", v, node), (), self._books.gives(v, node, observed))

    def resume(self, v: int, image: int, target: int) -> Step:
        """Resume on ``target`` from the image on ``image``."""
        seconds = self.seconds("resume", v, target, remote=image != target)
        return Step("resume", v, image, target, seconds, self._books.takes(v, target))

    def run(self, v: int, node: int) -> Step:
        """Start a ready VM."""
        return Step("run", v, -1, node, self.seconds("run", v, node), self._books.takes(v, node))

    def stop(self, v: int, node: int, *, running: bool) -> Step:
        """Stop a running VM, or discard the image of a sleeping one."""
        return Step("stop", v, node, -1, self.seconds("stop", v, node), (), self._books.gives(v, node, True) if running else ())

    def switch(self, node: int, on: bool) -> Step:
        """Start a node, or shut it down."""
        kind: ActionType = "startup" if on else "shutdown"
        return Step(kind, -1, -1, node, self.seconds(kind, -1, node))

    def seconds(self, kind: ActionType, v: int, node: int, *, remote: bool = False) -> float:
        """Forecast of one action."""
        cluster = self._problem.cluster
        return self._durations.seconds(kind, cluster.vms[v] if v >= 0 else None, cluster.nodes[node] if node >= 0 else None, remote)


@dataclass(frozen=True)
class Changes:
    """``chains``: VM -> its actions, one after another; ``startups`` and ``shutdowns``: node -> the action."""

    chains: dict[int, list[Step]] = field(default_factory=dict)
    startups: dict[int, Step] = field(default_factory=dict)
    shutdowns: dict[int, Step] = field(default_factory=dict)


def may_enter(problem: Problem) -> Bools:
    """bool[D, N]: which nodes a VM with that row as ``path_of`` may newly run on at some instant of a plan."""
    usable = (problem.online | problem.power) & ~problem.untouchable
    for n, node in enumerate(problem.cluster.nodes):
        if node.maintenance:
            usable[n] = False
    return problem.domains & usable


def changes(problem: Problem, host: Indices, maker: Maker) -> Changes:
    """The difference between the problem's present and the placement ``host``, as actions.

    Raises ``Unorderable`` (proven) naming every VM whose own change is impossible whatever the others do.
    """
    found = Changes()
    refusals: list[tuple[int, str]] = []
    allowed = may_enter(problem)
    entered = [row.tolist() for row in allowed]
    for n in (problem.power & ~problem.online).nonzero()[0].tolist():
        found.startups[n] = maker.switch(n, True)
    for n in (problem.online & ~problem.power).nonzero()[0].tolist():
        found.shutdowns[n] = maker.switch(n, False)
    differs = (problem.state != problem.goal) | ((problem.goal != State.READY) & (problem.host != host))
    for v in differs.nonzero()[0].tolist():
        chain = _chain(problem, v, int(problem.host[v]), int(host[v]), maker)
        found.chains[v] = chain
        if why := _impossible(problem, v, chain, entered[int(problem.path_of[v])]):
            refusals.append((v, why))
    for v in ((problem.goal == State.RUNNING) & (host >= 0)).nonzero()[0].tolist() if found.shutdowns else ():
        if int(host[v]) in found.shutdowns:
            refusals.append((v, f"is to run on {problem.node_name(int(host[v]))}, which is to be shut down"))
    refusals += _overfull(problem, host, found.chains)
    if refusals:
        sentences = [f"{problem.vm_name(v)} {why}" for v, why in refusals[:5]]
        more = f"; and {len(refusals) - 5} more" if len(refusals) > 5 else ""
        raise Unorderable("; ".join(sentences) + more + ".", [v for v, _ in refusals], proven=True)
    return found


def _overfull(problem: Problem, host: Indices, chains: Mapping[int, Sequence[Step]]) -> list[tuple[int, str]]:
    """VMs that arrive for good where the end is above a limit: whichever comes last can never enter."""
    run = problem.goal == State.RUNNING
    come = [v for v in chains if run[v]]
    if not come:
        return []
    load = np.zeros_like(problem.capacity)
    np.add.at(load, host[run], problem.demand[run])
    above = load > problem.capacity
    found = []
    for v in come:
        if above[host[v]].any():
            r = int(above[host[v]].argmax())
            end, most = (table[host[v], r] / problem.scale[r] for table in (load, problem.capacity))
            what = f"{problem.resources[r]} on {problem.node_name(int(host[v]))}"
            found.append((v, f"cannot enter: {what} would end at {end:g}, over {most:g}"))
    for limit in problem.limits:
        if not limit.continuous:
            continue
        members = limit.members[run[limit.members]]
        zones = limit.zone_of[host[members]]
        count = np.bincount(zones, minlength=limit.zones)
        for v in members[count[zones] > limit.most].tolist():
            here, zone_of = int(problem.host[v]), limit.zone_of
            if v in chains and (problem.state[v] != State.RUNNING or zone_of[here] != zone_of[host[v]]):
                found.append((v, f"cannot enter {problem.node_name(int(host[v]))}: rule {limit.source} allows {limit.most} there"))
    return found


def _chain(problem: Problem, v: int, here: int, there: int, maker: Maker) -> list[Step]:
    state, goal = State(int(problem.state[v])), State(int(problem.goal[v]))
    if goal == State.READY:
        return [maker.stop(v, here, running=state == State.RUNNING)]
    if there < 0:
        raise ValueError(f"host[{v}] is {there}, but VM {problem.vm_name(v)} is to end {goal.name.lower()} on a node")
    if goal == State.RUNNING:
        match state:
            case State.RUNNING:
                return [maker.migrate(v, here, there)]
            case State.SLEEPING:
                return [maker.resume(v, here, there)]
            case _:
                return [maker.run(v, there)]
    match state:
        case State.RUNNING if here == there:
            return [maker.suspend(v, here)]
        case State.RUNNING:
            arrive = maker.migrate(v, here, there)
        case State.SLEEPING:
            arrive = maker.resume(v, here, there)
        case _:
            arrive = maker.run(v, there)
    return [arrive, maker.suspend(v, there, observed=False)]


def _impossible(problem: Problem, v: int, chain: Sequence[Step], entered: Sequence[bool]) -> str:
    """Why the VM's own actions cannot be, whatever the others do; empty if they can."""
    for step in chain:
        if step.kind == "migrate" and not problem.migratable[v]:
            return f"is to go from {problem.node_name(step.source)} to {problem.node_name(step.target)}, but is not migratable"
        if step.kind == "migrate" and problem.held[v]:
            return f"is held on {problem.node_name(step.source)}, but is to go to {problem.node_name(step.target)}"
        if step.kind == "resume" and step.source != step.target and not problem.migratable[v]:
            image, target = problem.node_name(step.source), problem.node_name(step.target)
            return f"is not migratable and can only be resumed on {image}, where its image lies, not on {target}"
        for n in step.nodes:
            if not (problem.online[n] or problem.power[n]):
                lies = "has its image on" if step.kind in ("resume", "stop") and n == step.source else "needs"
                return f"{lies} {problem.node_name(n)}, which is off and is not to be started"
            if why := problem.cluster.nodes[n].untouchable:
                return f"cannot {step.kind} on {problem.node_name(n)}, which is left alone: {why}"
            if problem.untouchable[n] and step.kind in ("migrate", "resume", "run"):
                return f"cannot {step.kind}: nothing may enter or leave {problem.node_name(n)}"
        if step.target >= 0 and not entered[step.target]:
            maintained = problem.cluster.nodes[step.target].maintenance
            why = "it is under maintenance" if maintained else "a rule keeps it from there"
            return f"cannot enter {problem.node_name(step.target)}: {why}"
    return ""
