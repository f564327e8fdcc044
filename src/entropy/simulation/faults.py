"""What may go wrong in a simulated cluster, and when: a schedule of plain values, drawn by hand or from a seed.

Faults(actions=(ActionFault(...),), deaths=(NodeDeath(...),), outages=(Window(...),), frozen=(Window(...),))

kind of ActionFault   the driver says                     in the cluster
refused               failure, at once                    nothing happens
broken                failure, at ``share`` of the time   nothing happens
false-failure         failure, at ``share`` of the time   it happens, at its end
false-success         success, at ``share`` of the time   nothing happens
hang                  nothing, ever                       it never ends, until it is given up
stuck                 nothing, ever                       it never ends, giving it up changes nothing
silent                nothing, ever                       it happens, at its end
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from entropy.model.plan import ActionType

__all__ = ["FAULT_KINDS", "ActionFault", "FaultKind", "Faults", "NodeDeath", "Window"]

FaultKind = Literal["refused", "broken", "false-failure", "false-success", "hang", "stuck", "silent"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, kw_only=True)
class ActionFault:
    """Strikes operations on ``subject``, a VM (or a node, for startup and shutdown).

    ``type`` ``None``: of every type.  ``attempt``: only the first (1), second, ... operation that fits, ``None``: each.
    ``share``: when it strikes, from 0 (start) to 1 (end) of the operation's duration.
    """

    kind: FaultKind
    subject: str
    type: ActionType | None = None
    attempt: int | None = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}: a fault strikes between 0 (start) and 1 (end) of the duration")


@dataclass(frozen=True, kw_only=True)
class NodeDeath:
    """``node`` fails at ``at`` seconds: what runs there is lost, operations from or to it fail."""

    node: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """From ``start`` until just before ``end``, in seconds."""

    start: float
    end: float

    def holds(self, at: float) -> bool:
        """Is ``at`` inside?"""
        return self.start <= at < self.end


@dataclass(frozen=True, kw_only=True)
class Faults:
    """``outages``: monitoring cannot be reached.  ``frozen``: monitoring shows the cluster as it was at the window's start."""

    actions: tuple[ActionFault, ...] = ()
    deaths: tuple[NodeDeath, ...] = ()
    outages: tuple[Window, ...] = ()
    frozen: tuple[Window, ...] = ()

    def of_operation(self, kind: ActionType, subject: str, attempt: int) -> ActionFault | None:
        """The first fault that strikes the ``attempt``-th operation of this type on ``subject``."""
        for fault in self.actions:
            if fault.subject == subject and fault.type in (None, kind) and fault.attempt in (None, attempt):
                return fault
        return None
