"""What has to be done to whom, in no order yet: each VM's own actions, and the nodes to switch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from entropy.model.plan import ActionType
from entropy.problem.problem import Bools, Indices, Problem, State, positions
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.rooms import Amounts, Books, Readable, Room, first_lacking, summed
from entropy.scheduling.unorderable import Unorderable

__all__ = ["KINDS", "Changes", "Maker", "Moves", "Step", "changes", "may_enter", "rounded", "scarce"]

KINDS: tuple[ActionType, ...] = ("migrate", "run", "stop", "suspend", "resume")
"""Actions of a VM, by the number that ``Moves.kind`` has."""
_MIGRATE, _RUN, _STOP, _SUSPEND, _RESUME = range(len(KINDS))


_DECIMALS = 6
"""Decimals of a second that a forecast has."""


@dataclass(slots=True, eq=False)
class Step:
    """An action to be ordered.  ``source``: the node that the VM leaves, or where its image lies; ``target``: the one it enters.

    Indices, -1 for none; of a startup or shutdown ``target`` is the node.  ``takes`` at its start, ``gives`` at its end.  ``asks``:
    counters that must not be below 0 at its start; ``burdens``: what it takes then whether or not there is room.
    """

    kind: ActionType
    vm: int
    source: int
    target: int
    seconds: float
    takes: Amounts = ()
    gives: Amounts = ()
    asks: tuple[int, ...] = ()
    burdens: Amounts = ()

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that must be online for it."""
        return tuple({n for n in (self.source, self.target) if n >= 0})

    def counters(self) -> list[int]:
        """Every counter that it has to do with."""
        found = [counter for counter, _ in self.takes]
        found += [counter for counter, _ in self.gives]
        if self.asks:
            found += self.asks
            found += [counter for counter, _ in self.burdens]
        return found

    def lacking(self, room: Readable) -> int:
        """The first counter that keeps it from starting, -1 if none does."""
        found = first_lacking(room, self.takes)
        return next((c for c in self.asks if room[c] < 0), -1) if found < 0 and self.asks else found

    def begin(self, room: Room) -> None:
        """``room`` after its start."""
        for pairs in (self.takes, self.burdens):
            for counter, amount in pairs:
                room[counter] -= amount

    def carry_out(self, room: Room) -> None:
        """``room`` after it, from start to end."""
        self.begin(room)
        for counter, amount in self.gives:
            room[counter] += amount


@dataclass(frozen=True)
class Moves:
    """Actions as arrays, int32[K] but for ``kind``: each the only one of its VM, which it finds as it was observed.

    ``kind`` int8[K] indexes ``KINDS``; ``source`` and ``target`` as in ``Step``.
    """

    vm: Indices
    kind: npt.NDArray[np.int8]
    source: Indices
    target: Indices

    def __len__(self) -> int:
        return len(self.vm)

    def __getitem__(self, chosen: Bools | Indices) -> Moves:
        return Moves(self.vm[chosen], self.kind[chosen], self.source[chosen], self.target[chosen])

    def arrives(self) -> Bools:
        """bool[K]: takes room on its target."""
        return np.asarray((self.kind == _MIGRATE) | (self.kind == _RUN) | (self.kind == _RESUME))

    def leaves(self, problem: Problem) -> Bools:
        """bool[K]: gives room back on its source."""
        stops = (self.kind == _STOP) & (problem.state[self.vm] == State.RUNNING)
        return np.asarray((self.kind == _MIGRATE) | (self.kind == _SUSPEND) | stops)


def scarce(chains: Iterable[Sequence[Step]], room: Readable) -> set[int]:
    """The counters that cannot take everything that comes before something has left."""
    asked: dict[int, int] = {}
    for chain in chains:
        for step in chain:
            for counter, amount in step.takes:
                asked[counter] = asked.get(counter, 0) + amount
            if step.asks:
                for counter in step.asks:
                    asked.setdefault(counter, 0)
                for counter, amount in step.burdens:
                    asked[counter] = asked.get(counter, 0) + amount
    return {counter for counter, amount in asked.items() if room[counter] < amount}


