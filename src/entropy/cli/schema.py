"""``entropy schema``: the JSON Schema of a document kind."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["schema"]


def schema(kind: Annotated[str, typer.Argument(metavar="KIND", help="Cluster, Policy or Plan.")]) -> None:
    """Print the JSON Schema of a document kind, for editors and other programs."""
    import orjson

    from entropy.formats import documents

    known = {name.lower(): name for name in documents.KINDS}
    typer.echo(orjson.dumps(documents.json_schema(known.get(kind.lower(), kind)), option=orjson.OPT_INDENT_2).decode())
