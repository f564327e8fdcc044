"""One reading of Ganglia's XML over TCP, parsed while it arrives."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from entropy.model.errors import PlatformError
from entropy.platforms.ganglia.settings import GangliaSettings
from entropy.platforms.ganglia.xml import Dump, DumpParser

__all__ = ["fetch"]

PIECE = 1 << 16


async def fetch(settings: GangliaSettings) -> Dump:
    """What gmetad (8651) or gmond (8649) serves now.

    Raises ``PlatformError`` with host, port, reason and what to do: not reachable, too slow, too large, not to be believed.
    """
    source = f"{settings.host}:{settings.port}"
    try:
        async with asyncio.timeout(settings.timeout):
            return await _read(settings, source)
    except TimeoutError as problem:
        raise PlatformError(
            f"Ganglia at {source} did not finish its answer within {settings.timeout:g} s; raise monitoring.ganglia.timeout if the "
            "cluster is that large"
        ) from problem


async def _read(settings: GangliaSettings, source: str) -> Dump:
    parser, size, most = DumpParser(source), 0, settings.max_size_mib << 20
    reader, writer = await _connect(settings, source)
    try:
        wait = settings.connect_timeout  # for the first piece: an interactive port says nothing before it is asked
        while piece := await _piece(reader, wait, source):
            size += len(piece)
            if size > most:
                raise PlatformError(
                    f"the answer of {source} is larger than {settings.max_size_mib} MiB: refused; raise "
                    "monitoring.ganglia.maxSizeMib if the cluster is that large"
                )
            parser.feed(piece)
            wait = settings.timeout
    except OSError as problem:
        raise PlatformError(
            f"Ganglia at {source} broke the connection off after {size} bytes: {_reason(problem)}; nothing of it is used"
        ) from problem
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return parser.close()


async def _connect(settings: GangliaSettings, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(settings.connect_timeout):
            return await asyncio.open_connection(settings.host, settings.port, limit=4 * PIECE)
    except TimeoutError as problem:
        raise PlatformError(
            f"Ganglia at {source} did not accept a connection within {settings.connect_timeout:g} s; is the host up, and does a "
            "firewall let this machine in?"
        ) from problem
    except socket.gaierror as problem:
        raise PlatformError(
            f"Ganglia at {source}: the name {settings.host} is unknown ({_reason(problem)}); mend monitoring.ganglia.host (gmetad.host)"
        ) from problem
    except (OSError, ValueError) as problem:  # ValueError: a name that is no host name at all
        raise PlatformError(
            f"Ganglia at {source} cannot be reached: {_reason(problem)}; is gmetad (port 8651) or gmond (port 8649) running there? "
            "monitoring.ganglia.host and .port (gmetad.host, gmetad.port) say where it is looked for"
        ) from problem


async def _piece(reader: asyncio.StreamReader, seconds: float, source: str) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(PIECE)
    except TimeoutError as problem:
        raise PlatformError(
            f"{source} accepted the connection and sent nothing for {seconds:g} s; gmetad's interactive port (8652) waits for a "
            "question: use its xml_port (8651), or gmond's tcp_accept_channel (8649)"
        ) from problem


def _reason(problem: Exception) -> str:
    """The operating system's word on it; asyncio joins several attempts in one text, of which the first says enough."""
    if isinstance(problem, OSError) and problem.strerror and not problem.strerror.startswith(("Multiple exceptions", "Connect call")):
        return problem.strerror
    text = str(problem).lower()
    return "connection refused" if "refused" in text or isinstance(problem, ConnectionRefusedError) else str(problem) or "no reason given"
