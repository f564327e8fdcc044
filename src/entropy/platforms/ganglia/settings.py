"""Settings of the Ganglia adapter, and the white and black lists of nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from entropy.model.errors import InputError
from entropy.platforms.options import Options, validated

__all__ = ["GangliaSettings", "NodeFilter"]


class GangliaSettings(Options):
    """Where Ganglia answers and what of it counts.

    ``timeout`` is for the whole answer, ``connect_timeout`` for the first packet, both in seconds; ``max_size_mib`` bounds
    the XML.  ``nodes_whitelist`` (only these) and ``nodes_blacklist`` (all but these) exclude each other: a list of hosts,
    or the path of a file with one host a line, ``#`` beginning a comment.
    """

    host: Annotated[str, Field(min_length=1, max_length=255)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 8651
    timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0
    connect_timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 5.0
    max_size_mib: Annotated[int, Field(ge=1, le=65536)] = 512
    nodes_whitelist: str | tuple[str, ...] | None = None
    nodes_blacklist: str | tuple[str, ...] | None = None

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> GangliaSettings:
        """Validated settings.  Raises ``InputError`` naming the key, its value and what is accepted."""
        found = validated(cls, settings)
        if found.nodes_whitelist and found.nodes_blacklist:
            raise InputError("a white list and a black list exclude each other", path="nodesWhitelist", accepted="one of the two")
        return found


class NodeFilter:
    """Which physical hosts are managed; VMs are not filtered, they come with their hosts.

    ``missing(seen)`` names those that the list holds and Ganglia does not: a typing error, more often than not.
    """

    def __init__(self, settings: GangliaSettings) -> None:
        self.kind = "white list" if settings.nodes_whitelist else "black list" if settings.nodes_blacklist else ""
        key = "nodesWhitelist" if settings.nodes_whitelist else "nodesBlacklist"
        self.names = _hosts(settings.nodes_whitelist or settings.nodes_blacklist or (), key)

    def __call__(self, host: str) -> bool:
        return not self.kind or (host in self.names) == (self.kind == "white list")

    def missing(self, seen: Collection[str]) -> tuple[str, ...]:
        """Names on the list that are no host that was seen."""
        return tuple(sorted(name for name in self.names if name not in seen))


def _hosts(source: str | tuple[str, ...], key: str) -> frozenset[str]:
    if isinstance(source, tuple):
        return frozenset(source)
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
        raise InputError(f"the file {source} cannot be read: {reason}", path=key, accepted="a file with one host a line") from problem
    found = frozenset(line for raw in text.splitlines() if (line := raw.partition("#")[0].strip()))
    wrong = next((name for name in found if len(name.split()) > 1), None)
    if wrong is not None:
        raise InputError(f"holds {wrong!r}", where=source, path=key, accepted="one host a line")
    return found
