"""A plan's figures, recomputed, in one sentence."""

from __future__ import annotations

from entropy.cli.render.effects import Figures
from entropy.model.amounts import count, memory, seconds

__all__ = ["figures_sentence"]


def figures_sentence(found: Figures, actions: int) -> str:
    """``6 actions, 5 migrations; nodes in use 24 -> 22; moved memory 41 GiB; duration 96.5 s``."""
    return (
        f"{count(actions, 'action')}, {count(found.migrations, 'migration')}; "
        f"nodes in use {found.nodes_before} -> {found.nodes_after}; "
        f"moved memory {memory(found.moved_memory)}; duration {seconds(found.duration)} (forecast)"
    )
