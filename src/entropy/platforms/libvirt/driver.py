"""Acts on hypervisors through libvirt.

Migrations are peer to peer: the source's libvirtd talks to the destination's, and brings a migration to its end even if this
process dies in the middle; ``busy`` then sees it from a new process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from entropy.model.errors import PlatformError
from entropy.platforms.base import Driver, Endpoint, Probe
from entropy.platforms.libvirt.binding import in_thread, libvirt
from entropy.platforms.libvirt.connections import Connections
from entropy.platforms.libvirt.errors import explained
from entropy.platforms.libvirt.settings import LibvirtSettings
from entropy.platforms.options import validated

__all__ = ["LibvirtDriver"]

_log = logging.getLogger(__name__)
_ARRIVING = (
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP),
)
_ASK_AGAIN = 0.25  # seconds between two looks at a guest that shuts down, or at a job that is being aborted


class _State(NamedTuple):
    active: bool
    persistent: bool
    image: bool


class LibvirtDriver(Driver):
    """KVM, QEMU, Xen or whatever else libvirt manages.  See ``LibvirtSettings`` and ``docs/drivers.md``."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings
        self._nodes = Connections(settings)
        if any("no_verify" in uri for uri in settings.uris):
            _log.warning("a libvirt uri says no_verify: anybody who answers in a node's place is believed")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Raises ``InputError`` naming the key."""
        return cls(validated(LibvirtSettings, settings))

    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Live, peer to peer; the definition goes along.  Cancelled, it is aborted and the guest goes on at the source."""
        doing = f"node {source.name}: cannot migrate {vm} to {target.name}"
        uri, parameters = self._settings.migrate_to(target), self._parameters(target)
        state = await self._state(vm, source, "migrate")
        if not state.active:
            raise PlatformError(f"{doing}: it does not run there; observe the cluster again")
        # A host that was cut off lets the source's libvirtd wait for minutes; it is found out here, from the manager.
        await self._nodes.ask(target, f"take {vm} from {source.name}", lambda connection: connection.getLibVersion())
        flags = self._flags()
        if state.persistent:
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE

        def move(connection: Any) -> None:
            connection.lookupByName(vm).migrateToURI3(uri, parameters, flags)

        await self._work(vm, source, doing, move, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)

    async def run(self, vm: str, node: Endpoint) -> None:
        """Boot a domain that is defined there, or in the folder ``definitions``."""
        doing = f"node {node.name}: cannot run {vm}"
        definition = self._definition(vm, doing)

        def find(connection: Any) -> Any:
            return _found(connection, vm) or (definition and connection.defineXML(definition))

        if not await self._nodes.ask(node, f"run {vm}", find):
            raise PlatformError(
                f"{doing}: it is not defined there; define it on that node (virsh define), or set drivers.libvirt.definitions to a "
                f"folder that holds {vm}.xml"
            )
        state = await self._state(vm, node, "run")
        if state.active:
            return
        if state.image:
            raise PlatformError(f"{doing}: it sleeps there; booting it would lose its image. Resume it, or stop it first")
        await self._work(vm, node, doing, lambda connection: connection.lookupByName(vm).create())

    async def stop(self, vm: str, node: Endpoint) -> None:
        """Ask the guest to shut down, and cut its power after the grace; of a sleeping VM, discard the image."""
        doing = f"node {node.name}: cannot stop {vm}"
        state = await self._state(vm, node, "stop")
        if not state.active:
            if state.image:
                await self._work(vm, node, doing, lambda connection: connection.lookupByName(vm).managedSaveRemove())
            return
        grace = self._settings.shutdown_grace
        if grace > 0:
            try:
                await self._work(vm, node, doing, lambda connection: connection.lookupByName(vm).shutdown())
            except PlatformError as error:
                _log.info("%s; its power is cut after the grace", error)
            if await self._gone(vm, node, grace):
                return
            _log.warning("%s on %s did not shut down within %g s: its power is cut", vm, node.name, grace)
        try:
            await self._work(vm, node, doing, lambda connection: connection.lookupByName(vm).destroy())
        except PlatformError:
            if not await self._gone(vm, node, 0):  # it may have gone by itself just now
                raise

    async def suspend(self, vm: str, node: Endpoint) -> None:
        """Managed save.  Cancelled, it is aborted and the guest goes on."""
        doing = f"node {node.name}: cannot suspend {vm}"
        state = await self._state(vm, node, "suspend")
        if state.active:
            save = libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE
            await self._work(vm, node, doing, lambda connection: connection.lookupByName(vm).managedSave(0), save)
        elif not state.image:
            raise PlatformError(f"{doing}: it does not run there; observe the cluster again")

    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """From the managed save image; on another node only where all nodes share the folder of images."""
        doing = f"node {target.name}: cannot resume {vm}"
        here = source.name == target.name
        state = await self._state(vm, source, "resume")
        if state.active and here:
            return
        if state.active:
            raise PlatformError(f"{doing}: it runs on {source.name}; observe the cluster again")
        if not state.image:
            raise PlatformError(
                f"{doing}: there is no image of it on {source.name}; starting it would boot it anew. If that is wanted, run it"
            )
        if not here:
            await self._bring(vm, source, target, doing)
        await self._work(vm, target, doing, lambda connection: connection.lookupByName(vm).create())
        if not here:
            await self._forget(vm, source, target)

    async def _bring(self, vm: str, source: Endpoint, target: Endpoint, doing: str) -> None:
        """Define the domain on ``target``, where libvirt then finds the image under the same path.

        Were the image not there, libvirt would boot the guest: so the destination is asked to read it first.
        """
        folder = self._settings.shared_save_directory
        if folder is None:
            raise PlatformError(
                f"{doing}: its image lies on {source.name}. Resume it there; or let all nodes share libvirt's folder of images "
                "(/var/lib/libvirt/qemu/save, say by NFS) and name it in drivers.libvirt.sharedSaveDirectory"
            )
        image, secure = str(folder / f"{vm}.save"), libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE

        def read(connection: Any) -> tuple[str, str]:
            domain = connection.lookupByName(vm)
            return domain.XMLDesc(secure), domain.UUIDString()

        definition, uuid = await self._nodes.ask(source, f"read {vm}", read)
        try:
            seen = await self._nodes.ask(target, f"read the image {image}", lambda c: c.saveImageGetXMLDesc(image, 0))
        except PlatformError as error:
            raise PlatformError(f"{doing}: the image on {source.name} is not seen there. {error}") from error
        if f"<uuid>{uuid}</uuid>" not in seen:
            raise PlatformError(f"{doing}: {image} is the image of another domain; give every VM a name of its own")
        await self._nodes.ask(target, f"define {vm}", lambda c: c.defineXML(definition))

    async def _forget(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """``vm`` runs on ``target`` now; ``source`` must not offer to boot it a second time."""
        flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
        try:
            await self._work(vm, source, f"node {source.name}: cannot undefine {vm}", lambda c: c.lookupByName(vm).undefineFlags(flags))
        except PlatformError as error:
            _log.warning("%s runs on %s, but %s still knows it; undefine it there: %s", vm, target.name, source.name, error)

    async def busy(self, vm: str, node: Endpoint) -> bool | None:
        """Is a job (migration out or in, save, restore) active on the domain there, whoever started it?"""

        def look(connection: Any) -> bool | None:
            domain = _found(connection, vm)
            if domain is None or not domain.isActive():
                return False
            if tuple(domain.state()) in _ARRIVING:
                return True  # libvirt tells of a migration's job on the source only
            try:
                return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
            except libvirt.libvirtError as error:
                return False if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID else None

        try:
            return await self._nodes.ask(node, f"look at {vm}", look)
        except PlatformError as error:
            _log.debug("%s", error)
            return None

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        """Reachable, live migration, processors, storage; libvirt has no dry migration, and this says so."""
        from entropy.platforms.libvirt.probe import probe

        return await probe(self._nodes, nodes, self._settings)

    async def close(self) -> None:
        """Let go of connections; what libvirtd is doing goes on."""
        await self._nodes.close()

    # -- steps -----------------------------------------------------------------------------------------------------

    def _flags(self) -> int:
        chosen = {
            libvirt.VIR_MIGRATE_LIVE: True,
            libvirt.VIR_MIGRATE_PEER2PEER: True,
            libvirt.VIR_MIGRATE_TUNNELLED: self._settings.tunnelled,
            libvirt.VIR_MIGRATE_TLS: self._settings.tls,
            libvirt.VIR_MIGRATE_AUTO_CONVERGE: self._settings.auto_converge,
            libvirt.VIR_MIGRATE_UNSAFE: self._settings.unsafe,
        }
        return sum(flag for flag, wanted in chosen.items() if wanted)

    def _parameters(self, target: Endpoint) -> dict[str, Any]:
        chosen = {
            libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: self._settings.bandwidth,
            libvirt.VIR_MIGRATE_PARAM_URI: self._settings.data_to(target),
        }
        return {key: value for key, value in chosen.items() if value is not None}

    def _definition(self, vm: str, doing: str) -> str | None:
        folder = self._settings.definitions
        if folder is None or "/" in vm or vm in (".", ".."):
            return None
        try:
            return (folder / f"{vm}.xml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PlatformError(f"{doing}: {folder / vm}.xml cannot be read: {error}") from error

    async def _state(self, vm: str, node: Endpoint, what: str) -> _State:
        def look(connection: Any) -> _State:
            domain = connection.lookupByName(vm)
            return _State(bool(domain.isActive()), bool(domain.isPersistent()), bool(domain.hasManagedSaveImage()))

        return await self._nodes.ask(node, f"{what} {vm}", look)

    async def _gone(self, vm: str, node: Endpoint, within: float) -> bool:
        """Does the domain come to an end within so many seconds?  A transient one leaves no trace."""

        def active(connection: Any) -> bool:
            domain = _found(connection, vm)
            return domain is not None and bool(domain.isActive())

        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while await self._nodes.ask(node, f"look at {vm}", active):
            if loop.time() >= end:
                return False
            await asyncio.sleep(_ASK_AGAIN)
        return True

    async def _work(self, vm: str, node: Endpoint, doing: str, call: Callable[[Any], object], operation: int | None = None) -> None:
        """A call that changes something; cancelled, have libvirt abort the job ``operation`` and wait for its end."""
        connection = await self._nodes.fresh(node)

        def work() -> None:
            try:
                call(connection)
            finally:
                connection.close()

        working = in_thread(work, f"libvirt-{vm}")
        try:
            await asyncio.shield(working)
        except libvirt.libvirtError as error:
            raise explained(error, doing) from error
        except asyncio.CancelledError:
            working.add_done_callback(lambda done: done.cancelled() or done.exception())
            if operation is not None and not await self._aborted(working, vm, node, operation):
                _log.warning("%s: libvirt did not give up within %g s; it may still go on", doing, self._settings.abort_wait)
            raise

    async def _aborted(self, working: asyncio.Future[None], vm: str, node: Endpoint, operation: int) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.abort_wait

        def abort(connection: Any) -> None:
            domain = _found(connection, vm)
            if domain is not None and domain.jobStats().get("operation") == operation:  # never somebody else's job
                domain.abortJob()

        while not working.done() and loop.time() < end:
            try:
                await self._nodes.ask(node, f"give up on {vm}", abort)
            except PlatformError as error:
                _log.debug("%s", error)  # the job has not begun, or just ended: the next look tells
            await asyncio.wait({working}, timeout=_ASK_AGAIN)
        return working.done()


def _found(connection: Any, vm: str) -> Any:
    """The domain called ``vm``, or ``None``."""
    try:
        return connection.lookupByName(vm)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
