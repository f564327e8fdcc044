"""``entropy warm-up``: compile the placement kernels once, so that no plan waits for it."""

from __future__ import annotations

import typer

__all__ = ["warm_up"]


def warm_up() -> None:
    """Compile the placement kernels; the result is kept on disk, so a second call takes a moment."""
    import time

    from entropy.cli.terminal import someone_reads_stderr
    from entropy.placement.warmup import warm_up as compile_all

    def say(text: str) -> None:
        if someone_reads_stderr():
            typer.echo(f"{text} ...", err=True)

    start = time.perf_counter()
    names = compile_all(say)
    typer.echo(f"Kernels ready: {', '.join(names)} ({time.perf_counter() - start:.1f} s).", err=True)
