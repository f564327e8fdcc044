"""Hypervisors whose state is on disk: they go on when their manager is killed, as real ones do.

For tests of whole processes.  A folder holds ``cluster.json`` (a Cluster document) and one file an operation with the instant
at which it ends; a VM is where its last operation that has ended brought it.  ``plugin(folder)`` makes a package that
registers the adapter and driver ``disk`` under the entry points, to be put on PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from entropy.formats import documents
from entropy.model.cluster import Cluster
from entropy.model.errors import PlatformError
from entropy.platforms.base import ConfigurationAdapter, Driver, Endpoint, Observation, Probe

__all__ = ["DiskAdapter", "DiskDriver", "DiskWorld", "plugin"]


class DiskWorld:
    """``seconds``: how long a migration takes; the file ``broken`` makes monitoring fail."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def make(cls, folder: Path, cluster: Cluster, seconds: float) -> DiskWorld:
        folder.mkdir(parents=True, exist_ok=True)
        documents.write(cluster, str(folder / "cluster.json"))
        (folder / "seconds").write_text(str(seconds))
        return cls(folder)

    def operations(self) -> list[dict[str, Any]]:
        """All that were ever begun, oldest first."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("op-*.json")]
        return sorted(found, key=lambda op: op["begun"])

    def under_way(self) -> list[str]:
        """VMs that migrate right now."""
        return [op["vm"] for op in self.operations() if time.time() < op["ends"]]

    def cluster(self) -> Cluster:
        cluster = documents.read(str(self.folder / "cluster.json"), Cluster)
        now, host = time.time(), {vm.name: vm.node for vm in cluster.vms}
        for op in self.operations():
            if op["ends"] <= now:
                host[op["vm"]] = op["target"]
        return replace(cluster, vms=tuple(replace(vm, node=host[vm.name]) for vm in cluster.vms))

    def begin(self, vm: str, source: str, target: str) -> float:
        """Seconds until it ends."""
        if vm in self.under_way() or self.cluster().vm_by_name[vm].node != source:
            raise PlatformError(f"{vm} cannot be migrated from {source} now")
        seconds, now = float((self.folder / "seconds").read_text()), time.time()
        op = {"vm": vm, "source": source, "target": target, "begun": now, "ends": now + seconds}
        temporary = self.folder / f".{vm}.{os.getpid()}"
        temporary.write_text(json.dumps(op))
        temporary.replace(self.folder / f"op-{now:.6f}-{vm}.json")
        return seconds


class DiskAdapter(ConfigurationAdapter):
    def __init__(self, world: DiskWorld) -> None:
        self.world = world

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return cls(DiskWorld(settings["folder"]))

    async def observe(self) -> Observation:
        if (self.world.folder / "broken").exists():
            raise PlatformError("the disk world does not answer")
        return Observation(cluster=self.world.cluster())

    async def probe(self) -> tuple[Probe, ...]:
        broken = (self.world.folder / "broken").exists()
        return (Probe(question="disk world reachable", ok=not broken, mend="" if not broken else "remove the file broken"),)


class DiskDriver(Driver):
    def __init__(self, world: DiskWorld) -> None:
        self.world = world

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        return cls(DiskWorld(settings["folder"]))

    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        await asyncio.sleep(self.world.begin(vm, source.name, target.name))

    async def run(self, vm: str, node: Endpoint) -> None:
        raise PlatformError("not offered")

    stop = suspend = run

    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        raise PlatformError("not offered")

    async def busy(self, vm: str, node: Endpoint) -> bool | None:
        return vm in self.world.under_way()

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        return (Probe(question="disk hypervisors accept live migration", ok=True, detail=f"{len(nodes)} nodes"),)


def plugin(folder: Path) -> str:
    """A PYTHONPATH with which the names ``disk`` are registered."""
    info = folder / "disk_world-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: disk-world\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[entropy.adapters]\ndisk = testbed.disk_world:DiskAdapter\n[entropy.drivers]\ndisk = testbed.disk_world:DiskDriver\n"
    )
    return os.pathsep.join([str(folder), str(Path(__file__).parents[1])])
