"""Where sub-problems are solved: here and now, on threads (CP-SAT and compiled kernels release the interpreter), or on a Dask cluster.

Everything that is sent is a module's function with picklable arguments, so one executor is as good as another.  A sub-problem may get lost
(a machine dies and nobody takes over in time); who asked then goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from entropy.model.errors import InputError

__all__ = ["INLINE", "Inline", "executor", "outcome"]

P = ParamSpec("P")
T = TypeVar("T")

_CONNECT = 5.0
"""Seconds that a scheduler has to answer."""
_GRACE = 3.0
"""Seconds beyond its share that a sub-problem may take, the network included."""
_RETRIES = 3


class Inline(Executor):
    """Runs what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A future that is done."""
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


INLINE = Inline()


@contextmanager
def executor(workers: int, dask: str | None = None) -> Iterator[tuple[Executor, int]]:
    """(an executor, how many sub-problems it solves at once): ``workers`` threads, or all threads of the Dask cluster at ``dask``.

    Raises ``InputError`` when no such cluster answers, or its workers cannot run this version.
    """
    if dask is not None:
        with _dask(dask) as found:
            yield found
        return
    if workers <= 1:
        yield INLINE, 1
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="placement")
    try:
        yield pool, workers
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def outcome(task: Future[T], seconds: float) -> T | None:
    """The result of a sub-problem that may take ``seconds``; ``None`` when it got lost."""
    try:
        return task.result(timeout=None if seconds == float("inf") else max(seconds, 0.0) + _GRACE)
    except (TimeoutError, CancelledError):
        task.cancel()
        return None
    except Exception as problem:
        if type(problem).__module__.partition(".")[0] not in ("distributed", "dask", "tornado"):
            raise
        return None


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        import distributed
    except ImportError as problem:
        raise InputError(
            "needs the extra [dask], which is not installed", where="--dask", accepted="pip install 'entropy-manager[dask]'"
        ) from problem
    accepted = "the address of a Dask scheduler, as in tcp://host:8786"
    try:
        client: Any = distributed.Client(address, timeout=_CONNECT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError, RuntimeError, TypeError) as problem:
        raise InputError(f"no Dask scheduler answers at {address}: {problem}", where="--dask", accepted=accepted) from problem
    try:
        threads = sum(client.ncores().values())
        if not threads:
            raise InputError(f"the Dask scheduler at {address} has no worker", where="--dask", accepted="at least one running worker")
        _same_version(client)
        yield client.get_executor(pure=False, retries=_RETRIES), int(threads)
    finally:
        client.close(timeout=1)


def version() -> str:
    """This version; asked of every worker."""
    import entropy

    return entropy.__version__


def _same_version(client: Any) -> None:
    try:
        versions: dict[str, str] = client.run(version)
    except Exception as problem:  # whatever the worker's Python says when it lacks the package
        raise InputError(
            f"its workers cannot run this program: {problem}", where="--dask", accepted="workers with the same version installed"
        ) from problem
    for worker, theirs in versions.items():
        if theirs != version():
            raise InputError(
                f"worker {worker} has version {theirs}, this is {version()}", where="--dask", accepted="one version everywhere"
            )
