"""The Ganglia adapter: gmetad's or gmond's XML as a Cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from entropy.model.errors import PlatformError
from entropy.platforms.base import ConfigurationAdapter, Observation, Probe
from entropy.platforms.ganglia.configuration import assemble
from entropy.platforms.ganglia.fetch import fetch
from entropy.platforms.ganglia.memory import Memory
from entropy.platforms.ganglia.settings import GangliaSettings, NodeFilter

__all__ = ["GangliaAdapter"]


class GangliaAdapter(ConfigurationAdapter):
    """Observes through Ganglia.  The metrics it reads, and the rules it follows, are in ``docs/ganglia.md``."""

    def __init__(self, settings: GangliaSettings) -> None:
        self.settings = settings
        self._wanted = NodeFilter(settings)
        self._memory = Memory()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return cls(GangliaSettings.read(settings))

    async def observe(self) -> Observation:
        dump = await fetch(self.settings)
        return assemble(dump, self._wanted, self._memory, self.recall)

    async def probe(self) -> tuple[Probe, ...]:
        where = f"{self.settings.host}:{self.settings.port}"
        question = f"Does Ganglia answer at {where}?"
        try:
            dump = await fetch(self.settings)
        except PlatformError as problem:
            return (Probe(question=question, ok=False, detail=str(problem)),)
        seen = assemble(dump, self._wanted, Memory(), self.recall)
        online = [node for node in seen.cluster.nodes if node.state == "online"]
        return (
            Probe(question=question, ok=True, detail=f"{len(dump.hosts)} hosts report"),
            Probe(
                question="Do the physical hosts publish their container metrics?",
                ok=bool(online),
                detail=f"{len(online)} nodes online, {len(seen.cluster.nodes) - len(online)} offline, {len(seen.cluster.vms)} VMs",
                mend="" if online else "run entropy-ganglia-agent on each physical host",
            ),
            Probe(
                question="Is everything that Ganglia says clear?",
                ok=not any(node.untouchable for node in seen.cluster.nodes),
                detail=" | ".join(seen.warnings[:10]),
                mend="docs/ganglia.md explains each; the nodes concerned are left alone meanwhile" if seen.warnings else "",
            ),
        )
