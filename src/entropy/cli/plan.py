"""``entropy plan``: from documents to a safe sequence of actions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entropy.cli.inputs import CLUSTER, INPUT_FORMAT, POLICY, TARGET, Inputs, read_inputs
from entropy.cli.terminal import colours, progress, someone_reads_stderr, someone_reads_stdout, this_command, warn

if TYPE_CHECKING:
    from entropy.planning.planner import Result

__all__ = ["OUTPUT_FORMATS", "plan"]

OUTPUT_FORMATS = ("json", "yaml", "text", "dot", "svg")
_TIME_LIMIT = 10.0
_BY_EXTENSION = {"json": "json", "yaml": "yaml", "yml": "yaml", "txt": "text", "dot": "dot", "gv": "dot", "svg": "svg"}


def plan(
    cluster: Annotated[str, CLUSTER],
    policy: Annotated[str | None, POLICY] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="O", help="repair, consolidate or balance; beats the Policy's.")
    ] = None,
    target: Annotated[str | None, TARGET] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", metavar="S", help="Seconds, from parsed documents to the printed plan.")
    ] = _TIME_LIMIT,
    work_limit: Annotated[
        int | None,
        typer.Option("--work-limit", metavar="N", help="Stop after this much work instead: the same plan on every machine."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Threads that solve sub-problems; default: 2.")] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Solve sub-problems on this Dask cluster, as in tcp://host:8786.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Of everything that is drawn at random.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Where to write; default: standard output.")] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--output-format",
            metavar="F",
            help="json, yaml, text, dot (graph) or svg (timeline); default: text on a terminal, else as FILE says, else json.",
        ),
    ] = None,
    input_format: Annotated[str | None, INPUT_FORMAT] = None,
    best_effort: Annotated[
        bool, typer.Option("--best-effort", help="Mend what can be mended, and list what cannot, instead of exit 3.")
    ] = False,
) -> None:
    """Compute the safe sequence of actions that leads to a better cluster.

    Nothing is executed. The best plan found when the time limit ends is printed, with what is proven about it; every plan is
    checked by an independent replay first.
    """
    import time

    shape = _format(output_format, output)
    _check_numbers(time_limit, work_limit, workers, seed)
    _check_objective(objective)
    if output is not None:
        _check_writable(output)
    inputs = read_inputs(cluster, policy, target, input_format)
    parsed = time.monotonic()

    from entropy.planning.planner import PlanOptions
    from entropy.planning.planner import plan as compute

    given: dict[str, str | int | None] = {"objective": objective, "work_limit": work_limit, "workers": workers, "seed": seed, "dask": dask}
    # loading the solvers counts, as the limit is on what one waits for; but it never takes more than half of a short one
    left = max(time_limit - (time.monotonic() - parsed), time_limit / 2)
    phases = [""]
    options = PlanOptions(
        time_limit=left,
        best_effort=best_effort,
        clock=time.monotonic,
        progress=phases.append,
        **{key: value for key, value in given.items() if value is not None},  # type: ignore[arg-type]
    )

    with (
        inputs.naming_the_rules_file(),
        progress(lambda seconds: _progress_line(inputs, seconds, time_limit, phases[-1]), time.monotonic),
    ):
        result = compute(inputs.cluster, inputs.policy, options, target=inputs.target)
    warn(result.warnings)
    command = _command(cluster, given | {"policy": policy, "target": target, "input_format": input_format}, time_limit, best_effort)
    _write(_render(inputs, result, shape, command, styled=output is None and colours()), output)
    if (shape != "text" or output is not None) and (output is not None or someone_reads_stderr()):
        typer.echo(result.sentence, err=True)


def _command(cluster: str, options: dict[str, str | int | None], time_limit: float, best_effort: bool) -> str:
    """What to type to have this plan executed."""
    import shlex

    words = ["plan", cluster]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += ["--time-limit", f"{time_limit:g}"] if time_limit != _TIME_LIMIT else []
    words += ["--best-effort"] if best_effort else []
    entropy = this_command()
    return f"{entropy} {shlex.join([*words, '-o', 'plan.json'])} && {entropy} apply plan.json"


def _progress_line(inputs: Inputs, seconds: float, time_limit: float, phase: str) -> str:
    size = f"{len(inputs.cluster.vms):,} VMs on {len(inputs.cluster.nodes):,} nodes"
    return f"planning {size}, {seconds:.0f} s of at most {time_limit:g} s{': ' if phase else ''}{phase}"


def _render(inputs: Inputs, result: Result, shape: str, command: str, styled: bool) -> bytes:
    from entropy.formats import documents

    match shape:
        case "json" | "yaml":
            return documents.dump(result.plan, shape)
        case "dot":
            from entropy.cli.render import dot

            return dot.render(result.plan).encode()
        case "svg":
            from entropy.cli.render import svg

            return svg.render(inputs.cluster, result.plan).encode()
        case _:
            from entropy.cli.render import text

            return text.render(
                inputs.cluster,
                result.plan,
                inputs.policy,
                sentence=result.sentence,
                reasons=result.reasons,
                command=command,
                style=_styled if styled else _unstyled,
            ).encode()


def _styled(text: str, kind: str) -> str:
    return typer.style(text, bold=kind == "bold", dim=kind == "dim", fg="red" if kind == "red" else None)


def _unstyled(text: str, _kind: str) -> str:
    return text


def _write(data: bytes, output: str | None) -> None:
    if output is None or output == "-":
        typer.echo(data.decode(), nl=False)
        return
    from entropy.formats.files import write_bytes

    write_bytes(output, data)


def _format(named: str | None, output: str | None) -> str:
    from entropy.model.errors import InputError

    if named is not None:
        if named not in OUTPUT_FORMATS:
            raise InputError(f"{named!r} is no output format", where="--output-format", accepted=", ".join(OUTPUT_FORMATS))
        return named
    if output is None or output == "-":
        return "text" if someone_reads_stdout() else "json"
    return _BY_EXTENSION.get(output.removesuffix(".gz").rpartition(".")[2], "json")


def _check_objective(objective: str | None) -> None:
    from entropy.model.errors import InputError
    from entropy.model.policy import OBJECTIVES

    if objective is not None and objective not in OBJECTIVES:
        raise InputError(f"{objective!r} is no objective", where="--objective", accepted=", ".join(OBJECTIVES))


def _check_numbers(time_limit: float, work_limit: int | None, workers: int | None, seed: int | None) -> None:
    from entropy.model.errors import InputError

    if not math.isfinite(time_limit) or time_limit <= 0:
        raise InputError(f"is {time_limit:g}", where="--time-limit", accepted="seconds above 0, such as 10 or 0.5")
    ranges: tuple[tuple[str, Any, int, int], ...] = (
        ("--work-limit", work_limit, 1, 2**53),
        ("--workers", workers, 1, 1024),
        ("--seed", seed, 0, 2**31 - 1),
    )
    for name, value, least, most in ranges:
        if value is not None and not least <= value <= most:
            raise InputError(f"is {value}", where=name, accepted=f"a whole number from {least} to {most}")


def _check_writable(output: str) -> None:
    """Refuse a place that cannot be written before the time is spent, not after."""
    import os

    from entropy.model.errors import InputError

    if output == "-":
        return
    if not output:
        raise InputError("names no file", where="--output", accepted="a file's name, or -")
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise InputError(f"cannot be written: there is no folder {folder}", where=output)
    if os.path.isdir(output):
        raise InputError("cannot be written: it is a folder", where=output, accepted="a file's name")
    if not os.access(output if os.path.exists(output) else folder, os.W_OK):
        raise InputError("cannot be written: permission denied", where=output)
