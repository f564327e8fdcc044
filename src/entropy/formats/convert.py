"""From one format to another; rules that the input carries become a Policy document beside the Cluster."""

from __future__ import annotations

from dataclasses import dataclass

from entropy.formats import documents, entropy_text
from entropy.formats.files import write_bytes
from entropy.formats.load import Loaded
from entropy.model.errors import InputError

__all__ = ["TARGETS", "Converted", "convert", "policy_path"]

TARGETS = ("entropy", "entropy-text")
"""The formats that can be written."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Bytes to write, the rules apart from the cluster, and what the format has no place for, one sentence each."""

    cluster: bytes
    policy: bytes | None = None
    warnings: tuple[str, ...] = ()

    def write(self, out: str) -> tuple[str, ...]:
        """Write to ``out`` and, with rules, to ``policy_path(out)``; the paths written.  Raises ``InputError``."""
        paths = [out]
        write_bytes(out, self.cluster)
        if self.policy is not None:
            paths.append(policy_path(out))
            write_bytes(paths[-1], self.policy)
        return tuple(paths)


def convert(loaded: Loaded, to: str, out: str) -> Converted:
    """``loaded`` in the format ``to``, in the syntax that the extension of ``out`` names.

    Raises ``InputError``: a format that cannot be written, or content that it cannot hold.
    """
    if to == "entropy":
        syntax = documents.syntax_of(out)
        policy = None if loaded.policy is None else documents.dump(loaded.policy, syntax)
        return Converted(cluster=documents.dump(loaded.cluster, syntax), policy=policy)
    if to == "entropy-text":
        text, warnings = entropy_text.dump(loaded.cluster)
        if loaded.policy is not None and loaded.policy.constraints:
            warnings = (*warnings, f"the {len(loaded.policy.constraints)} rules are lost")
        return Converted(cluster=text, warnings=warnings)
    raise InputError(f"{to!r} is no format that can be written", where="--to", accepted=", ".join(TARGETS))


def policy_path(out: str) -> str:
    """``c.json`` -> ``c.policy.json``; ``c.json.gz`` -> ``c.policy.json.gz``."""
    folder, slash, name = out.rpartition("/")
    zipped = ".gz" if name.endswith(".gz") else ""
    stem, dot, extension = name.removesuffix(".gz").rpartition(".")
    named = f"{stem}.policy.{extension}" if dot and stem else f"{name.removesuffix('.gz')}.policy"
    return f"{folder}{slash}{named}{zipped}"