class Maker:
    """Makes steps of one problem, with their durations and what they take and give."""

    def __init__(self, problem: Problem, books: Books, durations: DurationModel) -> None:
        self.problem, self.durations, self._books = problem, durations, books

    def single(self, moves: Moves, k: int) -> Step:
        """The ``k``-th of ``moves``."""
        v, source, target = int(moves.vm[k]), int(moves.source[k]), int(moves.target[k])
        match int(moves.kind[k]):
            case 0:
                return self.migrate(v, source, target)
            case 1:
                return self.run(v, target)
            case 2:
                return self.stop(v, source, running=bool(self.problem.state[v] == State.RUNNING))
            case 3:
                return self.suspend(v, source)
            case _:
                return self.resume(v, source, target)

    def migrate(self, v: int, source: int, target: int, *, observed: bool = True) -> Step:
        """Live migration; ``observed``: the VM has run on ``source`` since before the plan."""
        gives = self._books.gives(v, source, observed, target)
        return self._arrival("migrate", v, source, target, self.seconds("migrate", v, target), gives)

    def suspend(self, v: int, node: int, *, observed: bool = True) -> Step:
        """Suspend in place."""
        return Step("suspend", v, node, -1, self.seconds("suspend", v, node), (), self._books.gives(v, node, observed))

    def resume(self, v: int, image: int, target: int) -> Step:
        """Resume on ``target`` from the image on ``image``."""
        seconds = self.seconds("resume", v, target, remote=image != target)
        return self._arrival("resume", v, image, target, seconds)

    def run(self, v: int, node: int) -> Step:
        """Start a ready VM."""
        return self._arrival("run", v, -1, node, self.seconds("run", v, node))

    def _arrival(self, kind: ActionType, v: int, source: int, target: int, seconds: float, gives: Amounts = ()) -> Step:
        books = self._books
        step = Step(kind, v, source, target, seconds, books.takes(v, target, source if kind == "migrate" else -1), gives)
        if books.apart:
            step.asks, step.burdens = books.asks(v, target), books.burdens(v, target)
        return step

    def stop(self, v: int, node: int, *, running: bool) -> Step:
        """Stop a running VM, or discard the image of a sleeping one."""
        return Step("stop", v, node, -1, self.seconds("stop", v, node), (), self._books.gives(v, node, True) if running else ())

    def switch(self, node: int, on: bool) -> Step:
        """Start a node, or shut it down."""
        kind: ActionType = "startup" if on else "shutdown"
        return Step(kind, -1, -1, node, self.seconds(kind, -1, node))

    def seconds(self, kind: ActionType, v: int, node: int, *, remote: bool = False) -> float:
        """Forecast of one action."""
        cluster = self.problem.cluster
        return self.durations.seconds(kind, cluster.vms[v] if v >= 0 else None, cluster.nodes[node] if node >= 0 else None, remote)

    def seconds_of(self, moves: Moves) -> npt.NDArray[np.float64]:
        """float64[K]: forecast of each of ``moves``."""
        cluster = self.problem.cluster
        found = np.zeros(len(moves))
        node = np.where(moves.target >= 0, moves.target, moves.source)
        remote = (moves.kind == _RESUME) & (moves.source != moves.target)
        for code, kind in enumerate(KINDS):
            for away in (False, True):
                k = positions((moves.kind == code) & (remote == away))
                if len(k):
                    vms = [cluster.vms[v] for v in moves.vm[k].tolist()]
                    nodes = [cluster.nodes[n] for n in node[k].tolist()]
                    found[k] = self.durations.seconds_each(kind, vms, nodes, away)
        return found


@dataclass(frozen=True)
class Changes:
    """What differs between now and the placement wanted.

    ``single``: VMs that need one action; ``chains``: VM -> its actions, one after another, where it needs several; ``differs``
    bool[V]: either; ``startups`` and ``shutdowns``: node -> the action.
    """

    host: Indices
    single: Moves
    chains: dict[int, list[Step]]
    differs: Bools
    startups: dict[int, Step] = field(default_factory=dict)
    shutdowns: dict[int, Step] = field(default_factory=dict)

    def everything(self, maker: Maker) -> dict[int, list[Step]]:
        """VM -> its actions, for all; by VM."""
        chains = {int(v): [maker.single(self.single, k)] for k, v in enumerate(self.single.vm)} | self.chains
        return {v: chains[v] for v in sorted(chains)}


