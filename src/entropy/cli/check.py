"""``entropy check``: is everything ready for the first start?"""

from __future__ import annotations

from typing import Annotated

import typer

from entropy.cli.run import CONFIG

__all__ = ["check"]


def check(
    config: Annotated[str | None, CONFIG] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Before the first start: monitoring, drivers, hypervisors; each with yes, no, or how to mend it.

    Exit 0 when nothing says no, else 4. Changes nothing.
    """
    from entropy.control.check import run_check
    from entropy.control.settings import load_settings

    report = run_check(load_settings(config))
    typer.echo(report.as_json() if json else report.as_text())
    if not report.ok:
        raise typer.Exit(4)
