"""Where sub-problems are solved: here and now, on threads (CP-SAT and compiled kernels release the interpreter), or on a Dask cluster.

Everything that is sent is a module's function with picklable arguments, so one executor is as good as another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

__all__ = ["INLINE", "Inline", "executor"]

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """Runs what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as problem:  # for whoever asks for the result
            done.set_exception(problem)
        return done


INLINE = Inline()


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """``workers`` threads; in place when there is one."""
    if workers <= 1:
        yield INLINE
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="placement")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
