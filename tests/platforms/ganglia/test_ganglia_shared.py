"""Recorded answers of real clusters, served on a port."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from entropy.model.errors import PlatformError
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.adapter import GangliaAdapter
from shared_data import shared


def observe(path: str) -> Observation:
    raw = shared(path).read_bytes()
    data = gzip.decompress(raw) if path.endswith(".gz") else raw

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    async def run() -> Observation:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await GangliaAdapter.from_settings({"host": "127.0.0.1", "port": port}).observe()

    return asyncio.run(run())


def test_71_hosts() -> None:
    """Ten containers, sixty VMs, and a head node that is neither."""
    seen = observe("data/ganglia/gmetad-71-hosts.xml.gz")
    cluster = seen.cluster
    assert (len(cluster.nodes), len(cluster.vms), seen.warnings, cluster.name) == (10, 60, (), "Pastel")
    assert all(node.state == "online" and not node.untouchable for node in cluster.nodes)
    assert {node.capacity["memory"] for node in cluster.nodes} == {4087.0, 4055400 / 1024}
    assert len(cluster.running_on["pastel-5.b217.home"]) == 8
    assert cluster.vm_by_name["tinyLenny14"].demand == {"cpu": 0.0, "memory": 131288 / 1024}
    assert cluster.node_by_name["pastel-2.b217.home"].labels["driver.resume"] == "sshResume"


def test_node_metrics() -> None:
    cluster = observe("data/ganglia/checkNodeMetricsParsing.xml").cluster
    assert {n.name: (n.capacity["cpu"], n.capacity["memory"], n.labels["cpuMHz"]) for n in cluster.nodes} == {
        "N1": (2.0, 4000.0, "2001"), "N2": (2.0, 4087.0, "2001"), "N3": (2.0, 4087.0, "2001"),
    }  # fmt: skip
    assert cluster.vms == ()


def test_cpu_arithmetic() -> None:
    cluster = observe("data/ganglia/checkCPUConsumptionComputation.xml").cluster
    assert {vm.name: vm.demand["cpu"] for vm in cluster.vms} == {"lenny3": 0.945, "lenny4": 0.0, "lenny5": 1.0}


def test_a_vm_that_nobody_reports_does_not_reject_everything() -> None:
    seen = observe("data/ganglia/checkAssignmentsParsingWithInvalidAssignment.xml")
    assert {n.name for n in seen.cluster.nodes if n.untouchable} == {"pastel-10.b217.home"}
    assert {vm.name for vm in seen.cluster.vms} == {"lenny3", "lenny4", "lenny5"}
    assert "Karl" in seen.warnings[0]


def test_offline_nodes() -> None:
    seen = observe("data/ganglia/offlineNodesDetection.xml")
    assert {n.name for n in seen.cluster.nodes if n.state == "offline"} == {"N4"}
    assert {n.name for n in seen.cluster.nodes if n.untouchable} == {"pastel-10.b217.home"}, "it shares two VMs with N3"
    assert {vm.name for vm in seen.cluster.vms if not vm.migratable} == {"lenny3", "lenny5"}


def test_a_sample_of_gmond() -> None:
    seen = observe("testbed/ganglia-sample.xml")
    assert {n.name: bool(n.untouchable) for n in seen.cluster.nodes} == {"node-1": True, "node-2": True, "node-3": False}


def test_pitfall_3_what_gmetad_makes_of_markup() -> None:
    with pytest.raises(PlatformError, match=r"not well-formed at line 62.*node-2.*<, &"):
        observe("testbed/ganglia-gmetad-malformed-sample.xml")
