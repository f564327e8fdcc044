"""What can be set for the libvirt driver (``[drivers.libvirt]``).  Durations in seconds, bandwidth in MiB/s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, Field

from entropy.model.errors import PlatformError
from entropy.platforms.base import Endpoint
from entropy.platforms.options import Options

__all__ = ["LibvirtNode", "LibvirtSettings"]

_PLACEHOLDERS = ("node", "address")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")


def _template(text: str) -> str:
    try:
        used = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as problem:
        raise ValueError(f"is {text!r}, whose braces do not match; accepted: {{node}} and {{address}}") from problem
    for name in used:
        if name not in _PLACEHOLDERS:
            raise ValueError(f"is {text!r}, which uses {{{name}}}; accepted: {{node}} and {{address}}")
    return text


Template = Annotated[str, Field(min_length=1), AfterValidator(_template)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class LibvirtNode(Options):
    """What differs for one node."""

    uri: Template | None = None
    migrate_uri: Template | None = None
    address: str | None = None


class LibvirtSettings(Options):
    """``uri`` leads from the manager to a node, ``migrate_uri`` from a node to the node that takes its VM.

    ``{node}`` is the node's name; ``{address}`` is ``nodes.<node>.address``, else the node's label ``address_label``, else
    its name.  ``answer_timeout`` is what a node may take to let the manager in, or to answer a question.
    ``migrate_data_uri`` fixes where the memory flows (default: libvirt chooses).  A ``definitions`` folder holds
    ``<vm>.xml`` for VMs that are not defined where they are to run.  ``shared_save_directory`` is libvirt's folder of
    managed save images, if all nodes share it: only then can a VM be resumed on another node than the one it sleeps on.
    """

    uri: Template = "qemu+ssh://{node}/system?no_tty=1"
    migrate_uri: Template = "qemu+tcp://{address}/system"
    migrate_data_uri: Template | None = None
    address_label: str = "address"
    nodes: Mapping[str, LibvirtNode] = Field(default_factory=dict)
    answer_timeout: Seconds = 15.0
    keepalive_interval: Annotated[int, Field(ge=1, le=3600)] = 5
    keepalive_count: Annotated[int, Field(ge=1, le=100)] = 3
    tunnelled: bool = False
    tls: bool = False
    auto_converge: bool = False
    unsafe: bool = False
    bandwidth: Annotated[int, Field(ge=1)] | None = None
    shutdown_grace: Annotated[float, Field(ge=0, le=86400)] = 60.0
    abort_wait: Seconds = 8.0
    shared_save_directory: Path | None = None
    definitions: Path | None = None

    @property
    def uris(self) -> tuple[str, ...]:
        """Every URI that is set, unfilled."""
        own = (uri for node in self.nodes.values() for uri in (node.uri, node.migrate_uri) if uri)
        return (self.uri, self.migrate_uri, *own)

    def connect_to(self, node: Endpoint) -> str:
        """The URI by which the manager reaches ``node``."""
        return self._filled(self._node(node).uri or self.uri, node)

    def migrate_to(self, node: Endpoint) -> str:
        """The URI by which another node reaches ``node``."""
        return self._filled(self._node(node).migrate_uri or self.migrate_uri, node)

    def data_to(self, node: Endpoint) -> str | None:
        """The URI to which a migrating VM's memory flows, if it is set."""
        return None if self.migrate_data_uri is None else self._filled(self.migrate_data_uri, node)

    def _node(self, node: Endpoint) -> LibvirtNode:
        return self.nodes.get(node.name) or LibvirtNode()

    def _filled(self, template: str, node: Endpoint) -> str:
        """A name in a URI must not become anything but a host: neither a user, nor a path, nor an option."""
        if "{" not in template:
            return template
        address = self._node(node).address or node.labels.get(self.address_label) or node.name
        for value in (node.name, address):
            if not _HOST.fullmatch(value) or value.startswith("-"):
                raise PlatformError(
                    f"{value!r} of node {node.name} is no host name or address; set drivers.libvirt.nodes.{node.name}.address"
                )
        return template.format(node=_in_uri(node.name), address=_in_uri(address))


def _in_uri(host: str) -> str:
    return f"[{quote(host, safe=':')}]" if ":" in host else host
