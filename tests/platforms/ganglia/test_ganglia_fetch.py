"""Reading over TCP, from servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from entropy.model.errors import InputError, PlatformError
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.adapter import GangliaAdapter
from ganglia_xml import document, node, vm

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def observe(handler: Handler, **settings: Any) -> Observation:
    async def run() -> Observation:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await GangliaAdapter.from_settings({"host": "127.0.0.1", "port": port} | settings).observe()

    return asyncio.run(run())


def refusal(handler: Handler, **settings: Any) -> str:
    with pytest.raises(PlatformError) as caught:
        observe(handler, **settings)
    assert "127.0.0.1:" in str(caught.value)
    return str(caught.value)


def serving(data: bytes, *, times: int = 1) -> Handler:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(times):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the reader has seen enough
        finally:
            writer.close()

    return handler


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client gives up
    writer.close()


async def resetting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(document(node("n1"))[:200])
    await writer.drain()
    writer.transport.abort()


def test_a_whole_answer_is_a_cluster() -> None:
    seen = observe(serving(document(node("n1", "a"), vm("a"), grid="site")))
    assert (seen.cluster.name, len(seen.cluster.nodes), len(seen.cluster.vms)) == ("site", 1, 1)


def test_nobody_listens() -> None:
    with pytest.raises(PlatformError, match=r"refused.*gmetad") as caught:
        asyncio.run(GangliaAdapter.from_settings({"port": 1, "host": "127.0.0.1"}).observe())
    assert "127.0.0.1:1 " in str(caught.value)


def test_a_host_that_does_not_exist() -> None:
    for name in ("no-such-host.invalid", "."):
        with pytest.raises(PlatformError, match=r"unknown|cannot be reached"):
            asyncio.run(GangliaAdapter.from_settings({"host": name}).observe())


def test_the_interactive_port_waits_for_a_question() -> None:
    assert "interactive port (8652)" in refusal(silent, connectTimeout=0.05)


def test_an_answer_that_never_ends() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(document(node("n1"))[:-20])
        await silent(reader, writer)

    assert "within 0.05 s" in refusal(dripping, timeout=0.05)


def test_a_closed_door() -> None:
    assert "trusted_hosts" in refusal(serving(b""))


def test_a_connection_that_breaks() -> None:
    text = refusal(resetting)
    assert "broke the connection off" in text or "truncated" in text


def test_a_huge_document_is_refused_at_the_limit() -> None:
    body = document(*(node(f"n{k}") for k in range(100)))
    start, hosts = body.split(b"<HOST", 1)
    hosts = b"<HOST" + hosts.rsplit(b"</CLUSTER>", 1)[0]

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await serving(hosts, times=1 << 20)(_, writer)

    assert "larger than 2 MiB" in refusal(endless, maxSizeMib=2)


def test_a_failed_observation_is_no_answer_to_the_check_but_an_explanation() -> None:
    probes = asyncio.run(GangliaAdapter.from_settings({"port": 1, "host": "127.0.0.1"}).probe())
    assert [probe.ok for probe in probes] == [False]


def test_probes_of_a_cluster() -> None:
    async def run(data: bytes) -> list[bool | None]:
        server = await asyncio.start_server(serving(data), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return [probe.ok for probe in await GangliaAdapter.from_settings({"host": "127.0.0.1", "port": port}).probe()]

    assert asyncio.run(run(document(node("n1", "a"), vm("a")))) == [True, True, True]
    assert asyncio.run(run(document(node("n1", "a")))) == [True, True, False]
    assert asyncio.run(run(document())) == [True, False, True]


@pytest.mark.parametrize(
    ("settings", "path", "accepted"),
    [
        ({"prot": 1}, "prot", "port"),
        ({"port": 70000}, "port", ""),
        ({"port": "eight"}, "port", ""),
        ({"timeout": 0}, "timeout", ""),
        ({"timeout": "nan"}, "timeout", ""),
        ({"nodesWhitelist": ["a"], "nodes_blacklist": ["b"]}, "nodesWhitelist", "one of the two"),
        ({"nodesBlacklist": "/no/such/file"}, "nodesBlacklist", "one host a line"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], path: str, accepted: str) -> None:
    with pytest.raises(InputError) as caught:
        GangliaAdapter.from_settings(settings)
    assert caught.value.path == path
    assert accepted in caught.value.accepted


def test_properties_are_all_text(tmp_path: Path) -> None:
    (tmp_path / "black").write_text("n9\n")
    adapter = GangliaAdapter.from_settings({"host": "h", "port": "8649", "timeout": "2.5", "nodesBlacklist": str(tmp_path / "black")})
    assert (adapter.settings.port, adapter.settings.timeout) == (8649, 2.5)


def test_a_list_file_with_two_hosts_on_a_line(tmp_path: Path) -> None:
    (tmp_path / "white").write_text("n1 n2\n")
    with pytest.raises(InputError, match="one host a line"):
        GangliaAdapter.from_settings({"nodesWhitelist": str(tmp_path / "white")})
