"""What can be set for the ssh driver (``[drivers.ssh]``, or any id with ``kind = "ssh"``).  Durations in seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from entropy.platforms.base import Endpoint
from entropy.platforms.options import Options
from entropy.platforms.ssh.templates import CommandTemplate

__all__ = ["NO_CHECK", "VARIABLES", "SshNode", "SshSettings"]

NO_CHECK = "none"
"""The word that has to be written to do without known hosts."""

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "migrate": ("VM", "HOST", "NODE", "ADDRESS", "SOURCE", "DESTINATION"),
    "resume": ("VM", "HOST", "NODE", "ADDRESS", "SOURCE", "DESTINATION"),
    "run": ("VM", "HOST", "NODE", "ADDRESS"),
    "stop": ("VM", "HOST", "NODE", "ADDRESS"),
    "suspend": ("VM", "HOST", "NODE", "ADDRESS"),
    "startup": ("HOST", "NODE", "ADDRESS"),
    "shutdown": ("HOST", "NODE", "ADDRESS"),
}
"""Operation -> the variables that its command may use."""


def _place(text: str) -> str:
    try:
        used = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError:
        used = {text}
    if not used <= {"node", "address"} or not text:
        raise ValueError(f"is {text!r}; accepted: {{node}} and {{address}}, or a fixed name")
    return text


Place = Annotated[str, AfterValidator(_place)]
Command = str | None


class SshNode(Options):
    """What differs for one node."""

    address: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    username: Annotated[str | None, Field(validation_alias=AliasChoices("username", "user"))] = None


class SshSettings(Options):
    """A command an operation; one that is not set is not offered.  ``startup`` runs on the manager, all others on the node
    concerned: of a migration the source, of a resume the destination.

    ``host`` is where the manager logs in and ``destination`` what ``$SOURCE`` and ``$DESTINATION`` become: ``{node}``, the
    node's name, or ``{address}``: ``nodes.<node>.address``, else the node's label ``address_label``, else its name.
    ``known_hosts`` is a file, or the word ``none``, which lets anybody pose as a node.  ``check`` is a harmless command
    that ``entropy check`` runs on every node.  With a ``terminal`` a command that is given up is hung up even where sshd hands
    on no signals (root), but programs may then ask questions that nobody answers.
    """

    commands: ClassVar[tuple[str, ...]] = tuple(VARIABLES)

    migrate: Command = None
    run: Command = None
    stop: Command = None
    suspend: Command = None
    resume: Command = None
    startup: Command = None
    shutdown: Command = None
    check: str = "true"
    terminal: bool = False
    username: Annotated[str | None, Field(validation_alias=AliasChoices("username", "user"))] = None
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    private_key: Path | None = None
    known_hosts: str = "~/.ssh/known_hosts"
    host: Place = "{node}"
    destination: Place = "{node}"
    address_label: str = "address"
    nodes: Mapping[str, SshNode] = Field(default_factory=dict)
    connect_timeout: Annotated[float, Field(gt=0, le=3600)] = 10.0
    keepalive_interval: Annotated[float, Field(ge=1, le=3600)] = 15.0

    @model_validator(mode="after")
    def _commands(self) -> Self:
        for operation in VARIABLES:
            self.command(operation)
        return self

    def command(self, operation: str) -> CommandTemplate | None:
        """The command of an operation, if it is set."""
        text = getattr(self, operation)
        if text is None:
            return None
        try:
            return CommandTemplate(text, VARIABLES[operation])
        except ValueError as problem:
            raise ValueError(f"{operation} = {text!r} {problem}") from problem

    @property
    def known_hosts_file(self) -> Path | None:
        """The file against which nodes' keys are checked; ``None``: unchecked, as was asked for."""
        return None if self.known_hosts == NO_CHECK else Path(os.path.expanduser(self.known_hosts))

    def address(self, node: Endpoint) -> str:
        """Where ``node`` is."""
        own = self.nodes.get(node.name)
        return (own and own.address) or node.labels.get(self.address_label) or node.name

    def login(self, node: Endpoint) -> tuple[str, int, str | None]:
        """Host, port and user to log in at ``node``; no user: the manager's own."""
        own = self.nodes.get(node.name) or SshNode()
        host = own.address or self.host.format(node=node.name, address=self.address(node))
        return host, own.port or self.port, own.username or self.username

    def as_argument(self, node: Endpoint) -> str:
        """``node`` as ``$SOURCE`` or ``$DESTINATION``."""
        return self.destination.format(node=node.name, address=self.address(node))
