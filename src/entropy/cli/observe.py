"""``entropy observe``: one Cluster document from the configured monitoring."""

from __future__ import annotations

from typing import Annotated

import typer

from entropy.cli.run import CONFIG

__all__ = ["observe"]


def observe(
    config: Annotated[str | None, CONFIG] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where to, in the syntax its extension names.")] = "-",
) -> None:
    """Print the cluster as monitoring sees it now: a Cluster document (YAML); warnings go to standard error."""
    from entropy.control.commands import observe_once
    from entropy.control.settings import load_settings
    from entropy.formats import documents

    seen = observe_once(load_settings(config))
    for warning in seen.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if output == "-":
        typer.echo(documents.dump(seen.cluster, "yaml").decode(), nl=False)
    else:
        documents.write(seen.cluster, output)
