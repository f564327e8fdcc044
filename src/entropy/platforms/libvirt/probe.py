"""What ``entropy check`` asks libvirt before the first migration.

libvirt has no dry migration.  What its own first phase would look at and a client can ask is asked here; what cannot be asked
without moving a guest is named as such.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint, Probe
from entropy.platforms.libvirt.binding import libvirt
from entropy.platforms.libvirt.connections import Connections
from entropy.platforms.libvirt.settings import LibvirtSettings

__all__ = ["probe"]

_AT_ONCE = 32  # nodes asked at the same time
_SHOWN = 5  # names in a sentence


@dataclass(frozen=True, kw_only=True)
class _Host:
    """What one node said.  ``disks``: folder -> (VM, path) of one disk there; ``remote`` counts network disks."""

    hypervisor: str
    uuid: str
    live: bool
    kind: str
    cpu: str | None
    disks: Mapping[str, tuple[str, str]]
    remote: int


async def probe(connections: Connections, nodes: Sequence[Endpoint], settings: LibvirtSettings) -> tuple[Probe, ...]:
    """One answer or two a node, then those between nodes."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(node: Endpoint) -> _Host | PlatformError:
        async with gate:
            try:
                return await connections.ask(node, "be asked what it offers", _gather)
            except PlatformError as error:
                return error

    answers = dict(zip((n.name for n in nodes), await asyncio.gather(*(look(n) for n in nodes)), strict=True))
    found: list[Probe] = []
    for name, answer in answers.items():
        found += _of_node(name, answer)
    hosts = {name: answer for name, answer in answers.items() if isinstance(answer, _Host)}
    reached = [node for node in nodes if node.name in hosts]
    if len(hosts) > 1:
        found += _one_host_twice(hosts)
        found.append(await _processors(connections, reached, hosts))
        found.append(await _storage(connections, reached, hosts))
        found.append(_not_asked(settings))
    return tuple(found)


