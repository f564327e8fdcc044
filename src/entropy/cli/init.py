"""``entropy init``: a distribution folder as the original's."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["init"]


def init(directory: Annotated[str, typer.Argument(metavar="DIR", help="Made if it does not exist.")]) -> None:
    """Lay out bin/controlLoop.sh, config/, logs/ and vjobs/; never overwrites a file."""
    from entropy.control.distribution import lay_out

    for line in lay_out(directory).lines():
        typer.echo(line, err=True)
