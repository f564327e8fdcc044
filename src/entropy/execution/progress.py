"""The executor's state machine: events in, instructions out; no clock, no I/O, so that every interruption can be tested.

    Progress(plan, settings)
        .handle(event) -> instructions        events: Begin, Returned, Looked, Unstartable, StopRequested
        .finished    .confirming -> ids    .check() (raises AssertionError when an invariant is broken)

    waiting ──Start──► running ──Returned──► confirming ──Looked──► done | failed | in_doubt
       │                  ▲                       │
       └──► skipped       └─────────Start─────────┘  (another attempt, seen as before it)

* An action starts once every action in its ``after`` is done.  Limits only delay: ``after`` has no circle, so something can
  always start while anything is left.
* What the driver says is never the outcome.  After it returned, ``Looked`` events decide: seen at its destination is done,
  whatever was said; otherwise it is waited for until ``confirm_timeout`` after the hypervisor was last known to be busy with
  it (where nobody can tell: not before its limit has passed).  Then: the driver said it failed, an observation agrees and
  nothing is under way: failed.  Anything else: in doubt.
* Another attempt is made only after a failure, while the cluster is seen as before the action, nothing is under way on the
  VM, and nobody asked to stop.
* What depends on an action that is not done is skipped, and the rest goes on.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from entropy.execution.report import Outcome, under_way
from entropy.execution.settings import ExecutionSettings
from entropy.execution.sight import Sight
from entropy.model.plan import Action, Plan

__all__ = [
    "Begin", "Event", "Instruction", "Looked", "Phase", "Progress", "Returned", "Settle", "Start", "StopRequested", "Unstartable",
]  # fmt: skip

Phase = Literal["waiting", "running", "confirming", "done", "failed", "skipped", "in_doubt"]


@dataclass(frozen=True, slots=True)
class Begin:
    """The plan may start.  ``at`` is in seconds, of any one clock, in every event."""

    at: float


@dataclass(frozen=True, slots=True)
class Returned:
    """The driver returned: ``error`` is empty when it said success.  ``given_up``: it did not answer within the limit."""

    at: float
    id: str
    error: str = ""
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """An observation that began after the driver returned, at ``at``.

    ``sight`` is ``None`` when monitoring failed (``error`` says how).  ``busy``: is an operation on the VM under way,
    ``None`` when nobody can tell; it was asked before the observation.
    """

    at: float
    id: str
    sight: Sight | None
    busy: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Unstartable:
    """The hypervisor was not asked: the intention could not be written down, or no driver fits."""

    at: float
    id: str
    error: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Nothing more is started; what runs is finished and confirmed."""

    at: float
    reason: str = "stopped"


Event = Begin | Returned | Looked | Unstartable | StopRequested


@dataclass(frozen=True, slots=True)
class Start:
    """Write the intention, then ask the hypervisor; it is given up after ``limit`` seconds."""

    id: str
    attempt: int
    limit: float


@dataclass(frozen=True, slots=True)
class Settle:
    """The outcome of an action is known, or is known to be unknown."""

    id: str
    outcome: Outcome
    detail: str


Instruction = Start | Settle


@dataclass(slots=True)
class _Track:
    """One action's way."""

    action: Action
    limit: float
    nodes: tuple[str, ...]
    phase: Phase = "waiting"
    attempt: int = 0
    missing: int = 0  # how many of its ``after`` are not done
    started: float | None = None  # first attempt
    tried: float = 0.0  # this attempt
    returned: float = 0.0
    quiet: float = 0.0  # since when nothing was under way, as far as is known
    busy: bool = False  # was it, at the last look?
    ended: float | None = None
    error: str = ""
    given_up: bool = False
    last: bool = False  # no further attempt is possible
    detail: str = ""


