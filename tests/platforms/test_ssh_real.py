"""The ssh driver against a real sshd; the commands write down what they got."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint
from testbed.sshd import Sshd

pytestmark = pytest.mark.real

N1, N2 = Endpoint(name="n1"), Endpoint(name="n2", labels={"address": "192.0.2.2"})


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A hypervisor's tool that writes its arguments down, one a line, and the end of the call."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\nfor word; do printf '<%s>\\n' \"$word\" >> {tmp_path}/calls; done\necho done >> {tmp_path}/calls\n")
    tool.chmod(0o755)
    return tool


def calls(recorder: Path) -> list[str]:
    return recorder.with_name("calls").read_text().splitlines()


@asynccontextmanager
async def driver(sshd: Sshd, **settings: Any) -> AsyncIterator[Any]:
    from entropy.platforms.ssh.driver import SshDriver

    made = SshDriver.from_settings(sshd.settings | settings)
    try:
        yield made
    finally:
        await made.close()


def test_each_operation_runs_its_command_with_its_names(sshd: Sshd, recorder: Path) -> None:
    words = "$VM $HOST $NODE $SOURCE $DESTINATION"
    node = "$VM $HOST $NODE $ADDRESS"
    commands = {"migrate": f"{recorder} migrate {words}", "resume": f"{recorder} resume {words}"}
    commands |= {o: f"{recorder} {o} {node}" for o in ("run", "stop", "suspend")}
    commands |= {o: f"{recorder} {o} $NODE $ADDRESS" for o in ("startup", "shutdown")}

    async def story() -> None:
        async with driver(sshd, **commands) as ssh:
            await ssh.migrate("web-1", N1, N2)
            await ssh.resume("web-1", N1, N2)
            await ssh.run("web-1", N2)
            await ssh.stop("web-1", N2)
            await ssh.suspend("web-1", N1)
            await ssh.startup(N2)
            await ssh.shutdown(N2)

    before = sshd.log().count("Accepted publickey")
    asyncio.run(story())
    assert " ".join(calls(recorder)).split(" done")[:-1] == [
        "<migrate> <web-1> <n1> <n1> <n1> <n2>",
        " <resume> <web-1> <n2> <n2> <n1> <n2>",
        " <run> <web-1> <n2> <n2> <192.0.2.2>",
        " <stop> <web-1> <n2> <n2> <192.0.2.2>",
        " <suspend> <web-1> <n1> <n1> <n1>",
        " <startup> <n2> <192.0.2.2>",
        " <shutdown> <n2> <192.0.2.2>",
    ]
    assert sshd.log().count("Accepted publickey") - before == 2  # one connection a node, used again


def test_names_are_words_and_nothing_else(sshd: Sshd, recorder: Path, tmp_path: Path) -> None:
    nasty = f"web $(touch {tmp_path.name}) `id`; reboot' \" & | > x * \\ é"

    async def story() -> None:
        async with driver(sshd, migrate=f"{recorder} $VM $DESTINATION", destination="{address}") as ssh:
            await ssh.migrate(nasty, N1, N2)
            for name in ("-f", "../x"):
                with pytest.raises(PlatformError, match="cannot stand for"):
                    await ssh.migrate(name, N1, N2)

    asyncio.run(story())
    assert calls(recorder) == [f"<{nasty}>", "<192.0.2.2>", "done"]


def test_a_failing_command_shows_its_status_and_last_words(sshd: Sshd) -> None:
    async def story() -> None:
        async with driver(sshd, stop="echo fine; echo 'no such domain' >&2; exit 7", run="kill -9 $$$$", suspend="exit 3") as ssh:
            with pytest.raises(PlatformError, match=r"^node n1: cannot stop web-1: .* ended with status 7: no such domain$"):
                await ssh.stop("web-1", N1)
            with pytest.raises(PlatformError, match=r"ended with status signal KILL"):
                await ssh.run("web-1", N1)
            with pytest.raises(PlatformError, match=r"ended with status 3 and said nothing$"):
                await ssh.suspend("web-1", N1)
            with pytest.raises(PlatformError, match=r"no command is set to resume"):
                await ssh.resume("web-1", N1, N1)

    asyncio.run(story())


def test_startup_runs_on_the_manager_and_reports_its_failure(sshd: Sshd) -> None:
    async def story() -> None:
        async with driver(sshd, port=1, startup="echo $NODE is deaf >&2; exit 4") as ssh:
            with pytest.raises(PlatformError, match=r"cannot start n2: .* ended with status 4: n2 is deaf$"):
                await ssh.startup(N2)

    asyncio.run(story())


def test_an_unknown_or_changed_host_key_is_refused(sshd: Sshd, recorder: Path, tmp_path: Path) -> None:
    sshd.new_key("other")
    changed, empty = tmp_path / "changed", tmp_path / "empty"
    changed.write_text(f"[127.0.0.1]:{sshd.port} {(sshd.work / 'other.pub').read_text()}")
    empty.touch()

    async def story() -> None:
        for file, reason in (
            (changed, "somebody poses as it"),
            (empty, "somebody poses as it"),
            (tmp_path / "missing", r"missing; make it with `ssh-keyscan -p \d+ 127.0.0.1 >> .*fingerprint"),
        ):
            async with driver(sshd, stop=f"{recorder} $VM", known_hosts=str(file)) as ssh:
                with pytest.raises(PlatformError, match=reason):
                    await ssh.stop("web-1", N1)
                (login, _) = await ssh.probe((N1,))
                assert login.ok is False
        async with driver(sshd, stop="true", known_hosts=str(tmp_path / "missing")) as ssh:
            (keys, _) = await ssh.probe((N1, N2))  # what is missing once is said once
            assert keys.detail == f"the file of known hosts {tmp_path / 'missing'} is missing"

    asyncio.run(story())
    assert not recorder.with_name("calls").exists()


def test_unchecked_hosts_must_be_asked_for_and_are_warned_of(sshd: Sshd, recorder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with driver(sshd, stop=f"{recorder} $VM", known_hosts="none") as ssh:
            await ssh.stop("web-1", N1)
            login, keys, _ = await ssh.probe((N1,))
            assert (login.ok, keys.ok) == (True, False)

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert "anybody who answers in a node's place is believed" in caplog.text
    assert calls(recorder) == ["<web-1>", "done"]


def test_a_key_that_is_not_accepted_and_a_port_where_nobody_is(sshd: Sshd) -> None:
    sshd.new_key("stranger")

    async def story() -> None:
        async with driver(sshd, stop="true", private_key=str(sshd.work / "stranger")) as ssh:
            with pytest.raises(PlatformError, match="refuses our key; add its public half"):
                await ssh.stop("web-1", N1)
        async with driver(sshd, stop="true", port=1) as ssh:
            with pytest.raises(PlatformError, match=r"cannot log in at \S+@127.0.0.1:1: .*is sshd up there"):
                await ssh.stop("web-1", N1)

    asyncio.run(story())


def _slow(pid_file: Path) -> str:
    return f"echo $$$$ > {pid_file}; while :; do sleep 0.05; done"


async def _begun(pid_file: Path) -> int:
    while not (pid_file.exists() and pid_file.read_text().strip()):  # noqa: ASYNC110, ASYNC240 - another process writes it
        await asyncio.sleep(0.02)
    return int(pid_file.read_text())  # noqa: ASYNC240


async def _ends(pid: int) -> None:
    while os.path.exists(f"/proc/{pid}"):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.02)


def test_a_command_that_is_given_up_ends_on_the_node(sshd: Sshd, tmp_path: Path) -> None:
    async def story() -> None:
        async with driver(sshd, migrate=_slow(tmp_path / "pid"), stop="true", terminal=True) as ssh:
            moving = asyncio.create_task(ssh.migrate("web-1", N1, N2))
            pid = await _begun(tmp_path / "pid")
            moving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await moving
            await _ends(pid)
            await ssh.stop("web-1", N1)  # the connection serves on

    asyncio.run(story())


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_a_startup_command_that_is_given_up_ends(sshd: Sshd, tmp_path: Path, deaf: str) -> None:
    async def story() -> None:
        async with driver(sshd, startup=deaf + _slow(tmp_path / "pid")) as ssh:
            starting = asyncio.create_task(ssh.startup(N2))
            pid = await _begun(tmp_path / "pid")
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            await _ends(pid)

    asyncio.run(story())


def test_a_node_that_goes_and_comes_back(recorder: Path, tmp_path: Path) -> None:
    """The connection breaks in the middle of a command, then under an idle driver; each time the next call connects anew."""

    async def story() -> None:
        with Sshd() as server:
            async with driver(server, migrate=_slow(tmp_path / "pid"), stop=f"{recorder} $VM", shutdown=_slow(tmp_path / "off")) as ssh:
                moving = asyncio.create_task(ssh.migrate("web-1", N1, N2))
                pid = await _begun(tmp_path / "pid")
                await asyncio.to_thread(server.stop)
                with pytest.raises(PlatformError, match="the connection broke in the middle"):
                    await moving
                os.killpg(pid, 9)
                with pytest.raises(PlatformError, match="is sshd up there"):
                    await ssh.stop("web-1", N1)
                await asyncio.to_thread(server.start)
                await ssh.stop("web-1", N1)
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
                await ssh.stop("web-2", N1)
                going = asyncio.create_task(ssh.shutdown(N1))
                pid = await _begun(tmp_path / "off")
                await asyncio.to_thread(server.stop)
                await going  # a node that shuts down takes its sshd along
                os.killpg(pid, 9)

    asyncio.run(story())
    assert calls(recorder) == ["<web-1>", "done", "<web-2>", "done"]
