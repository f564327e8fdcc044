"""Who acts on a node: the driver that the node names for an operation, or the configured default.

    DriverDirectory({"libvirt": {...}, "site": {"kind": "ssh", ...}}, default="libvirt")
        .for_action(action, cluster) -> (Driver, id)
        await .perform(action, cluster)
        await .busy(vm, node_name, cluster) -> bool | None
        await .probe(cluster) -> tuple[Probe, ...]
        await .close()

A node names a driver's id in its label ``driver.<operation>`` (``driver.migration``, ``driver.run``, ...), which monitoring
fills.  For an operation that names none, its driver of migrations acts if it offers the operation, else the default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from entropy.model.cluster import Cluster, Node
from entropy.model.errors import EntropyError, InputError, PlatformError
from entropy.model.plan import Action
from entropy.platforms.base import Driver, Endpoint, Probe
from entropy.platforms.registry import load_driver, registered

__all__ = ["DriverDirectory", "NoDriverError"]

_MIGRATION = "driver.migration"
_COMMANDS = ("migrate", "run", "stop", "suspend", "resume", "startup", "shutdown")

_XL = {
    "migrate": "xl migrate $VM $DESTINATION",
    "run": "xl create /VMs/$VM",
    "stop": "if xl domid $VM > /dev/null 2>&1; then xl shutdown -w $VM; else rm -f -- /snapshots/$VM; fi",
    "suspend": "xl save $VM /snapshots/$VM",
    "resume": "xl restore /snapshots/$VM && rm -f -- /snapshots/$VM",
}
_BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "xen": _XL,
    "sshMigration": {"migrate": "xm migrate -l $VM $DESTINATION"},
    "sshRun": {"run": "xm create -f /VMs/$VM"},
    "sshStop": {"stop": "xm destroy $VM"},
    "sshSuspend": {},
    "sshResume": {},
    "sshShutdown": {},
}
"""The original's driver ids that are ssh commands, with the commands that its configuration shipped (xen: today's ``xl``)."""

_ONLY = {
    "sshMigration": "migrate",
    "sshRun": "run",
    "sshStop": "stop",
    "sshSuspend": "suspend",
    "sshResume": "resume",
    "sshShutdown": "shutdown",
}
_NOT_OFFERED = {
    "xenapi": "map it to what you have, say the kind ssh with `xl` commands",
    "wakeOnLan": "map it to the kind ssh with the command startup = 'wakeonlan ...'",
}


class NoDriverError(InputError, PlatformError):
    """No driver fits an operation on a node: nobody was asked.  Names node, operation, id and the key that mends it."""


class DriverDirectory:
    """``settings``: driver id -> ``{"kind": ..., **the driver's own settings}``; ``kind`` (default: the id) is the name under
    which the driver is registered.  The configured drivers are made at once, so that their mistakes show at the start; those
    that only nodes name, when they are needed.  One instance an id.

    Raises ``InputError`` whose path names the id and the key.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]], default: str | None = None) -> None:
        for id_, table in settings.items():
            if not isinstance(table, Mapping):
                raise InputError(f"is {table!r}", path=id_, accepted="a table of this driver's settings")
        self._settings, self._default = settings, default or ""
        self._drivers: dict[str, Driver] = {}
        for id_ in settings:
            self._driver(id_)
        if self._default:
            try:
                self._driver(self._default)
            except InputError as problem:
                raise problem if problem.path else InputError(problem.message, path="default", accepted=problem.accepted) from problem

    def for_action(self, action: Action, cluster: Cluster) -> tuple[Driver, str]:
        """The driver that performs ``action``, and its id.  Of a migration the source's counts, of a resume the destination's.

        Raises ``NoDriverError``.
        """
        name = action.source if action.type == "migrate" else action.target if action.type == "resume" else action.node
        return self._for(action.type, _node(str(name), cluster))

    async def perform(self, action: Action, cluster: Cluster) -> None:
        """Have the right driver do ``action``.  Raises ``NoDriverError`` when nobody was asked, else ``PlatformError``."""
        driver, _ = self.for_action(action, cluster)

        def end(name: str | None) -> Endpoint:
            return _endpoint(_node(str(name), cluster))

        vm = str(action.vm)
        match action.type:
            case "migrate":
                await driver.migrate(vm, end(action.source), end(action.target))
            case "resume":
                await driver.resume(vm, end(action.source), end(action.target))
            case "run":
                await driver.run(vm, end(action.node))
            case "stop":
                await driver.stop(vm, end(action.node))
            case "suspend":
                await driver.suspend(vm, end(action.node))
            case "startup":
                await driver.startup(end(action.node))
            case "shutdown":
                await driver.shutdown(end(action.node))

    async def busy(self, vm: str, node_name: str, cluster: Cluster) -> bool | None:
        """Is an operation on ``vm`` under way at that node?  ``None``: nobody can tell."""
        try:
            node = _node(node_name, cluster)
            driver, _ = self._for("migrate", node)
        except NoDriverError:
            return None
        return await driver.busy(vm, _endpoint(node))

    async def probe(self, cluster: Cluster) -> tuple[Probe, ...]:
        """Answers for ``entropy check``: which nodes have no driver of migrations, then what each driver says of its nodes."""
        found: list[Probe] = []
        nodes: dict[str, list[Endpoint]] = {}
        for node in cluster.nodes:
            if node.state != "online":
                continue
            try:
                _, id_ = self._for("migrate", node)
                nodes.setdefault(id_, []).append(_endpoint(node))
            except NoDriverError as problem:
                found.append(Probe(question=f"{node.name}: a driver for migrations", ok=False, detail=str(problem)))

        async def ask(id_: str) -> tuple[Probe, ...]:
            try:
                return await self._driver(id_).probe(tuple(nodes[id_]))
            except EntropyError as problem:
                return (Probe(question=f"driver {id_}", ok=False, detail=str(problem)),)

        for answers in await asyncio.gather(*(ask(id_) for id_ in nodes)):
            found += answers
        return tuple(found)

    async def close(self) -> None:
        """Close every driver that was made."""
        drivers, self._drivers = list(self._drivers.values()), {}
        await asyncio.gather(*(driver.close() for driver in drivers))

    # -- choosing --------------------------------------------------------------------------------------------------

    def _for(self, operation: str, node: Node) -> tuple[Driver, str]:
        label = _MIGRATION if operation == "migrate" else f"driver.{operation}"
        named = node.labels.get(label)
        if named:
            return self._offering(named, operation, node, f"as its label {label} says"), named
        mover = node.labels.get(_MIGRATION, "")
        if mover and mover != self._default:
            driver = self._made(mover, operation, node, f"its label {_MIGRATION} names it")
            if driver.offers(operation):
                return driver, mover
        if self._default:
            return self._offering(self._default, operation, node, "the default"), self._default
        if mover:
            return self._offering(mover, operation, node, f"as its label {_MIGRATION} says"), mover
        raise NoDriverError(
            f"node {node.name}: no driver to {operation}: the node has no label {label}, and there is no default",
            path="drivers.default",
            accepted=", ".join(self._known()),
        )

    def _offering(self, id_: str, operation: str, node: Node, why: str) -> Driver:
        driver = self._made(id_, operation, node, why)
        if driver.offers(operation):
            return driver
        takes_commands = self._kind(id_) == "ssh"
        raise NoDriverError(
            f"node {node.name}: its driver {id_} ({why}) cannot {operation}",
            path=f"drivers.{id_}.{operation}" if takes_commands else f"drivers.{id_}",
            accepted="a command" if takes_commands else f"a driver that can, named in the node's label driver.{operation}",
        )

    def _made(self, id_: str, operation: str, node: Node, why: str) -> Driver:
        try:
            return self._driver(id_)
        except InputError as problem:
            raise NoDriverError(
                f"node {node.name}: its driver {id_} ({why}) cannot {operation}: {problem.message}",
                path=f"drivers.{problem.path or id_}",
                accepted=problem.accepted,
            ) from problem

    # -- making ----------------------------------------------------------------------------------------------------

    def _driver(self, id_: str) -> Driver:
        if id_ not in self._drivers:
            self._drivers[id_] = self._make(id_)
        return self._drivers[id_]

    def _make(self, id_: str) -> Driver:
        own = dict(self._settings.get(id_, {}))
        named = own.pop("kind", None) is not None
        kind = self._kind(id_)
        if not named and id_ in _BUILT_IN:
            own = self._inherited(id_, own)
        if kind in _NOT_OFFERED:
            raise InputError(f"the driver {kind} is not offered yet; {_NOT_OFFERED[kind]}", path=id_, accepted=f"drivers.{id_}.kind")
        if kind not in (installed := registered("entropy.drivers")):
            accepted = ", ".join(installed if named else self._known())
            raise InputError(f"{kind!r} is no driver that is installed here", path=f"{id_}.kind" if named else id_, accepted=accepted)
        try:
            return load_driver(kind).from_settings(own)
        except InputError as problem:
            path = ".".join(filter(None, (id_, problem.path)))
            raise InputError(problem.message, where=problem.where, path=path, accepted=problem.accepted) from problem

    def _kind(self, id_: str) -> str:
        return str(self._settings.get(id_, {}).get("kind") or ("ssh" if id_ in _BUILT_IN else id_))

    def _inherited(self, id_: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """Of the original's ids each is one ssh command; how to log in, and the command if it is set there, come from the
        section ``ssh``, which the original's ``driver.ssh*.command`` and ``auth.*`` fill."""
        shared = dict(self._settings.get("ssh", {}))
        shared.pop("kind", None)
        only = _ONLY.get(id_)
        shared = {key: value for key, value in shared.items() if key not in _COMMANDS or key == only}
        own = dict(own)
        if only and "command" in own:
            own[only] = own.pop("command")
        return {**_BUILT_IN[id_], **shared, **own}

    def _known(self) -> list[str]:
        return sorted({*registered("entropy.drivers"), *_BUILT_IN, *self._settings})


def _node(name: str, cluster: Cluster) -> Node:
    node = cluster.node_by_name.get(name)
    if node is None:
        raise NoDriverError(f"node {name} is not in the cluster as it was observed")
    return node


def _endpoint(node: Node) -> Endpoint:
    return Endpoint(name=node.name, labels=node.labels)
