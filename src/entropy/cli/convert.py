"""``entropy convert``: a cluster from one format to another."""

from __future__ import annotations

from typing import Annotated

import typer

from entropy.cli.terminal import warn

__all__ = ["convert"]


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="The file to read; - is standard input, .gz is unpacked.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="entropy or entropy-text.")],
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="OUT", help="Where to write, in the syntax its extension names; - is standard output."),
    ],
    input_format: Annotated[
        str | None, typer.Option("--input-format", metavar="FORMAT", help="The format of IN; default: told by its content.")
    ] = None,
) -> None:
    """Convert a cluster between formats.

    Rules that IN carries are written beside the Cluster: c.json and c.policy.json. What the format has no place for is named;
    what would be misread is refused.
    """
    from entropy.formats.convert import convert as converted
    from entropy.formats.load import load
    from entropy.model.errors import InputError

    loaded = load(source, input_format)
    warn(loaded.warnings)
    try:
        result = converted(loaded, to, output)
    except InputError as problem:
        if problem.where:
            raise
        raise InputError(problem.message, where=source, path=problem.path, accepted=problem.accepted) from problem
    warn(result.warnings)
    if output == "-":
        if result.policy is not None:
            warn([f"the rules of {source} are not written: they are a document beside the Cluster, which -o FILE names"])
        typer.echo(result.cluster.decode(), nl=False)
        return
    result.write(output)
