"""One shared libvirt connection a node, and one of its own for each long call: opened when needed, kept alive, opened again
once lost; every call in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint
from entropy.platforms.libvirt.binding import in_thread, libvirt, prepare
from entropy.platforms.libvirt.errors import explained
from entropy.platforms.libvirt.settings import LibvirtSettings

__all__ = ["Connections"]

T = TypeVar("T")


class Connections:
    """Not shared between event loops."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings
        self._open: dict[str, Any] = {}
        self._opening: dict[str, asyncio.Future[Any]] = {}

    async def get(self, node: Endpoint) -> Any:
        """The shared ``virConnect`` to ``node``, for questions and short calls.  Raises ``PlatformError`` when there is none
        within the limit."""
        known = self._open.get(node.name)
        if known is not None:
            if _alive(known):
                return known
            self._forget(node.name)
        opening = self._opening.get(node.name)
        if opening is None:  # whoever asks while a dead host does not answer joins the same attempt
            uri = self._settings.connect_to(node)
            opening = in_thread(lambda: self._connect(uri), f"libvirt-open-{node.name}")
            self._opening[node.name] = opening
            opening.add_done_callback(lambda done: self._opened(node.name, done))
        return await self._opens(node, asyncio.shield(opening))

    async def fresh(self, node: Endpoint) -> Any:
        """A ``virConnect`` of the caller's own, for one long call; the caller closes it.

        With keepalive on, a second call on a connection that is waiting for a long one may be held up for a whole keepalive
        interval (seen with libvirt 9.0): the call that aborts a migration must not be.
        """
        uri = self._settings.connect_to(node)
        return await self._opens(node, in_thread(lambda: self._connect(uri), f"libvirt-open-{node.name}"))

    async def ask(self, node: Endpoint, doing: str, question: Callable[[Any], T]) -> T:
        """``question(connection)``, which must change nothing: it is asked again when the connection turns out to be lost.

        Raises ``PlatformError`` saying that ``node`` cannot ``doing``.
        """
        for last in (False, True):
            connection = await self.get(node)
            try:
                async with asyncio.timeout(self._settings.answer_timeout):
                    return await in_thread(lambda: question(connection))  # noqa: B023 - awaited within the turn
            except libvirt.libvirtError as error:
                if last or _alive(connection):
                    raise explained(error, f"node {node.name}: cannot {doing}") from error
                self._forget(node.name)
            except TimeoutError:
                self._forget(node.name)
                raise PlatformError(f"node {node.name}: cannot {doing}: libvirtd {self._silent()}") from None
        raise AssertionError("unreachable")

    async def _opens(self, node: Endpoint, opening: asyncio.Future[Any]) -> Any:
        uri = self._settings.connect_to(node)
        try:
            async with asyncio.timeout(self._settings.answer_timeout):
                return await opening
        except TimeoutError:
            raise PlatformError(f"node {node.name}: libvirtd at {uri} {self._silent()}") from None
        except libvirt.libvirtError as error:
            raise explained(error, f"node {node.name}: cannot connect to {uri}") from error

    def _silent(self) -> str:
        limit = self._settings.answer_timeout
        return f"does not answer within {limit:g} s (drivers.libvirt.answerTimeout); is the node up?"

    async def close(self) -> None:
        """Let go of all connections, without waiting for hosts that do not answer."""
        gone = [in_thread(connection.close) for connection in self._open.values()]
        self._open.clear()
        self._opening.clear()
        if gone:
            await asyncio.wait(gone, timeout=self._settings.answer_timeout)
            for future in gone:
                _consume(future)

    def _connect(self, uri: str) -> Any:
        prepare()
        connection = libvirt.open(uri)
        try:
            connection.setKeepAlive(self._settings.keepalive_interval, self._settings.keepalive_count)
        except libvirt.libvirtError:
            return connection  # local and test drivers need none
        return connection

    def _opened(self, name: str, done: asyncio.Future[Any]) -> None:
        if self._opening.get(name) is done:
            del self._opening[name]
            if not done.cancelled() and done.exception() is None:
                self._open[name] = done.result()
        else:
            _consume(done)  # closed meanwhile

    def _forget(self, name: str) -> None:
        connection = self._open.pop(name, None)
        if connection is not None:
            in_thread(connection.close).add_done_callback(_consume)


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _consume(future: asyncio.Future[Any]) -> None:
    """A future that nobody awaits: its error, if any, is not worth a complaint."""
    if future.done() and not future.cancelled():
        future.exception()
    elif not future.done():
        future.add_done_callback(_consume)