def rounded(seconds: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """float64[K]: as a forecast's starts and ends are rounded, exactly as Python's ``round`` does it."""
    values, which = np.unique(np.asarray(seconds, dtype=np.float64), return_inverse=True)
    return np.array([round(x, _DECIMALS) for x in values.tolist()], dtype=np.float64)[which]


def may_enter(problem: Problem) -> Bools:
    """bool[D, N]: which nodes a VM with that row as ``path_of`` may newly run on at some instant of a plan."""
    usable = (problem.online | problem.power) & ~problem.untouchable
    usable[[n for n, node in enumerate(problem.cluster.nodes) if node.maintenance]] = False
    return problem.domains & usable


def changes(problem: Problem, host: Indices, maker: Maker) -> Changes:
    """The difference between the problem's present and the placement ``host``, as actions.

    Raises ``Unorderable`` (proven) naming every VM whose own change is impossible whatever the others do.
    """
    differs = (problem.state != problem.goal) | ((problem.goal != State.READY) & (problem.host != host))
    vms = positions(differs)
    nowhere = vms[(problem.goal[vms] != State.READY) & (host[vms] < 0)]
    if len(nowhere):
        v = int(nowhere[0])
        raise ValueError(f"host[{v}] is {host[v]}, but VM {problem.vm_name(v)} is to end {State(problem.goal[v]).name.lower()} on a node")
    single, several = _singles(problem, host, vms)
    found = Changes(host, single, {}, differs)
    for n in positions(problem.power & ~problem.online).tolist():
        found.startups[n] = maker.switch(n, True)
    for n in positions(problem.online & ~problem.power).tolist():
        found.shutdowns[n] = maker.switch(n, False)
    for v in several.tolist():
        found.chains[v] = _chain(problem, v, int(problem.host[v]), int(host[v]), maker)
    allowed = may_enter(problem)
    suspects = {int(single.vm[k]): [maker.single(single, int(k))] for k in positions(_suspect(problem, single, allowed))}
    refusals: list[tuple[int, str]] = []
    for v, chain in sorted((suspects | found.chains).items()):
        if why := _impossible(problem, v, chain, allowed[problem.path_of[v]]):
            refusals.append((v, why))
    runs = positions((problem.goal == State.RUNNING) & (host >= 0))
    closing = np.asarray(problem.online & ~problem.power)
    for v in runs[closing[host[runs]]].tolist():
        refusals.append((v, f"is to run on {problem.node_name(int(host[v]))}, which is to be shut down"))
    refusals += _overfull(problem, host, differs)
    if refusals:
        sentences = [f"{problem.vm_name(v)} {why}" for v, why in refusals[:5]]
        more = f"; and {len(refusals) - 5} more" if len(refusals) > 5 else ""
        raise Unorderable("; ".join(sentences) + more + ".", [v for v, _ in refusals], proven=True)
    return found


def _singles(problem: Problem, host: Indices, vms: Indices) -> tuple[Moves, Indices]:
    """(those of ``vms`` that need one action, those that need several)."""
    state, goal, here, there = problem.state[vms], problem.goal[vms], problem.host[vms], host[vms]
    kind = np.full(len(vms), -1, dtype=np.int8)
    kind[goal == State.READY] = _STOP
    runs = goal == State.RUNNING
    kind[runs & (state == State.RUNNING)] = _MIGRATE
    kind[runs & (state == State.SLEEPING)] = _RESUME
    kind[runs & (state == State.READY)] = _RUN
    kind[(goal == State.SLEEPING) & (state == State.RUNNING) & (here == there)] = _SUSPEND
    source = np.where(kind == _RUN, -1, here).astype(np.int32)
    target = np.where(runs, there, -1).astype(np.int32)
    one = kind >= 0
    return Moves(vms[one], kind[one], source[one], target[one]), vms[~one]


def _suspect(problem: Problem, moves: Moves, allowed: Bools) -> Bools:
    """bool[K]: moves that may be impossible whatever the others do; ``_impossible`` has the last word."""
    fixed, away = ~problem.migratable[moves.vm], moves.source != moves.target
    found = (moves.kind == _MIGRATE) & (fixed | problem.held[moves.vm]) | (moves.kind == _RESUME) & away & fixed
    closed = ~(problem.online | problem.power) | problem.untouchable
    closed[[n for n, node in enumerate(problem.cluster.nodes) if node.untouchable]] = True
    for side in (moves.source, moves.target):
        found |= (side >= 0) & closed[side]
    found |= (moves.target >= 0) & ~allowed[problem.path_of[moves.vm], moves.target]
    return np.asarray(found)


def _overfull(problem: Problem, host: Indices, differs: Bools) -> list[tuple[int, str]]:
    """VMs that arrive for good where the end is above a limit: whichever comes last can never enter."""
    run = problem.goal == State.RUNNING
    come = positions(differs & run)
    if not len(come):
        return []
    load = summed(problem.n_nodes, host[run], problem.demand[run])
    above = load > problem.capacity
    over = np.asarray(above.any(axis=1))
    found = []
    for v in come[over[host[come]]].tolist():
        r = int(above[host[v]].argmax())
        end, most = (table[host[v], r] / problem.scale[r] for table in (load, problem.capacity))
        what = f"{problem.resources[r]} on {problem.node_name(int(host[v]))}"
        found.append((v, f"cannot enter: {what} would end at {end:g}, over {most:g}"))
    for limit in problem.limits:
        if not limit.continuous or limit.weight:
            continue
        members = limit.members[run[limit.members]]
        zones = limit.zone_of[host[members]]
        count = np.bincount(zones, minlength=limit.zones)
        for v in members[count[zones] > limit.most].tolist():
            here, zone_of = int(problem.host[v]), limit.zone_of
            if differs[v] and (problem.state[v] != State.RUNNING or zone_of[here] != zone_of[host[v]]):
                found.append((v, f"cannot enter {problem.node_name(int(host[v]))}: rule {limit.source} allows {limit.most} there"))
    return found


def _chain(problem: Problem, v: int, here: int, there: int, maker: Maker) -> list[Step]:
    """The actions of a VM that is to sleep elsewhere than it is: it arrives, and is suspended."""
    match State(int(problem.state[v])):
        case State.RUNNING:
            arrive = maker.migrate(v, here, there)
        case State.SLEEPING:
            arrive = maker.resume(v, here, there)
        case _:
            arrive = maker.run(v, there)
    return [arrive, maker.suspend(v, there, observed=False)]


def _impossible(problem: Problem, v: int, chain: Sequence[Step], entered: Bools) -> str:
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
