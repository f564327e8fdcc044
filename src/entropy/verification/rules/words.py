"""How a broken rule is put into words."""

from __future__ import annotations

from collections.abc import Iterable

from entropy.verification.violation import Violation

__all__ = ["broken"]


def broken(title: str, what: str, actions: Iterable[str | None] = (), resource: str = "") -> Violation:
    """``rule "title": what``; ``None`` among the actions is passed over, an action named twice counts once."""
    ids = tuple(dict.fromkeys(a for a in actions if a is not None))
    return Violation("rule", title, f'rule "{title}": {what}', resource, ids)
