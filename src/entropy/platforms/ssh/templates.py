"""Command templates: ``xl migrate $VM $DESTINATION``, a line for the remote shell in which names are put as single words.

Every value is quoted, and one that a program could take for an option or a path is refused.  For the quoting to hold, a
variable must stand where the shell expects a word: not inside quotes, not behind a backslash.  A template that runs its
arguments through a second shell (``sh -c``, ``ssh``, ``eval``) takes the quotes off again: do that in a script on the node.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Template

from entropy.model.errors import PlatformError

__all__ = ["CommandTemplate"]

_VARIABLE = re.compile(r"\$(?:\$|(?P<braced>\{)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?(braced)\})|(?P<stray>.|$))", re.DOTALL)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/]")


@dataclass(frozen=True)
class CommandTemplate:
    """``text`` with the variables ``allowed``; ``$$`` is a dollar for the shell.  Raises ``ValueError`` in an operator's words."""

    text: str
    allowed: Collection[str]

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("is empty; accepted: a command")
        if "\x00" in self.text:
            raise ValueError("holds a NUL")
        for found in _VARIABLE.finditer(self.text):
            name, at = found["name"], found.start()
            if found["stray"] is not None:
                raise ValueError(f"has a lone $ at character {at + 1}; accepted: $$ for a dollar that the shell is to see")
            if name is None:
                continue
            if name not in self.allowed:
                raise ValueError(f"uses ${name}; accepted here: {', '.join(f'${v}' for v in self.allowed)} ($$ for the shell's own)")
            if within := _quoted(self.text, at):
                raise ValueError(f"has ${name} {within}; accepted: the bare ${name}, which is quoted by itself")

    def fill(self, values: Mapping[str, str]) -> str:
        """The command line.  Raises ``PlatformError`` for a value that cannot be put safely."""
        safe = {}
        for name in sorted(set(Template(self.text).get_identifiers())):
            value = values[name]
            if not value or value.startswith("-") or value in (".", "..") or _UNSAFE.search(value):
                raise PlatformError(
                    f"{value!r} cannot stand for ${name} in a command: it could be taken for an option or a path. Names of nodes and "
                    "VMs may hold no slash and no control character, and not begin with a dash"
                )
            safe[name] = shlex.quote(value)
        return Template(self.text).substitute(safe)


def _quoted(text: str, at: int) -> str:
    """How position ``at`` is protected from being a word of its own in a POSIX shell; empty if it is not."""
    inside, k = "", 0
    while k < at:
        c = text[k]
        if c == "\\" and inside != "'":
            if k + 1 == at:
                return "behind a backslash"
            k += 1
        elif c in "'\"`":
            if not inside:
                inside = c
            elif inside == c:
                inside = ""
        elif c == "#" and not inside and (k == 0 or text[k - 1].isspace()):
            return "in a comment"
        k += 1
    return f"inside {inside}" if inside else ""
