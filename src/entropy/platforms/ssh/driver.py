"""Acts on hypervisors with the operator's own commands, run on the nodes over ssh."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from entropy.model.errors import PlatformError
from entropy.platforms.base import Driver, Endpoint, Probe
from entropy.platforms.options import validated
from entropy.platforms.ssh.connections import Connections
from entropy.platforms.ssh.settings import NO_CHECK, SshSettings

if TYPE_CHECKING:
    import asyncssh

__all__ = ["SshDriver"]

_log = logging.getLogger(__name__)
_TAIL = 400  # characters of a failed command's last words
_TERM_WAIT = 2.0  # seconds that a command has between SIGTERM and SIGKILL
_PROBES_AT_ONCE = 16


class SshDriver(Driver):
    """A command an operation.  See ``SshSettings`` and ``docs/drivers.md``."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._nodes = Connections(settings)
        if settings.known_hosts == NO_CHECK:
            _log.warning("knownHosts = none: anybody who answers in a node's place is believed, and gets our commands")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Raises ``InputError`` naming the key: an unknown variable in a command, say."""
        return cls(validated(SshSettings, settings))

    def offers(self, operation: str) -> bool:
        """Operations whose command is set."""
        return self._settings.command(operation) is not None

    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Runs on the source."""
        await self._do("migrate", source, VM=vm, SOURCE=self._settings.as_argument(source), DESTINATION=self._settings.as_argument(target))

    async def run(self, vm: str, node: Endpoint) -> None:
        """Runs on the node."""
        await self._do("run", node, VM=vm)

    async def stop(self, vm: str, node: Endpoint) -> None:
        """Runs on the node; the command must tell a running VM from a sleeping one itself."""
        await self._do("stop", node, VM=vm)

    async def suspend(self, vm: str, node: Endpoint) -> None:
        """Runs on the node."""
        await self._do("suspend", node, VM=vm)

    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        """Runs on the destination."""
        await self._do("resume", target, VM=vm, SOURCE=self._settings.as_argument(source), DESTINATION=self._settings.as_argument(target))

    async def startup(self, node: Endpoint) -> None:
        """Runs on the manager: the node is off."""
        line = self._line("startup", node, {})
        process = await asyncio.create_subprocess_shell(
            line,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        talking = asyncio.ensure_future(process.communicate())
        try:
            _, words = await asyncio.shield(talking)
        except asyncio.CancelledError:
            await _ended_here(process.pid, talking)
            raise
        if process.returncode:
            raise PlatformError(f"cannot start {node.name}: {_ended(line, process.returncode, words.decode(errors='replace'))}")

    async def shutdown(self, node: Endpoint) -> None:
        """Runs on the node, whose connection may well break before the command ends."""
        await self._do("shutdown", node, may_break=True)
        self._nodes.forget(node)

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        """Can the manager log in everywhere?  What the commands do is not tried: a command has no dry run."""
        gate = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def ask(node: Endpoint) -> Probe:
            question = f"{node.name}: the manager can log in"
            async with gate:
                try:
                    await self._run(node, self._settings.check, "check")
                except PlatformError as error:
                    return Probe(question=question, ok=False, detail=str(error), mend="see drivers.ssh in the configuration")
            host, port, user = self._settings.login(node)
            return Probe(question=question, ok=True, detail=f"{f'{user}@' if user else ''}{host}:{port}")

        known = self._settings.known_hosts_file
        if known is not None and not known.is_file():  # one answer, not one a node
            found = [
                Probe(
                    question="nodes' ssh keys are known",
                    ok=False,
                    detail=f"the file of known hosts {known} is missing",
                    mend=f"ssh-keyscan the nodes into {known}, and compare the fingerprints; or name another file in knownHosts",
                )
            ]
        else:
            found = list(await asyncio.gather(*(ask(node) for node in nodes)))
        if self._settings.known_hosts == NO_CHECK:
            found.append(
                Probe(
                    question="nodes' ssh keys are checked",
                    ok=False,
                    detail="knownHosts = none: anybody who answers in a node's place is believed",
                    mend="ssh-keyscan the nodes, compare the fingerprints, and name the file in knownHosts",
                )
            )
        offered = [o for o in self._settings.commands if self.offers(o)]
        found.append(
            Probe(
                question="a dry migration",
                ok=None,
                detail=f"commands are not tried (set: {', '.join(offered) or 'none'})",
                mend="run the migrate command by hand once",
            )
        )
        return tuple(found)

    async def close(self) -> None:
        """Let go of connections."""
        await self._nodes.close()

    # -- steps -----------------------------------------------------------------------------------------------------

    async def _do(self, operation: str, node: Endpoint, *, may_break: bool = False, **values: str) -> None:
        await self._run(node, self._line(operation, node, values), operation, values.get("VM", ""), may_break=may_break)

    def _line(self, operation: str, node: Endpoint, values: Mapping[str, str]) -> str:
        template = self._settings.command(operation)
        if template is None:
            raise PlatformError(f'node {node.name}: no command is set to {operation}; set `{operation} = "..."` in the driver\'s section')
        here = {"HOST": node.name, "NODE": node.name, "ADDRESS": self._settings.address(node)}
        return template.fill({**here, **values})

    async def _run(self, node: Endpoint, line: str, operation: str, vm: str = "", *, may_break: bool = False) -> None:
        import asyncssh

        doing = f"node {node.name}: cannot {operation}{f' {vm}' if vm else ''}"
        process = await self._started(node, line, doing)
        try:
            done = await process.wait()
        except asyncio.CancelledError:
            if not await asyncio.shield(_ended_on_request(process)) and not self._settings.terminal:
                _log.warning(
                    "%s: `%s` was given up, but sshd handed no signal on (it does not for root): it may still go on there", doing, line
                )
            raise
        except (asyncssh.Error, OSError) as problem:
            self._nodes.forget(node)
            raise PlatformError(f"{doing}: `{line}`: the connection broke in the middle: {problem}") from problem
        if done.exit_status == 0:
            return
        if done.exit_status is None and done.exit_signal is None:
            self._nodes.forget(node)
            if may_break:
                return
            raise PlatformError(f"{doing}: `{line}`: the connection broke in the middle; what became of it shows when it is observed")
        status = done.exit_status if done.exit_signal is None else f"signal {done.exit_signal[0]}"
        words = str(done.stderr or "").strip() or str(done.stdout or "")
        raise PlatformError(f"{doing}: {_ended(line, status, words)}")

    async def _started(self, node: Endpoint, line: str, doing: str) -> asyncssh.SSHClientProcess[str]:
        """The command, running.  A connection that turns out to have died unnoticed is opened once more."""
        import asyncssh

        terminal = "dumb" if self._settings.terminal else None
        for last in (False, True):
            connection = await self._nodes.get(node)
            try:
                return await connection.create_process(line, stdin=asyncssh.DEVNULL, term_type=terminal, errors="replace")
            except (asyncssh.Error, OSError) as problem:
                died = connection.is_closed() or isinstance(problem, OSError)
                if died:
                    self._nodes.forget(node)
                unheard = isinstance(problem, asyncssh.ChannelOpenError) and problem.code != asyncssh.OPEN_REQUEST_SESSION_FAILED
                if last or not (died and unheard):  # what sshd may have heard is not said twice
                    raise PlatformError(f"{doing}: sshd there starts no command: {problem}") from problem
        raise AssertionError("unreachable")


async def _ended_here(group: int, talking: asyncio.Future[tuple[bytes, bytes]]) -> None:
    """Ask a command on the manager, with all that it started, to end, then make it.  It is heard out, so that no pipe stays open."""
    for ask in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(group, ask)
        if (await asyncio.wait((talking,), timeout=_TERM_WAIT))[0]:
            return
    talking.cancel()


async def _ended_on_request(process: asyncssh.SSHClientProcess[str]) -> bool:
    """Ask a command to end, then make it.  Where sshd hands no signals on, all that is left is to close the channel: with a
    terminal that hangs the command up, without one it goes on."""
    try:
        for ask in (process.terminate, process.kill):
            try:
                ask()
                async with asyncio.timeout(_TERM_WAIT):
                    await process.wait_closed()
                return True
            except (TimeoutError, OSError):
                continue
        return False
    finally:
        process.close()


def _ended(line: str, status: object, words: str) -> str:
    words = " ".join(words.split())
    tail = words if len(words) <= _TAIL else "... " + words[-_TAIL:]
    return f"`{line}` ended with status {status}" + (f": {tail}" if tail else " and said nothing")