def _gather(connection: Any) -> _Host:
    capabilities = fromstring(connection.getCapabilities())
    kind = connection.getType()
    version = ".".join(str(connection.getVersion() // scale % 1000) for scale in (1_000_000, 1_000, 1))
    library = ".".join(str(connection.getLibVersion() // scale % 1000) for scale in (1_000_000, 1_000, 1))
    disks, remote = _disks(connection)
    return _Host(
        hypervisor=f"{kind} {version}, libvirt {library}",
        uuid=capabilities.findtext("host/uuid", ""),
        live=capabilities.find("host/migration_features/live") is not None,
        kind=kind,
        cpu=_cpu(connection, capabilities),
        disks=disks,
        remote=remote,
    )


def _cpu(connection: Any, capabilities: ElementTree.Element) -> str | None:
    """The processor that a guest gets there as ``host-model``, else the host's own, as XML that another node can judge."""
    try:
        offered = fromstring(connection.getDomainCapabilities())
        model = offered.find("cpu/mode[@name='host-model'][@supported='yes']")
        arch = offered.findtext("arch")
    except libvirt.libvirtError:
        model, arch = None, None
    if model is not None and model.find("model") is not None:
        cpu = ElementTree.Element("cpu", {"mode": "custom", "match": "exact"})
        cpu.extend(part for part in model if part.tag in ("model", "vendor", "feature"))
        if arch:
            cpu.tail = None
        return ElementTree.tostring(cpu, encoding="unicode")
    host = capabilities.find("host/cpu")
    return None if host is None else ElementTree.tostring(host, encoding="unicode")


def _disks(connection: Any) -> tuple[dict[str, tuple[str, str]], int]:
    folders: dict[str, tuple[str, str]] = {}
    remote = 0
    for domain in connection.listAllDomains():
        try:
            tree = fromstring(domain.XMLDesc(0))
        except libvirt.libvirtError:
            continue  # it has just left
        for source in tree.iterfind("devices/disk/source"):
            path = source.get("file") or source.get("dev")
            if path:
                folders.setdefault(posixpath.dirname(path), (domain.name(), path))
            else:
                remote += 1
    return folders, remote


def _of_node(name: str, answer: _Host | PlatformError) -> list[Probe]:
    if isinstance(answer, PlatformError):
        return [Probe(question=f"{name}: reachable", ok=False, detail=str(answer), mend="see drivers.libvirt.uri and nodes")]
    reached = Probe(question=f"{name}: reachable", ok=True, detail=answer.hypervisor)
    mend = "" if answer.live else "use a hypervisor whose libvirt driver migrates (qemu, xen)"
    return [reached, Probe(question=f"{name}: accepts live migration", ok=answer.live, detail=answer.kind, mend=mend)]


def _one_host_twice(hosts: Mapping[str, _Host]) -> list[Probe]:
    by_uuid: dict[str, list[str]] = {}
    for name, host in hosts.items():
        by_uuid.setdefault(host.uuid, []).append(name)
    return [
        Probe(
            question=f"{', '.join(names)}: different hosts",
            ok=False,
            detail=f"all say that they are host {uuid}",
            mend="check drivers.libvirt.uri and nodes; if the machines do differ, set host_uuid in their libvirtd.conf",
        )
        for uuid, names in by_uuid.items()
        if uuid and len(names) > 1
    ]


async def _processors(connections: Connections, nodes: Sequence[Endpoint], hosts: Mapping[str, _Host]) -> Probe:
    """Does every node run what another node's ``host-model`` guests have?  One node is asked for each kind of processor."""
    question = "processors: guests of one node run on another"
    kinds: dict[str, Endpoint] = {}
    for node in nodes:
        cpu = hosts[node.name].cpu
        if cpu is None:
            return Probe(question=question, ok=None, detail=f"{node.name} does not describe its processor")
        kinds.setdefault(cpu, node)
    if len(kinds) == 1:
        return Probe(question=question, ok=True, detail="all nodes offer the same processor")
    refused = []
    for (_, one), (_, two) in combinations(kinds.items(), 2):
        for source, target in ((one, two), (two, one)):
            try:
                fits = await _runs(connections, target, str(hosts[source.name].cpu))
            except PlatformError as error:
                return Probe(question=question, ok=None, detail=str(error))
            if not fits:
                refused.append(f"{source.name} to {target.name}")
    if not refused:
        return Probe(question=question, ok=True, detail=f"{len(kinds)} kinds of processor, each runs the others' guests")
    return Probe(
        question=question,
        ok=False,
        detail=f"guests with the host's model cannot go from {_some(refused)}",
        mend="give guests a model that all nodes have (virsh hypervisor-cpu-baseline), or fence them to nodes of one kind",
    )


async def _runs(connections: Connections, node: Endpoint, cpu: str) -> bool:
    def compare(connection: Any) -> bool:
        try:
            verdict = connection.compareHypervisorCPU(None, None, None, None, cpu, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED):
                raise
            verdict = connection.compareCPU(cpu, 0)
        return bool(verdict in (libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET))

    return await connections.ask(node, "compare processors", compare)


async def _storage(connections: Connections, nodes: Sequence[Endpoint], hosts: Mapping[str, _Host]) -> Probe:
    """Can every node open the disks of the others' guests?  One disk a folder; libvirt cannot tell whether it is the same."""
    question = "storage: the guests' disks are seen by every node"
    wanted = {folder: (name, *disk) for name, host in hosts.items() for folder, disk in host.disks.items()}
    remote = sum(host.remote for host in hosts.values())
    if not wanted:
        detail = f"{remote} network disks, no local path" if remote else "no guest has a disk yet"
        return Probe(question=question, ok=True if remote else None, detail=detail)
    missing: list[str] = []
    for home, vm, path in wanted.values():
        others = [node for node in nodes if node.name != home]
        opened = await asyncio.gather(*(_opens(connections, node, path) for node in others))
        if None in opened:
            return Probe(question=question, ok=None, detail="the hypervisor cannot be asked whether it can open a file")
        missing += [f"{path} of {vm} on {node.name}" for node, ok in zip(others, opened, strict=True) if not ok]
    if missing:
        return Probe(
            question=question,
            ok=False,
            detail=f"cannot be opened: {_some(missing)}",
            mend="put the disks on storage that all nodes mount under the same path (NFS, iSCSI, Ceph, ...)",
        )
    return Probe(
        question=question,
        ok=None,
        detail=f"every node opens the same paths ({_some(sorted(wanted))}); libvirt cannot tell whether it is the same storage",
        mend="make sure that it is: two disks of the same name are not one",
    )


async def _opens(connections: Connections, node: Endpoint, path: str) -> bool | None:
    """Whether libvirtd there can open ``path`` for reading, told by how it fails to take the disk for a saved guest."""

    def read(connection: Any) -> bool | None:
        try:
            connection.saveImageGetXMLDesc(path, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return None
            return bool(error.get_error_code() != libvirt.VIR_ERR_SYSTEM_ERROR)
        return True

    try:
        return await connections.ask(node, f"open {path}", read)
    except PlatformError:
        return None


def _not_asked(settings: LibvirtSettings) -> Probe:
    plain = settings.migrate_uri.startswith("qemu+tcp") and not settings.tls and not settings.tunnelled
    return Probe(
        question="a dry migration",
        ok=None,
        detail="libvirt has none. Not asked therefore: whether one node's libvirtd may log in to another's at "
        f"{settings.migrate_uri}, and whether the ports of the memory stream are open (49152 to 49215)"
        + ("; libvirtd's plain TCP port lets everybody in who reaches it, and memory flows in the clear" if plain else ""),
        mend="migrate one unimportant guest by hand: virsh migrate --live --p2p --persistent --undefinesource VM URI"
        + ("; prefer qemu+tls:// and drivers.libvirt.tls" if plain else ""),
    )


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
