"""Adapter ``simulated``: observes a simulated cluster, late, frozen or not at all where the world's faults say so.

SimulatedAdapter(world, lag=0.0)            SimulatedAdapter.from_settings({"file": ..., "lag": ...})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from entropy.model.errors import PlatformError
from entropy.platforms.base import ConfigurationAdapter, Observation, Probe
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.worlds import read_settings, world_of

__all__ = ["SimulatedAdapter"]


class SimulatedAdapter(ConfigurationAdapter):
    """Observes ``world`` as it was ``lag`` seconds ago.  ``looks`` counts the observations asked for."""

    def __init__(self, world: SimulatedCluster, lag: float = 0.0) -> None:
        self.world, self.lag = world, lag
        self.looks = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Settings: see ``SimulationSettings``.  Raises ``InputError``."""
        read = read_settings(settings)
        return cls(world_of(read), read.lag)

    async def observe(self) -> Observation:
        """The cluster as monitoring shows it.  Raises ``PlatformError`` during an outage."""
        self.looks += 1
        now, faults = self.world.now(), self.world.faults
        if any(window.holds(now) for window in faults.outages):
            raise PlatformError("the simulated monitoring cannot be reached")
        seen = min([now - self.lag, *(window.start for window in faults.frozen if window.holds(now))])
        return self.world.view(seen if seen < now else None)

    async def probe(self) -> tuple[Probe, ...]:
        """Reachable unless an outage holds."""
        down = any(window.holds(self.world.now()) for window in self.world.faults.outages)
        return (Probe(question="simulated monitoring reachable", ok=not down),)
