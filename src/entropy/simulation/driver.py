"""Driver ``simulated``: asks the hypervisors of a simulated cluster, and believes what they say.

SimulatedDriver(world)            SimulatedDriver.from_settings({"file": ...})
    .abandon()                    the manager is killed: what it began goes on, nobody gives it up
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from entropy.model.errors import PlatformError
from entropy.model.plan import ActionType
from entropy.platforms.base import Driver, Endpoint, Probe
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.worlds import read_settings, world_of

__all__ = ["SimulatedDriver"]


class SimulatedDriver(Driver):
    """Acts on ``world``.  A cancelled operation is given up, as far as its hypervisor listens."""

    def __init__(self, world: SimulatedCluster) -> None:
        self.world = world
        self._abandoned = False

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Settings: see ``SimulationSettings``.  Raises ``InputError``."""
        return cls(world_of(read_settings(settings)))

    def abandon(self) -> None:
        """From now on this driver does nothing, and its operations go on though it is cancelled: its process was killed."""
        self._abandoned = True

    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Move a running VM, live."""
        await self._do("migrate", vm, source.name, target.name)

    async def run(self, vm: str, node: Endpoint) -> None:
        """Start a ready VM."""
        await self._do("run", vm, None, node.name)

    async def stop(self, vm: str, node: Endpoint) -> None:
        """Stop a running VM, or discard the image of a sleeping one."""
        await self._do("stop", vm, node.name, None)

    async def suspend(self, vm: str, node: Endpoint) -> None:
        """Save a running VM's memory to an image."""
        await self._do("suspend", vm, node.name, None)

    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Run a sleeping VM on ``target`` from its image on ``source``."""
        await self._do("resume", vm, source.name, target.name)

    async def startup(self, node: Endpoint) -> None:
        """Switch a node on."""
        await self._do("startup", None, node.name, None)

    async def shutdown(self, node: Endpoint) -> None:
        """Switch a node off."""
        await self._do("shutdown", None, node.name, None)

    async def busy(self, vm: str, node: Endpoint) -> bool | None:
        """Is an operation on this VM under way at this node?  ``None`` when the node does not answer."""
        known = self.world.view().cluster.node_by_name.get(node.name)
        return self.world.busy(vm, node.name) if known and known.state == "online" else None

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        """A simulated hypervisor accepts everything that is possible."""
        return (Probe(question="simulated hypervisors accept live migration", ok=True, detail=f"{len(nodes)} nodes"),)

    async def _do(self, kind: ActionType, vm: str | None, source: str | None, target: str | None) -> None:
        if self._abandoned:
            raise PlatformError("this manager was killed")
        operation = self.world.begin(kind, vm, source, target)
        try:
            error = await asyncio.shield(operation.answer)
        except asyncio.CancelledError:
            if not self._abandoned:
                self.world.give_up(operation)
            raise
        if error is not None:
            raise PlatformError(f"{operation.nodes[0]}: {error}")
