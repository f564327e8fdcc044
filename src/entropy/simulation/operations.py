"""An operation that a simulated hypervisor carries out, and how long such operations take."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from entropy.model.cluster import VM
from entropy.model.plan import ActionType
from entropy.simulation.faults import ActionFault

__all__ = ["Durations", "Operation", "contract_duration", "noisy"]

Durations = Callable[[ActionType, VM | None], float]
"""Seconds that an operation takes, of its type and VM (none for startup and shutdown)."""

_FIXED = {"run": 5.0, "stop": 2.0, "startup": 60.0, "shutdown": 30.0}


def contract_duration(kind: ActionType, vm: VM | None) -> float:
    """Durations without better knowledge: migrate, suspend and resume 1 s + memory / 125 MiB/s, the others fixed."""
    if kind in _FIXED:
        return _FIXED[kind]
    return 1.0 + (vm.demand.get("memory", 0.0) if vm else 0.0) / 125.0


def noisy(seconds: float, noise: float, key: str) -> float:
    """``seconds`` x a factor drawn evenly from 1 - noise to 1 + noise; the same for the same ``key``."""
    return seconds * (1.0 + noise * random.Random(key).uniform(-1.0, 1.0)) if noise else seconds


@dataclass(kw_only=True, eq=False)
class Operation:
    """One operation under way.  ``answer`` is what the driver is told: ``None`` (success) or a sentence
    (failure); ``over``: the cluster is done with it."""

    number: int
    type: ActionType
    vm: str | None
    source: str | None
    target: str | None
    begun: float
    duration: float
    answer: asyncio.Future[str | None]
    over: asyncio.Future[None]
    fault: ActionFault | None = None
    timers: tuple[asyncio.TimerHandle, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that take part."""
        return tuple(dict.fromkeys(n for n in (self.source, self.target) if n is not None))

    @property
    def enters(self) -> str | None:
        """The node whose resources it needs from its start."""
        return self.target if self.type in ("migrate", "run", "resume") else None

    @property
    def subject(self) -> str:
        """The VM, or the node of a startup or shutdown."""
        return self.vm or self.nodes[0]

    def describe(self) -> str:
        """For people: ``migrate web-1 from n1 to n2``."""
        match self.type:
            case "migrate":
                return f"migrate {self.vm} from {self.source} to {self.target}"
            case "startup" | "shutdown":
                return f"{self.type} {self.source}"
            case _:
                return f"{self.type} {self.vm} on {self.target or self.source}"
