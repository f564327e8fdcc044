"""The actions that lead from the observed cluster to the wanted one, and the order that keeps it safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from entropy.model.policy import Objective
from entropy.model.values import DOCUMENT, Amount, Count, Flag, InvalidValueError, Name, Names, Seconds

__all__ = ["Action", "ActionType", "Figure", "NodesFigure", "Plan", "PlanStatus", "Summary"]

ActionType = Literal["migrate", "run", "stop", "suspend", "resume", "startup", "shutdown"]
PlanStatus = Literal["optimal", "feasible", "unchanged"]

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "migrate": ("vm", "from", "to"),
    "resume": ("vm", "from", "to"),
    "run": ("vm", "node"),
    "stop": ("vm", "node"),
    "suspend": ("vm", "node"),
    "startup": ("node",),
    "shutdown": ("node",),
}
_KEYS = ("vm", "node", "from", "to")
_GIVEN: Mapping[str, tuple[bool, ...]] = {kind: tuple([key in fields for key in _KEYS]) for kind, fields in _FIELDS.items()}
"""Of each type, which of the four keys it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action.  ``start`` and ``end`` are a forecast in seconds; it starts once every action in ``after`` has succeeded.

    migrate and resume have ``vm``, ``source`` and ``target``; run, stop and suspend ``vm`` and ``node``; startup and
    shutdown ``node``.  Raises ``InvalidValueError`` when a field is missing or does not belong to the type.
    """

    __pydantic_config__ = DOCUMENT

    id: Name
    type: ActionType
    vm: Name | None = None
    node: Name | None = None
    source: Annotated[Name | None, Field(alias="from")] = None
    target: Annotated[Name | None, Field(alias="to")] = None
    start: Seconds = 0.0
    end: Seconds = 0.0
    after: Names = ()

    def __post_init__(self) -> None:
        given = (self.vm, self.node, self.source, self.target)
        if tuple([value is not None for value in given]) == _GIVEN[self.type]:
            return
        wanted = _FIELDS[self.type]
        for key, value in zip(_KEYS, given, strict=True):
            if (value is not None) != (key in wanted):
                what = "needs" if value is None else "has no"
                raise InvalidValueError(f"a {self.type} {what} {key!r}", (key,), value, f"{', '.join(wanted)} for {self.type}")

    @property
    def leaves(self) -> str | None:
        """The node that this action takes a running VM away from (for a resume: none)."""
        if self.type == "migrate":
            return self.source
        return self.node if self.type in ("stop", "suspend") else None

    @property
    def enters(self) -> str | None:
        """The node on which the VM runs because of this action."""
        if self.type in ("migrate", "resume"):
            return self.target
        return self.node if self.type == "run" else None

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node that takes part."""
        return tuple(dict.fromkeys(n for n in (self.source, self.target, self.node) if n is not None))

    def describe(self) -> str:
        """For people: ``migrate web-1 from n1 to n2``."""
        match self.type:
            case "migrate":
                return f"migrate {self.vm} from {self.source} to {self.target}"
            case "resume" if self.source != self.target:
                return f"resume {self.vm} on {self.target} (image on {self.source})"
            case "resume":
                return f"resume {self.vm} on {self.target}"
            case "startup" | "shutdown":
                return f"{'start' if self.type == 'startup' else 'shut down'} {self.node}"
            case _:
                return f"{self.type} {self.vm} on {self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A goal's value, and a bound that is proven, never copied from the value (``None``: nothing proven)."""

    __pydantic_config__ = DOCUMENT

    value: Amount
    lower_bound: Annotated[Amount | None, Field(alias="lowerBound")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesFigure:
    """Nodes that run at least one VM."""

    __pydantic_config__ = DOCUMENT

    before: Count
    after: Count
    lower_bound: Annotated[Count | None, Field(alias="lowerBound")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a plan achieves.  ``solve_seconds`` is deciding plus ordering; ``unsatisfied`` what best effort left broken."""

    __pydantic_config__ = DOCUMENT

    objective: Objective | None = None
    nodes: NodesFigure | None = None
    moved_memory: Annotated[Figure | None, Field(alias="movedMemory")] = None
    soft_violation: Annotated[Figure | None, Field(alias="softViolation")] = None
    balance: Figure | None = None
    power: Figure | None = None
    migrations: Count | None = None
    duration: Figure | None = None
    solve_seconds: Annotated[Seconds | None, Field(alias="solveSeconds")] = None
    satisfied: Flag | None = None
    unsatisfied: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``cluster`` is the digest of the Cluster document that it was made for.  Ids are unique, ``after`` is acyclic.

    Raises ``InvalidValueError`` on a duplicate id, an unknown id in ``after``, or a circle.
    """

    __pydantic_config__ = DOCUMENT

    cluster: str = ""
    status: PlanStatus = "feasible"
    actions: tuple[Action, ...] = ()
    summary: Summary | None = None

    def __post_init__(self) -> None:
        known = self.by_id
        if len(known) < len(self.actions):
            last = {a.id: k for k, a in enumerate(self.actions)}
            k = next(k for k, a in enumerate(self.actions) if last[a.id] != k)
            name = self.actions[k].id
            raise InvalidValueError(f"the id {name} stands twice", ("actions", k, "id"), name, "an id of its own")
        for k, a in enumerate(self.actions):
            for j, other in enumerate(a.after):
                if other not in known:
                    what = f"action {a.id} waits for {other}, which is no action of this plan"
                    raise InvalidValueError(what, ("actions", k, "after", j), other)
        if len(self.topological) < len(known):
            stuck = [a.id for a in self.actions if a.id not in self.topological]
            place = next(k for k, a in enumerate(self.actions) if a.id == stuck[0])
            raise InvalidValueError(f"the actions {', '.join(stuck[:5])} wait for each other in a circle", ("actions", place, "after"))

    @cached_property
    def by_id(self) -> Mapping[str, Action]:
        """Actions by id."""
        return {a.id: a for a in self.actions}

    @cached_property
    def topological(self) -> Mapping[str, int]:
        """Action id -> its rank in one order that ``after`` allows (Kahn); actions in a circle are missing."""
        waiting: dict[str, int] = {}
        users: dict[str, list[str]] = {}
        ready: list[str] = []
        for a in self.actions:
            if not a.after:
                ready.append(a.id)
                continue
            others = set(a.after)
            waiting[a.id] = len(others)
            for other in others:
                users.setdefault(other, []).append(a.id)
        for i in ready:
            for user in users.get(i, ()):
                waiting[user] -= 1
                if waiting[user] == 0:
                    ready.append(user)
        return {i: k for k, i in enumerate(ready)}
