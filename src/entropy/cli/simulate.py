"""``entropy simulate``: the control loop on a simulated cluster, watched and measured."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Annotated

import typer

from entropy.cli.inputs import POLICY
from entropy.cli.terminal import someone_reads_stdout, this_command, warn

if TYPE_CHECKING:
    from rich.console import Console

    from entropy.cli.simulation_stage import Stage
    from entropy.control.rehearsal import Figures

__all__ = ["simulate"]

_NEXT = """
On your own cluster, acting on nothing yet:
  {entropy} init prod          then set gmetad.host in prod/config/entropy.properties
  {entropy} check -c prod/config/entropy.properties
  {entropy} run --dry-run -c prod/config/entropy.properties"""
_LEAST_STEP, _MOST_HOURS = 10.0, 24.0 * 366


def simulate(
    demo: Annotated[
        bool, typer.Option("--demo", help="The demonstration: 40 nodes, 200 VMs, one day. Other options change parts of it.")
    ] = False,
    nodes: Annotated[
        int | None, typer.Option("--nodes", metavar="N", min=1, max=10_000, help="Nodes (40, else one for five VMs).", show_default=False)
    ] = None,
    vms: Annotated[
        int | None, typer.Option("--vms", metavar="N", min=1, max=100_000, help="VMs (200; of a trace: all).", show_default=False)
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", metavar="H", help="Simulated hours (24; of a trace: all).", show_default=False)
    ] = None,
    step: Annotated[
        float | None,
        typer.Option("--step", metavar="S", help="Simulated seconds from one round of the loop to the next (300).", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Of everything that is drawn at random.")] = 0,
    trace: Annotated[
        str | None,
        typer.Option(
            "--trace", metavar="FILE", help="Recorded load: CSV of CPU percentages, a sample every five minutes.", show_default=False
        ),
    ] = None,
    mixed_nodes: Annotated[bool, typer.Option("--mixed-nodes", help="Three models of nodes instead of one.")] = False,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="O", help="repair, consolidate or balance; beats the Policy's.", show_default=False)
    ] = None,
    policy: Annotated[str | None, POLICY] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "-c", "--config", metavar="FILE", help="Rehearse with the loop's settings and policy of this configuration.", show_default=False
        ),
    ] = None,
    headroom: Annotated[
        float | None, typer.Option("--headroom", metavar="SHARE", help="Of every node's cpu kept free (0.2).", show_default=False)
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option("--speed", metavar="X", help="Simulated seconds a second (default: as fast as it goes).", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as one JSON object.")] = False,
    live: Annotated[bool, typer.Option(help="Watch it, on a terminal.")] = True,
) -> None:
    """Run the control loop, as the daemon does, on a simulated cluster and its load, and measure what it wins.

    Nothing real is touched. The load is drawn from a seed (web, batch, databases, office) or read from a trace; the same input
    gives the same figures. They are compared with static allocation (every VM keeps its peak) and with packing anew at every round.
    """
    import time

    _check("--hours", hours, 1 / 60, _MOST_HOURS)
    _check("--step", step, _LEAST_STEP, 86400.0)
    _check("--headroom", headroom, 0.0, 0.9)
    _check("--speed", speed, 1.0, 1e9)
    _check_objective(objective)

    from entropy.cli.simulation_stage import build_stage

    stage = build_stage(
        nodes=nodes, vms=vms, hours=hours, step=step, seed=seed, trace=trace, mixed=mixed_nodes, objective=objective, policy=policy,
        config=config, headroom=headroom,
    )  # fmt: skip
    began = time.perf_counter()
    interrupted = False
    try:
        figures = _watched(stage, live and not as_json, speed)
    except KeyboardInterrupt:
        figures, interrupted = stage.figures(), True
        if not figures.in_use:
            raise
    summary = stage.summary(figures, time.perf_counter() - began, interrupted)
    warn(summary.warnings)
    if as_json:
        import orjson

        typer.echo(orjson.dumps(summary.tree(), option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(summary.text(), nl=False)
        if demo and not interrupted:
            typer.echo(_NEXT.format(entropy=this_command()))
    if interrupted:
        raise typer.Exit(130)
    if figures.mistakes:
        raise typer.Exit(70)


def _watched(stage: Stage, live: bool, speed: float | None) -> Figures:
    """Run it, with a picture on a terminal, a line now and then elsewhere."""
    import time

    from entropy.cli.simulation_stage import Lines, Pace

    pace = Pace(speed, time.monotonic, time.sleep)
    console = _screen() if live else None
    if console is None:
        lines = Lines(stage, lambda text: typer.echo(text, err=True))
        return stage.run((lines.tick, pace.tick), time.perf_counter)

    from entropy.cli.live_view import LiveView, frame

    view = LiveView(console, stage.title, stage.static_nodes, time.monotonic)
    try:
        with view:
            return stage.run((view.tick, pace.tick), time.perf_counter)
    finally:
        if view.last is not None:  # the picture goes away with the screen that it was drawn on
            console.print(frame(view.last, console.size.width, console.size.height))
            console.print()


def _screen() -> Console | None:
    """Standard output, if it is a terminal that can show the picture."""
    if not someone_reads_stdout() or os.environ.get("TERM") == "dumb":
        return None
    from rich.console import Console

    console = Console(highlight=False)
    fits = console.size.width >= 60 and console.size.height >= 16
    return console if fits and console.encoding.lower().startswith("utf") else None


def _check(name: str, value: float | None, least: float, most: float) -> None:
    from entropy.model.errors import InputError

    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"is {value:g}", where=name, accepted=f"a number from {least:g} to {most:g}")


def _check_objective(objective: str | None) -> None:
    from entropy.model.errors import InputError
    from entropy.model.policy import OBJECTIVES

    if objective is not None and objective not in OBJECTIVES:
        raise InputError(f"{objective!r} is no objective", where="--objective", accepted=", ".join(OBJECTIVES))
