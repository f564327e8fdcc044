"""The libvirt driver on libvirt's own test driver, which does all but migrate; and what can be told without any host."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint

libvirt = pytest.importorskip("libvirt", reason="libvirt-python missing: pip install 'entropy-manager[libvirt]'")

from entropy.platforms.libvirt.binding import in_thread  # noqa: E402
from entropy.platforms.libvirt.driver import LibvirtDriver  # noqa: E402
from entropy.platforms.libvirt.errors import explained  # noqa: E402
from entropy.platforms.libvirt.settings import LibvirtSettings  # noqa: E402

N1, N2 = Endpoint(name="n1"), Endpoint(name="n2", labels={"address": "192.0.2.2"})


@pytest.fixture
def world() -> Iterator[Any]:
    """A connection of the test's own: the state of ``test:///default`` lasts while somebody is connected."""
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


def run(story: Any, **settings: Any) -> None:
    async def whole() -> None:
        driver = LibvirtDriver.from_settings({"uri": "test:///default", "shutdown_grace": 0.2} | settings)
        try:
            await story(driver)
        finally:
            await driver.close()

    asyncio.run(whole())


def test_life_of_a_domain(world: Any) -> None:
    """The test driver begins with one domain, called test, that runs."""
    domain = world.lookupByName("test")

    async def story(driver: LibvirtDriver) -> None:
        await driver.run("test", N1)  # runs already
        await driver.suspend("test", N1)
        assert (domain.isActive(), domain.hasManagedSaveImage()) == (0, 1)
        await driver.suspend("test", N1)  # sleeps already
        with pytest.raises(PlatformError, match="cannot run test: it sleeps there"):
            await driver.run("test", N1)
        await driver.resume("test", N1, N1)
        assert (domain.isActive(), domain.hasManagedSaveImage()) == (1, 0)
        await driver.resume("test", N1, N1)  # runs already
        await driver.stop("test", N1)
        assert domain.isActive() == 0
        await driver.stop("test", N1)
        with pytest.raises(PlatformError, match="no image of it on n1; starting it would boot it anew"):
            await driver.resume("test", N1, N1)
        with pytest.raises(PlatformError, match="cannot suspend test: it does not run there"):
            await driver.suspend("test", N1)
        with pytest.raises(PlatformError, match="cannot migrate test to n2: it does not run there"):
            await driver.migrate("test", N1, N2)
        await driver.run("test", N1)
        assert domain.isActive() == 1

    run(story)


def test_a_transient_domain_leaves_no_trace(world: Any) -> None:
    world.createXML("<domain type='test'><name>gone</name><memory>1024</memory><os><type>hvm</type></os></domain>", 0)

    async def story(driver: LibvirtDriver) -> None:
        await driver.stop("gone", N1)
        assert "gone" not in [d.name() for d in world.listAllDomains()]
        with pytest.raises(PlatformError, match=r"node n1: cannot stop gone: .*Domain not found.* \(libvirt error 42\); .*virsh list"):
            await driver.stop("gone", N1)

    run(story)


def test_definitions_are_taken_from_their_folder_and_nowhere_else(world: Any, tmp_path: Path) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    text = "<domain type='test'><name>{}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    (folder / "new.xml").write_text(text.format("new"))
    (tmp_path / "outside.xml").write_text(text.format("outside"))

    async def story(driver: LibvirtDriver) -> None:
        await driver.run("new", N1)
        assert world.lookupByName("new").isActive()
        for name in ("../outside", "other"):
            with pytest.raises(PlatformError, match="not defined there; define it on that node"):
                await driver.run(name, N1)

    run(story, definitions=str(folder))


def test_busy_is_unknown_where_it_cannot_be_asked(world: Any) -> None:
    async def story(driver: LibvirtDriver) -> None:
        assert await driver.busy("nobody", N1) is False
        assert await driver.busy("test", N1) is None  # the test driver tells of no jobs

    run(story)


