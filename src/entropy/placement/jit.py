"""Kernels: plain functions over arrays, each with a twin compiled by Numba that gives the same answer.

Importing Numba and loading what it compiled takes about a second, compiling many: nobody waits for it.  Below ``COMPILE_FROM`` the
plain function decides, while ``prepare`` brings the compiled twins up in the background; from then on they are used for
everything.  What was compiled is kept on disk, under a name that carries a digest of the kernel and of every kernel it calls.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast

__all__ = ["COMPILE_FROM", "PREPARE_FROM", "Kernel", "bring_up", "kernel", "prepare"]

COMPILE_FROM = 400_000
"""Work (VM-node pairs looked at, all calls together) that plain functions do about as fast as Numba is brought up."""
PREPARE_FROM = 20_000
"""VM-node pairs of a problem from which Numba is worth having."""
_SECONDS_A_PAIR = 2e-6
"""What a plain function needs."""

P = ParamSpec("P")
R = TypeVar("R")


class _Use:
    """How much the plain functions have done so far in this process, and how far the compiled ones are."""

    spent = 0
    begun = False
    coming: ClassVar[set[Kernel[Any, Any]]] = set()
    lock = threading.RLock()


class Kernel(Generic[P, R]):
    """A function over arrays and its compiled twin, which releases the GIL.  Kernels may call kernels."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.python = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._at_hand = threading.Event()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function: how one kernel calls another where nothing is compiled."""
        return self.python(*args, **kwargs)

    @cached_property
    def compiled(self) -> Callable[P, R]:
        """The twin: loaded from disk, else compiled, at its first call with arguments of some types."""
        import numba

        with _Use.lock:
            plain = self._function()
            scope = {**plain.__globals__, **{name: other.compiled for name, other in self._callees().items()}}
            twin = FunctionType(plain.__code__, scope, plain.__name__, plain.__defaults__, plain.__closure__)
            twin.__module__ = plain.__module__
            twin.__qualname__ = f"{plain.__qualname__}_{self.digest}"  # part of the name under which Numba keeps it
            try:
                compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(twin)
            except RuntimeError:  # no directory to keep it in can be written: compiled anew in every process
                compiled = numba.njit(nogil=True, error_model="numpy")(twin)
            _widen(compiled)
            return cast("Callable[P, R]", compiled)

    def on(self, pairs: int) -> Callable[P, R]:
        """The twin to call for work on about so many VM-node pairs.

        Waits for a compiled one that is being brought up only as long as the plain one would work.
        """
        if not self._at_hand.is_set():
            _Use.spent += pairs
            if _Use.spent <= COMPILE_FROM:
                return self.python
            if self in _Use.coming and not self._at_hand.wait(pairs * _SECONDS_A_PAIR) and self in _Use.coming:
                return self.python
        return self.compiled

    def at_hand(self) -> None:
        """To be called when the compiled twin has been called once with the types it is always called with."""
        self._at_hand.set()
        _Use.coming.discard(self)

    @cached_property
    def digest(self) -> str:
        """Changes whenever this kernel, a constant it uses, or a kernel it calls changes: Numba itself looks at one file only."""
        plain = self._function()
        text = [_code_text(plain.__code__)]
        for name in plain.__code__.co_names:
            value = plain.__globals__.get(name)
            text.append(value.digest if isinstance(value, Kernel) else repr(value) if isinstance(value, int | float) else name)
        return hashlib.sha256("\n".join(text).encode()).hexdigest()[:12]

    def _function(self) -> FunctionType:
        return cast("FunctionType", self.python)

    def _callees(self) -> dict[str, Kernel[Any, Any]]:
        scope = self._function().__globals__
        return {name: scope[name] for name in self._function().__code__.co_names if isinstance(scope.get(name), Kernel)}


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Marks a kernel."""
    return Kernel(function)


def prepare(pairs: int) -> None:
    """Bring up the compiled kernels in the background, if a problem of so many VM-node pairs is worth it.  Returns at once."""
    if pairs >= PREPARE_FROM and not _Use.begun:
        _Use.begun = True
        threading.Thread(target=_in_background, name="kernels").start()


def _in_background() -> None:
    from entropy.placement.warmup import warm_up

    with suppress(Exception):  # what cannot be loaded now is compiled when it is called, or fails there
        warm_up(go_on=threading.main_thread().is_alive)  # a program that ends does not wait for the rest


def bring_up(steps: Iterable[tuple[Kernel[Any, Any], Callable[[], object]]], go_on: Callable[[], bool]) -> Iterator[str]:
    """Call each step, which calls the compiled twin of its kernel as it is always called; yields its name before.

    Ends early when ``go_on`` says no.
    """
    _Use.begun = True
    steps = tuple(steps)
    _Use.coming.update(kernel for kernel, _ in steps)
    try:
        for kernel, call in steps:
            if not go_on():
                break
            yield kernel.__name__
            call()
            kernel.at_hand()
    finally:
        _Use.coming.clear()


def _widen(compiled: Any) -> None:
    """Called from another kernel, it takes every integer as int64: else Numba compiles it anew for each mixture of widths and constants."""
    import numba

    plain = getattr(compiled, "get_call_template", None)
    if plain is None:  # not this version of Numba: all the same, but slower to compile
        return

    def template(args: Any, kws: Any) -> Any:
        wide = (numba.types.int64 if isinstance(a, numba.types.Integer | numba.types.IntegerLiteral) else a for a in args)
        return plain(tuple(wide), kws)

    compiled.get_call_template = template


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return "\n".join((code.co_code.hex(), *constants, *code.co_names, *code.co_varnames))
