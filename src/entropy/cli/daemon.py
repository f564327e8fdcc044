"""``entropy start``, ``stop`` and ``status``: the control loop as a daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from entropy.cli.run import CONFIG

__all__ = ["start", "status", "stop"]


def start(config: Annotated[str | None, CONFIG] = None) -> None:
    """Start the control loop in the background; returns when it is up, or says why it is not."""
    from entropy.control.launch import start_daemon
    from entropy.control.settings import load_settings

    typer.echo(start_daemon(load_settings(config)), err=True)


def stop(config: Annotated[str | None, CONFIG] = None) -> None:
    """Stop the control loop: running actions finish, none start; returns when the cluster is coherent, not before."""
    from entropy.control.launch import stop_daemon
    from entropy.control.settings import load_settings

    typer.echo(stop_daemon(load_settings(config), say=lambda text: typer.echo(text, err=True)), err=True)


def status(
    config: Annotated[str | None, CONFIG] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What the control loop is doing: one sentence, then the details."""
    from entropy.control.settings import load_settings
    from entropy.control.status import read_status

    found = read_status(load_settings(config))
    typer.echo(found.as_json() if json else found.as_text())