def test_unreachable_is_a_sentence() -> None:
    async def story(driver: LibvirtDriver) -> None:
        assert await driver.busy("v", N1) is None
        with pytest.raises(PlatformError, match=r"^node n1: cannot connect to qemu\+tcp://127.0.0.1:1/system: .*is libvirtd"):
            await driver.run("v", N1)
        (answer,) = await driver.probe((N1,))
        assert answer.ok is False

    run(story, uri="qemu+tcp://127.0.0.1:1/system")


def test_a_host_that_never_answers_is_given_up() -> None:
    """A socket that lets in and says nothing: the limit ends it, and whoever asks meanwhile shares the one attempt."""

    async def story(port: int) -> None:
        driver = LibvirtDriver.from_settings({"uri": f"qemu+tcp://127.0.0.1:{port}/system", "answer_timeout": 0.2})
        answers = await asyncio.gather(*(driver.run("v", N1) for _ in range(5)), return_exceptions=True)
        opening = [t.name for t in threading.enumerate() if t.name == "libvirt-open-n1"]
        assert len(opening) == 1
        for answer in answers:
            assert isinstance(answer, PlatformError)
            assert "does not answer within 0.2 s (drivers.libvirt.answerTimeout); is the node up?" in str(answer)
        await driver.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(story(silent.getsockname()[1]))


@pytest.mark.parametrize(
    ("settings", "node", "connect", "migrate"),
    [
        ({}, N1, "qemu+ssh://n1/system?no_tty=1", "qemu+tcp://n1/system"),
        ({}, N2, "qemu+ssh://n2/system?no_tty=1", "qemu+tcp://192.0.2.2/system"),
        ({"nodes": {"n2": {"address": "2001:db8::2"}}}, N2, "qemu+ssh://n2/system?no_tty=1", "qemu+tcp://[2001:db8::2]/system"),
        ({"nodes": {"n1": {"uri": "xen:///system", "migrateUri": "xen+tls://{address}/"}}}, N1, "xen:///system", "xen+tls://n1/"),
    ],
)
def test_uris(settings: Any, node: Endpoint, connect: str, migrate: str) -> None:
    made = LibvirtSettings.model_validate(settings)
    assert (made.connect_to(node), made.migrate_to(node)) == (connect, migrate)


@pytest.mark.parametrize("name", ["root@evil", "n1/../x", "n1?command=reboot", "-oProxyCommand=x", "n 1", "n1#", ""])
def test_a_name_becomes_a_host_or_nothing(name: str) -> None:
    with pytest.raises(PlatformError, match="is no host name or address"):
        LibvirtSettings().connect_to(Endpoint(name=name))


def test_flags_and_parameters() -> None:
    driver = LibvirtDriver.from_settings({"tls": "true", "autoConverge": True, "bandwidth": "100", "migrateDataUri": "tcp://{address}"})
    plain = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
    assert driver._flags() == plain | libvirt.VIR_MIGRATE_TLS | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    assert driver._parameters(N2) == {"bandwidth": 100, "migrate_uri": "tcp://192.0.2.2"}
    assert LibvirtDriver.from_settings({})._flags() == plain
    assert [o for o in ("migrate", "run", "startup", "shutdown") if driver.offers(o)] == ["migrate", "run"]


def test_an_unknown_error_still_names_the_log() -> None:
    assert str(explained(libvirt.libvirtError("odd\nthing"), "node n1: cannot run v")).startswith("node n1: cannot run v: odd thing")


def test_a_result_that_comes_after_the_loop_has_ended_is_let_go() -> None:
    released, ended = threading.Event(), threading.Event()

    def slow() -> None:
        released.wait(10)
        ended.set()

    async def story() -> None:
        in_thread(slow, "late")

    asyncio.run(story())
    (late,) = (t for t in threading.enumerate() if t.name == "late")
    released.set()
    late.join(10)
    assert ended.is_set()
    assert not late.is_alive()
