"""A cluster from a file of any known format; the format is told by the content unless it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from entropy.formats import documents
from entropy.formats.files import read_bytes
from entropy.model.cluster import Cluster
from entropy.model.collector import collector_paused
from entropy.model.errors import InputError
from entropy.model.policy import Policy

__all__ = ["FORMATS", "Loaded", "load"]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What one input file holds: a cluster, the rules if its format carries some, and what could not be taken over."""

    cluster: Cluster
    policy: Policy | None = None
    warnings: tuple[str, ...] = ()


def _entropy(raw: bytes, where: str) -> Loaded:
    return Loaded(cluster=documents.parse(raw, Cluster, where=where))


# A foreign format's reader is imported when it is needed: most clusters come in our own.


def _entropy_text(raw: bytes, where: str) -> Loaded:
    from entropy.formats import entropy_text

    cluster, warnings = entropy_text.parse(raw, where=where)
    return Loaded(cluster=cluster, warnings=warnings)


def _btrplace(raw: bytes, where: str) -> Loaded:
    from entropy.formats import btrplace

    cluster, policy, warnings = btrplace.parse(raw, where=where, now=datetime.now())
    return Loaded(cluster=cluster, policy=policy, warnings=warnings)


def _ganeti(raw: bytes, where: str) -> Loaded:
    from entropy.formats import ganeti

    cluster, policy, warnings = ganeti.parse(raw, where=where)
    return Loaded(cluster=cluster, policy=policy, warnings=warnings)


FORMATS: Mapping[str, Callable[[bytes, str], Loaded]] = {
    "entropy": _entropy,
    "btrplace": _btrplace,
    "entropy-text": _entropy_text,
    "ganeti": _ganeti,
}
"""Format name -> reader of its bytes, told the file's name for messages."""


@collector_paused()
def load(path: str, input_format: str | None = None) -> Loaded:
    """The content of ``path`` (``-``: standard input), decompressed if gzip.

    Raises ``InputError``: unknown format, or content that is not of it.
    """
    if input_format is not None and input_format not in FORMATS:
        raise InputError(f"{input_format!r} is no format that can be read", where="--input-format", accepted=", ".join(FORMATS))
    raw = read_bytes(path)
    return FORMATS[input_format or _detect(raw, path)](raw, path)


def _detect(raw: bytes, path: str) -> str:
    if b'"apiVersion"' not in raw:
        from entropy.formats import btrplace

        if btrplace.looks_like(raw):
            return "btrplace"
    if path.removesuffix(".gz").endswith((".json", ".yaml", ".yml")):
        return "entropy"
    from entropy.formats import entropy_text, ganeti

    if entropy_text.looks_like(raw):
        return "entropy-text"
    return "ganeti" if ganeti.looks_like(raw) else "entropy"
