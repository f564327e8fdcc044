"""Kernels: plain functions over arrays that run as they are on small clusters and compiled on large ones.

Compilation costs seconds once (Numba keeps the result on disk), so nobody with fifty nodes waits for it: below
``COMPILE_FROM`` candidate pairs the same function runs uncompiled, and Numba is not even imported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Generic, ParamSpec, TypeVar

__all__ = ["COMPILE_FROM", "Kernel", "kernel"]

COMPILE_FROM = 60_000
"""VMs x nodes from which the compiled kernel is used."""

P = ParamSpec("P")
R = TypeVar("R")


class Kernel(Generic[P, R]):
    """A function over arrays and its compiled twin, which releases the GIL."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.python = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__

    @cached_property
    def compiled(self) -> Callable[P, R]:
        """Compiled by Numba at the first call with arguments of some types, cached on disk."""
        import numba

        compiled: Callable[P, R] = numba.njit(cache=True, nogil=True)(self.python)
        return compiled

    def on(self, pairs: int) -> Callable[P, R]:
        """The twin that suits a cluster with so many VM-node pairs."""
        return self.compiled if pairs >= COMPILE_FROM else self.python


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Marks a kernel."""
    return Kernel(function)
