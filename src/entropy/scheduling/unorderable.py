"""No safe order of actions was found."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Unorderable"]


class Unorderable(Exception):  # noqa: N818 - an outcome that planning answers with another placement, no error of a user
    """A placement that no order of actions found reaches safely.

    ``vms`` are the indices of the VMs that block, ``reason`` says in an operator's words who waits for what, ``proven`` is
    true when it is proved that no order exists, with detours through any node that the problem allows.
    """

    def __init__(self, reason: str, vms: Iterable[int], *, proven: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.vms = tuple(sorted(set(vms)))
        self.proven = proven
