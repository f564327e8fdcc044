"""``entropy apply``: execute a plan on the cluster as it is now."""

from __future__ import annotations

from typing import Annotated

import typer

from entropy.cli.run import CONFIG

__all__ = ["apply"]


def apply(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A Plan document; - is standard input.")],
    config: Annotated[str | None, CONFIG] = None,
) -> None:
    """Execute a plan after observing again.

    Refuses (exit 4) only if a VM, node or state that the plan touches has changed, or it is no longer safe with the new
    figures. Ctrl-C lets running actions finish and starts none.
    """
    from entropy.control.commands import apply_plan
    from entropy.control.settings import load_settings
    from entropy.formats import documents
    from entropy.model.plan import Plan

    document = documents.read(plan, Plan)
    typer.echo(apply_plan(load_settings(config), document, say=lambda text: typer.echo(text, err=True)), err=True)
