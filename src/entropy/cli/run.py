"""``entropy run``: the control loop in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["CONFIG", "run"]

CONFIG = typer.Option(
    "-c",
    "--config",
    metavar="FILE",
    help="Configuration: .toml, .yaml or .properties. Without it: $ENTROPY_CONFIG, config/entropy.{toml,yaml,properties}, "
    "then /etc/entropy/entropy.toml.",
    show_default=False,
)


def run(
    config: Annotated[str | None, CONFIG] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="End after so many rounds (default: never).", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and say so, execute nothing (reconfigure = false).")] = False,
    best_effort: Annotated[
        bool, typer.Option(help="Mend what can be mended when a corner cannot, and say what is left (default: as configured).")
    ] = True,
    detached: Annotated[bool, typer.Option("--detached", hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
) -> None:
    """Look after the cluster until stopped: observe, decide, plan, verify, execute, again.

    Prints one sentence a round and keeps it in the log. SIGTERM and Ctrl-C let running migrations finish and start none;
    SIGHUP reads the policy again.
    """
    from entropy.control.daemon import run_daemon
    from entropy.control.settings import load_settings

    settings = load_settings(config)
    changes: dict[str, object] = {}
    if dry_run:
        changes["reconfigure"] = False
    if not best_effort:
        changes["best_effort"] = False
    if changes:
        settings = settings.with_loop(**changes)
    code = run_daemon(settings, rounds=rounds, detached=detached, ready_fd=ready_fd)
    if code:
        raise typer.Exit(code)
