"""Bytes and text in and out of files: gzip by extension, size limits, foreign exceptions mapped."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import zlib
from pathlib import Path

from entropy.model.errors import InputError

__all__ = ["MAX_BYTES", "read_bytes", "write_bytes"]

MAX_BYTES = 1 << 30
"""The largest document that is read, after decompression: 1 GiB."""


def read_bytes(path: str, most: int = MAX_BYTES) -> bytes:
    """Content of ``path`` (``-``: standard input), decompressed if gzip.  Raises ``InputError``."""
    try:
        raw = sys.stdin.buffer.read(most + 1) if path == "-" else _read_file(path, most)
        if raw[:2] == b"\x1f\x8b":
            raw = _gunzip(raw, most)
    except (OSError, EOFError, ValueError, zlib.error) as problem:  # ValueError: a name that no file can have
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise InputError(f"cannot be read: {reason}", where=path) from problem
    if len(raw) > most:
        raise InputError(f"is larger than {most >> 20} MiB", where=path)
    if not raw.strip():
        raise InputError("is empty", where=path, accepted="a document")
    return raw


def _read_file(path: str, most: int) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(most + 1)


def _gunzip(raw: bytes, most: int) -> bytes:
    """All members of the file, as gzip concatenates them; what follows the last is ignored, as gzip does."""
    parts, size = [], 0
    while raw[:2] == b"\x1f\x8b" and size <= most:
        inflate = zlib.decompressobj(31)
        parts.append(inflate.decompress(raw, most + 1 - size))
        size += len(parts[-1])
        if not inflate.eof and size <= most:
            raise EOFError("the compressed file is truncated")
        raw = inflate.unused_data
    return b"".join(parts)


def write_bytes(path: str, data: bytes) -> None:
    """Write ``data`` to ``path`` at once or not at all, gzipped if its name ends in ``.gz``.  Raises ``InputError``."""
    if path.endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)
    target = Path(path)
    try:
        if target.exists() and not target.is_file():  # a pipe or a device: nothing to replace
            target.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise InputError(f"cannot be written: {reason}", where=path) from problem


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
