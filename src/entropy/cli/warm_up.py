"""``entropy warm-up``: compile the placement kernels once, so that no plan waits for it."""

from __future__ import annotations

import typer

__all__ = ["warm_up"]


def warm_up() -> None:
    """Compile the placement kernels; the result is kept on disk, so a second call takes a moment."""
    import time

    from entropy.placement.warmup import warm_up as compile_all

    start = time.perf_counter()
    done = compile_all()
    compiled = done if isinstance(done, (list, tuple)) else ()
    for name in compiled:
        typer.echo(f"compiled {name}", err=True)
    typer.echo(f"The placement kernels are ready ({time.perf_counter() - start:.1f} s).", err=True)
