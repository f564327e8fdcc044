"""One ssh connection a node, opened when needed, kept alive and used again; the node's key is checked before anything is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint
from entropy.platforms.ssh.settings import SshSettings

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Connections"]


class Connections:
    """Not shared between event loops.  asyncssh is loaded with the first connection: it is heavy."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._open: dict[str, asyncssh.SSHClientConnection] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def get(self, node: Endpoint) -> asyncssh.SSHClientConnection:
        """A living connection to ``node``.  Raises ``PlatformError`` saying what to mend."""
        async with self._opening.setdefault(node.name, asyncio.Lock()):
            known = self._open.get(node.name)
            if known is not None and not known.is_closed():
                return known
            self._open[node.name] = connection = await self._connect(node)
            return connection

    def forget(self, node: Endpoint) -> None:
        """The connection turned out to be dead."""
        connection = self._open.pop(node.name, None)
        if connection is not None:
            connection.abort()

    async def close(self) -> None:
        """Let go of all connections."""
        connections, self._open = list(self._open.values()), {}
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.wait_closed() for connection in connections), return_exceptions=True)

    async def _connect(self, node: Endpoint) -> asyncssh.SSHClientConnection:
        import asyncssh

        host, port, user = self._settings.login(node)
        where = f"node {node.name}: cannot log in at {f'{user}@' if user else ''}{host}:{port}"
        known, limit = self._settings.known_hosts_file, self._settings.connect_timeout
        if known is not None and not known.is_file():
            raise PlatformError(
                f"{where}: the file of known hosts {known} is missing; make it with `ssh-keyscan -p {port} {host} >> {known}` after "
                "comparing the key's fingerprint at the node"
            )
        options: dict[str, object] = {"username": user} if user else {}
        if self._settings.private_key is not None:
            options["client_keys"] = [str(self._settings.private_key.expanduser())]
        try:
            async with asyncio.timeout(limit):
                return await asyncssh.connect(
                    host,
                    port,
                    known_hosts=None if known is None else str(known),
                    config=None,
                    preferred_auth="publickey",
                    keepalive_interval=self._settings.keepalive_interval,
                    agent_forwarding=False,
                    **options,
                )
        except TimeoutError:
            raise PlatformError(f"{where}: no answer within {limit:g} s (connectTimeout); is the node up?") from None
        except asyncssh.HostKeyNotVerifiable as problem:
            raise PlatformError(
                f"{where}: its key is not the one in {known} ({problem.reason}). If the node was installed anew, compare its "
                f"fingerprint and replace the line (`ssh-keygen -R '[{host}]:{port}' -f {known}`); if not, somebody poses as it"
            ) from problem
        except asyncssh.PermissionDenied as problem:
            raise PlatformError(f"{where}: it refuses our key; add its public half to the account's authorized_keys there") from problem
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as problem:
            raise PlatformError(
                f"{where}: the private key cannot be used ({problem}); give one without a passphrase (privateKey), or an ssh-agent"
            ) from problem
        except (asyncssh.Error, OSError, ValueError) as problem:
            raise PlatformError(f"{where}: {problem}; are the name and the port right, and is sshd up there?") from problem