@dataclass(slots=True)
class Progress:
    """See the module.  Limits, timeouts and retries are those of ``settings``."""

    plan: Plan
    settings: ExecutionSettings
    stopping: str = ""
    _tracks: dict[str, _Track] = field(default_factory=dict)
    _users: dict[str, list[str]] = field(default_factory=dict)
    _ready: list[str] = field(default_factory=list)  # waiting, nothing missing; in the order of the forecast
    _order: dict[str, tuple[float, int]] = field(default_factory=dict)
    _open: int = 0  # actions without an outcome
    _confirming: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    _load: dict[str, int] = field(default_factory=dict)  # actions that hold a place on a node
    _places: set[str] = field(default_factory=set)  # ids that hold a place

    def __post_init__(self) -> None:
        rank = self.plan.topological
        self._open = len(self.plan.actions)
        for action in self.plan.actions:
            wanted = set(action.after)
            self._order[action.id] = (action.start, rank[action.id])
            self._tracks[action.id] = _Track(action, self.settings.limit(action), action.nodes, missing=len(wanted))
            for other in sorted(wanted):
                self._users.setdefault(other, []).append(action.id)

    # ---------------------------------------------------------------- asking

    @property
    def finished(self) -> bool:
        """Every action has an outcome."""
        return self._open == 0

    @property
    def confirming(self) -> tuple[str, ...]:
        """The actions that wait to be seen in the cluster."""
        return tuple(self._confirming)

    def in_phase(self, *phases: Phase) -> tuple[str, ...]:
        """Ids of the actions in these phases, in the plan's order."""
        return tuple(i for i, t in self._tracks.items() if t.phase in phases)

    def track(self, id_: str) -> _Track:
        """Phase, attempt, times and detail of an action; to be read only."""
        return self._tracks[id_]

    def wants_busy(self, id_: str) -> bool:
        """Would it matter whether the hypervisor is still at work on it?"""
        track = self._tracks[id_]
        return bool(track.error) or track.given_up

    def sentence(self, number: int) -> str:
        """For people: ``Executing plan 318: 3 of 6 done, 2 running, no failure.``"""
        count = Counter(track.phase for track in self._tracks.values())
        return under_way(
            number, total=len(self._tracks), done=count["done"], running=count["running"] + count["confirming"],
            in_doubt=count["in_doubt"], failed=count["failed"], stopping=bool(self.stopping),
        )  # fmt: skip

    # ---------------------------------------------------------------- events

    def handle(self, event: Event) -> tuple[Instruction, ...]:
        """What follows from ``event``.  Events of actions that are settled already change nothing."""
        out: list[Instruction] = []
        match event:
            case Begin():
                for id_, track in self._tracks.items():
                    if track.missing == 0:
                        self._line_up(id_)
            case StopRequested(reason=reason):
                if not self.stopping:
                    self.stopping = reason
                    out += self._skip_waiting(reason, event.at)
            case Unstartable(id=id_):
                out += self._unstartable(event, self._tracks[id_])
            case Returned(id=id_):
                self._returned(event, self._tracks[id_])
            case Looked(id=id_):
                out += self._looked(event, self._tracks[id_])
        out += self._start_what_may(event.at)
        return tuple(out)

    def _returned(self, event: Returned, track: _Track) -> None:
        if track.phase != "running":
            return
        self._move(track, "confirming")
        track.busy = False
        track.returned = track.quiet = event.at
        track.error, track.given_up = event.error, event.given_up
        if not event.given_up:  # an operation that was given up may well go on, so it keeps its place
            self._leave(track)

    def _unstartable(self, event: Unstartable, track: _Track) -> list[Instruction]:
        if track.phase != "running":
            return []
        if track.attempt == 1:
            return self._close(track, "failed", event.error, event.at)
        self._returned(Returned(event.at, event.id, event.error), track)  # what the attempts before it did is still to be seen
        track.last = True
        return []

    def _looked(self, event: Looked, track: _Track) -> list[Instruction]:
        if track.phase != "confirming" or event.at < track.returned:
            return []
        if track.action.vm is None and not track.given_up:
            event = replace(event, busy=False)  # nobody can be asked about a node; its driver's word that it is over will do
        at, sight, failed = event.at, event.sight, bool(track.error) or track.given_up
        if sight is not None and sight.verdict == "done":
            said = f"{sight.text}, though the driver said: {track.error}" if track.error else sight.text
            return self._close(track, "done", said, at)
        if event.busy or track.busy:  # the driver is through with it and the hypervisor is not, or was not until just now
            track.quiet = at
        track.busy = bool(event.busy)
        if failed and self._may_try_again(event, track):
            self._leave(track)
            self._move(track, "waiting")
            self._line_up(track.action.id)
            return []
        if failed and event.busy is None and at < track.tried + track.limit:
            return []
        calm = at >= track.quiet + self.settings.confirm_timeout
        late = at >= max(track.returned, track.tried + track.limit) + self.settings.confirm_timeout
        return self._expire(event, track, calm) if calm or late else []

    def _may_try_again(self, event: Looked, track: _Track) -> bool:
        """Not while anything may be under way, and only from the state that the action starts from."""
        idle = event.busy is False if track.given_up else event.busy is not True
        return (
            idle
            and not self.stopping
            and not track.last
            and track.attempt <= self.settings.retries
            and event.sight is not None
            and event.sight.verdict == "source"
            and event.at >= track.returned + self.settings.retry_delay
        )

    def _expire(self, event: Looked, track: _Track, calm: bool) -> list[Instruction]:
        """The cluster was not seen to agree in time."""
        seen = event.sight.text if event.sight else f"the cluster cannot be observed ({event.error})"
        if not track.error and not track.given_up:
            return self._close(track, "in_doubt", f"the driver said it is done, but {seen}", event.at)
        told = track.error or f"no answer within {track.limit:g} s"
        tries = f" ({track.attempt} attempts)" if track.attempt > 1 else ""
        idle = event.busy is False if track.given_up else event.busy is not True
        if event.sight is not None and idle and calm:
            detail = f"{told}{tries}" if event.sight.verdict == "source" else f"{told}{tries}; {seen}"
            return self._close(track, "failed", detail, event.at)
        still = "; the hypervisor is still at work on it" if event.busy else ""
        return self._close(track, "in_doubt", f"{told}{tries}; {seen}{still}", event.at)

    # ---------------------------------------------------------------- transitions

    def _close(self, track: _Track, outcome: Outcome, detail: str, at: float) -> list[Instruction]:
        self._leave(track)
        self._move(track, outcome)
        track.detail, track.ended = detail, at
        self._open -= 1
        id_ = track.action.id
        out: list[Instruction] = [Settle(id_, outcome, detail)]
        if outcome == "done":
            for user in self._users.get(id_, ()):
                other = self._tracks[user]
                other.missing -= 1
                if other.missing == 0 and other.phase == "waiting":
                    self._line_up(user)
            return out
        word = {"failed": "failed", "in_doubt": "is in doubt", "skipped": "was skipped"}[outcome]
        lost = [(track.action, word)]
        for action, word in lost:  # it grows; a chain of dependants is as long as the plan, which no recursion survives
            for user in self._users.get(action.id, ()):
                if (other := self._tracks[user]).phase == "waiting":
                    out.append(self._skip(other, f"waits for {action.id} ({action.describe()}), which {word}", at))
                    lost.append((other.action, "was skipped"))
        return out

    def _skip(self, track: _Track, why: str, at: float) -> Settle:
        """It was never started, and never will be."""
        track.phase, track.detail, track.ended = "skipped", why, at
        self._open -= 1
        return Settle(track.action.id, "skipped", why)

    def _skip_waiting(self, reason: str, at: float) -> list[Instruction]:
        out: list[Instruction] = []
        self._ready = []
        for track in self._tracks.values():
            if track.phase == "waiting" and track.attempt:
                self._move(track, "confirming")  # it failed, and no other attempt is made; its outcome is still to be seen
            elif track.phase == "waiting":
                out.append(self._skip(track, reason, at))
        return out

    def _move(self, track: _Track, phase: Phase) -> None:
        track.phase = phase
        if phase == "confirming":
            self._confirming[track.action.id] = None
        else:
            self._confirming.pop(track.action.id, None)

    def _line_up(self, id_: str) -> None:
        insort(self._ready, id_, key=self._order.__getitem__)

    def _start_what_may(self, at: float) -> list[Instruction]:
        out: list[Instruction] = []
        if self.stopping:
            return out
        left: list[str] = []
        for id_ in self._ready:
            track = self._tracks[id_]
            if track.phase != "waiting":
                continue
            if not self._enter(track):
                left.append(id_)
                continue
            track.phase = "running"
            track.attempt += 1
            track.tried = at
            track.started = at if track.started is None else track.started
            track.error, track.given_up = "", False
            out.append(Start(id_, track.attempt, track.limit))
        self._ready = left
        return out

    def _enter(self, track: _Track) -> bool:
        """Take a place on every node, if there is one left."""
        per_node = self.settings.max_parallel_per_node
        if len(self._places) >= self.settings.max_parallel or any(self._load.get(n, 0) >= per_node for n in track.nodes):
            return False
        self._places.add(track.action.id)
        for node in track.nodes:
            self._load[node] = self._load.get(node, 0) + 1
        return True

    def _leave(self, track: _Track) -> None:
        if track.action.id in self._places:
            self._places.discard(track.action.id)
            for node in track.nodes:
                self._load[node] -= 1

    # ---------------------------------------------------------------- invariants

    def check(self) -> None:
        """Raises ``AssertionError`` when something holds that must never hold."""
        tracks = self._tracks
        for id_, track in tracks.items():
            phases = [tracks[other].phase for other in track.action.after]
            if track.attempt:
                assert all(phase == "done" for phase in phases), f"{id_} was started before its after was done"
            elif track.phase == "waiting":
                assert not {"failed", "skipped", "in_doubt"} & set(phases), f"{id_} waits for what will never be done"
                assert not self.stopping, f"{id_} waits though somebody asked to stop"
                assert track.missing == sum(phase != "done" for phase in phases)
                assert (id_ in self._ready) == (track.missing == 0) or not self._begun()
            else:
                assert track.phase == "skipped", f"{id_} is {track.phase} and was never started"
            assert track.attempt <= self.settings.retries + 1, f"{id_} was tried {track.attempt} times"
            holds, may_hold = id_ in self._places, track.phase == "confirming" and track.given_up
            assert holds == (track.phase == "running") or (holds and may_hold), f"{id_} is {track.phase}, place held: {holds}"
        held = [node for id_ in self._places for node in tracks[id_].action.nodes]
        assert len(self._places) <= self.settings.max_parallel
        for node in set(held):
            assert held.count(node) == self._load[node] <= self.settings.max_parallel_per_node
        assert set(self._confirming) == set(self.in_phase("confirming"))
        assert self._open == sum(t.phase in ("waiting", "running", "confirming") for t in tracks.values())
        if self._begun() and not self.finished:
            assert self.in_phase("running", "confirming"), "something is left and nothing is under way"

    def _begun(self) -> bool:
        return bool(self._ready) or any(t.phase != "waiting" for t in self._tracks.values())
