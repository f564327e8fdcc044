"""The libvirt driver on real libvirt hosts: what libvirt itself says afterwards is what counts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint
from testbed.libvirt import LibvirtTestbed, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def bed() -> Iterator[LibvirtTestbed]:
    with LibvirtTestbed(2) as hosts:
        yield hosts


@pytest.fixture
def guest(bed: LibvirtTestbed) -> Iterator[str]:
    """A guest that runs on host 1."""
    bed.define("web-1", on=1)
    bed.start("web-1")
    yield "web-1"
    bed.remove("web-1")


N1, N2 = Endpoint(name="node1"), Endpoint(name="node2")


@asynccontextmanager
async def driver(bed: LibvirtTestbed, **settings: Any) -> AsyncIterator[Any]:
    from entropy.platforms.libvirt.driver import LibvirtDriver

    made = LibvirtDriver.from_settings(bed.driver_settings() | settings)
    try:
        yield made
    finally:
        await made.close()


async def met(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``condition`` holds; the test's own timeout ends it."""
    while not await condition():  # noqa: ASYNC110 - the condition lies in another process
        await asyncio.sleep(0.05)


def test_a_guest_migrates_and_its_definition_goes_along(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        async with driver(bed) as libvirt:
            beats = bed.heartbeats(guest)
            await libvirt.migrate(guest, N1, N2)
            assert bed.where(guest) == [2]
            assert bed.defined(guest) == [2]
            assert bed.domain(guest).isPersistent()
            until(lambda: len(bed.heartbeats(guest)) > len(beats) + 1, "the same guest to go on where it is now")
            await libvirt.migrate(guest, N2, N1)
            assert bed.where(guest) == [1]

    asyncio.run(story())


def test_suspend_and_resume_continue_the_same_guest(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        async with driver(bed) as libvirt:
            bed.make_heavy(guest)  # its mode lives in its memory only
            await libvirt.suspend(guest, N1)
            assert (bed.where(guest), bed.sleeping(guest)) == ([], [1])
            with pytest.raises(PlatformError, match="sleeps there"):
                await libvirt.run(guest, N1)
            with pytest.raises(PlatformError, match="sharedSaveDirectory"):
                await libvirt.resume(guest, N1, N2)
            beats = bed.heartbeats(guest)
            await libvirt.resume(guest, N1, N1)
            assert (bed.where(guest), bed.sleeping(guest)) == ([1], [])
            until(lambda: len(bed.heartbeats(guest)) > len(beats), "a heartbeat after the resume")
            assert set(bed.heartbeats(guest)[len(beats) :]) == {"m"}  # not booted anew, which begins with i
            with pytest.raises(PlatformError, match="observe the cluster again"):
                await libvirt.resume(guest, N1, N2)

    asyncio.run(story())


def test_resume_elsewhere_needs_an_image_that_is_seen_there(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        bed.make_heavy(guest)
        async with driver(bed, shared_save_directory="/var/lib/libvirt/nowhere") as libvirt:
            await libvirt.suspend(guest, N1)
            with pytest.raises(PlatformError, match=r"not seen there.*No such file"):
                await libvirt.resume(guest, N1, N2)
        assert (bed.where(guest), bed.sleeping(guest), bed.defined(guest)) == ([], [1], [1])
        async with driver(bed, shared_save_directory="/var/lib/libvirt/qemu/save") as libvirt:
            beats = bed.heartbeats(guest)
            await libvirt.resume(guest, N1, N2)
            assert (bed.where(guest), bed.sleeping(guest), bed.defined(guest)) == ([2], [], [2])
            until(lambda: len(bed.heartbeats(guest)) > len(beats), "a heartbeat after the resume")
            assert set(bed.heartbeats(guest)[len(beats) :]) == {"m"}

    asyncio.run(story())


def test_stop_and_run(bed: LibvirtTestbed, guest: str, tmp_path: Any) -> None:
    async def story() -> None:
        async with driver(bed, definitions=str(tmp_path)) as libvirt:
            await libvirt.stop(guest, N1)  # by its power button
            assert (bed.where(guest), bed.defined(guest)) == ([], [1])
            await libvirt.stop(guest, N1)  # done already
            await libvirt.run(guest, N1)
            assert bed.where(guest) == [1]
            await libvirt.suspend(guest, N1)
            await libvirt.stop(guest, N1)  # of a sleeping VM: its image goes
            assert (bed.where(guest), bed.sleeping(guest)) == ([], [])
            with pytest.raises(PlatformError, match="not defined there"):
                await libvirt.run(guest, N2)
            (tmp_path / f"{guest}.xml").write_text(bed.definition(guest))
            bed.remove(guest)
            await libvirt.run(guest, N2)
            assert bed.where(guest) == [2]

    asyncio.run(story())


def test_a_guest_that_ignores_its_power_button_is_stopped_after_the_grace(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        bed.domain(guest).suspend()  # paused, it cannot answer
        async with driver(bed, shutdown_grace=0.3) as libvirt:
            await libvirt.stop(guest, N1)
            assert bed.where(guest) == []

    asyncio.run(story())


def test_cancelled_in_the_middle_the_guest_goes_on_at_the_source(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        bed.make_heavy(guest)
        async with driver(bed, bandwidth=1) as libvirt:
            assert await libvirt.busy(guest, N1) is False
            assert await libvirt.busy(guest, N2) is False
            moving = asyncio.create_task(libvirt.migrate(guest, N1, N2))

            async def under_way() -> bool:
                return bool(await libvirt.busy(guest, N1) and await libvirt.busy(guest, N2))

            await met(under_way)
            moving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await moving
            assert await libvirt.busy(guest, N1) is False
            assert (bed.where(guest), bed.defined(guest)) == ([1], [1])
            beats = bed.heartbeats(guest)
            until(lambda: len(bed.heartbeats(guest)) > len(beats), "the guest to go on at the source")

    asyncio.run(story())


def test_a_timeout_at_the_very_start_leaves_the_guest_where_it_is(bed: LibvirtTestbed, guest: str) -> None:
    """The job may not have begun when the abort comes: it is asked for until the call has ended."""

    async def story() -> None:
        bed.make_heavy(guest)
        async with driver(bed, bandwidth=1) as libvirt:
            assert await libvirt.busy(guest, N1) is False  # the connection stands
            moving = asyncio.create_task(libvirt.migrate(guest, N1, N2))
            await asyncio.sleep(0)
            for _ in range(3):  # find, look, migrate: three calls in threads; cancelled at one of them
                await asyncio.sleep(0.001)
            moving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await moving
            assert await libvirt.busy(guest, N1) is False
            assert (bed.where(guest), bed.defined(guest)) == ([1], [1])

    asyncio.run(story())


CLIENT = """
import asyncio, json, sys
from entropy.platforms.base import Endpoint
from entropy.platforms.libvirt.driver import LibvirtDriver
driver = LibvirtDriver.from_settings(json.loads(sys.argv[1]))
asyncio.run(driver.migrate(sys.argv[2], Endpoint(name="node1"), Endpoint(name="node2")))
"""


def test_a_migration_outlives_the_process_that_asked_for_it(bed: LibvirtTestbed, guest: str) -> None:
    """Killed in the middle, libvirtd goes on; a new process sees it as busy, and then the guest where it went."""

    async def story() -> None:
        bed.make_heavy(guest)
        settings = json.dumps(bed.driver_settings() | {"bandwidth": 1})
        client = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", CLIENT, settings, guest])
        async with driver(bed) as libvirt:

            async def under_way() -> bool:
                assert client.poll() is None
                return bool(await libvirt.busy(guest, N1) and bed.domain(guest, 1).jobStats().get("memory_processed"))

            await met(under_way)
            client.kill()
            client.wait()
            assert await libvirt.busy(guest, N1) is True
            bed.domain(guest, 1).migrateSetMaxSpeed(1000)  # or it would take half a minute

            async def over() -> bool:
                return await libvirt.busy(guest, N1) is False and await libvirt.busy(guest, N2) is False

            await met(over)
            assert (bed.where(guest), bed.defined(guest)) == ([2], [2])

    asyncio.run(story())


def test_probe(bed: LibvirtTestbed, guest: str) -> None:
    async def story() -> None:
        async with driver(bed) as libvirt:
            answers = {p.question: p for p in await libvirt.probe((N1, N2))}
            assert answers["node1: reachable"].ok
            assert "QEMU" in answers["node1: reachable"].detail
            assert answers["node2: accepts live migration"].ok
            assert answers["processors: guests of one node run on another"].ok
            storage = answers["storage: the guests' disks are seen by every node"]
            assert storage.ok is None
            assert "every node opens the same paths" in storage.detail
            assert answers["a dry migration"].ok is None
            twice = bed.driver_settings()["nodes"]
            twice["node2"] = twice["node1"]
        async with driver(bed, nodes=twice) as libvirt:
            answers = {p.question: p for p in await libvirt.probe((N1, N2))}
            assert answers["node1, node2: different hosts"].ok is False

    asyncio.run(story())


def test_a_disk_that_only_one_node_has_is_named(bed: LibvirtTestbed, tmp_path: Any) -> None:
    """Each host's /var/lib/libvirt is its own."""
    bed.run(1, ["cp", str(bed.work / "guests" / "boot.img"), "/var/lib/libvirt/local.img"])
    bed.connection(1).defineXML(bed.definition("local-1").replace(f"{bed.work}/guests/boot.img", "/var/lib/libvirt/local.img"))

    async def story() -> None:
        async with driver(bed) as libvirt:
            (storage,) = (p for p in await libvirt.probe((N1, N2)) if p.question.startswith("storage"))
            assert storage.ok is False
            assert "local.img of local-1 on node2" in storage.detail

    try:
        asyncio.run(story())
    finally:
        bed.remove("local-1")


def test_a_dead_destination_and_its_return(bed: LibvirtTestbed, guest: str) -> None:
    """Last: it cuts host 2's power, before and in the middle of a migration."""

    async def story() -> None:
        bed.make_heavy(guest)
        async with driver(bed, bandwidth=1, answer_timeout=2) as libvirt:
            assert await libvirt.busy(guest, N2) is False  # connected to what is about to die
            moving = asyncio.create_task(libvirt.migrate(guest, N1, N2))

            async def under_way() -> bool:
                return bool(await libvirt.busy(guest, N1) and await libvirt.busy(guest, N2))

            await met(under_way)
            bed.kill_host(2)
            with pytest.raises(PlatformError, match=r"cannot migrate web-1 to node2: .*\(libvirt error \d+\); "):
                await moving
            assert bed.where(guest) == [1]
            assert await libvirt.busy(guest, N2) is None  # cannot be asked
            with pytest.raises(PlatformError, match=r"node node2: cannot connect to .* is the node up"):
                await libvirt.migrate(guest, N1, N2)
            assert bed.where(guest) == [1]
            beats = bed.heartbeats(guest)
            until(lambda: len(bed.heartbeats(guest)) > len(beats), "the guest to go on at the source")
            (gone,) = (p for p in await libvirt.probe((N1, N2)) if p.question == "node2: reachable")
            assert gone.ok is False
            bed.start_host(2)
            assert await libvirt.busy(guest, N2) is False  # connected again
        async with driver(bed) as libvirt:
            await libvirt.migrate(guest, N1, N2)
            assert bed.where(guest) == [2]

    asyncio.run(story())
