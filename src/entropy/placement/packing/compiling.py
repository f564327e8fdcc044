"""The packing kernels' part of ``warmup``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from entropy.placement.jit import Kernel
from entropy.placement.packing.completion import fill
from entropy.placement.packing.ejection import eject
from entropy.placement.packing.state import packing

__all__ = ["compile_steps"]


def compile_steps() -> tuple[tuple[Kernel[..., Any], Callable[[], object]], ...]:
    """Each kernel with a call of it, on one node and one VM."""
    one = np.ones((1, 1), dtype=np.int64)
    first = np.zeros(1, dtype=np.int32)
    state = packing(one, one, np.ones((1, 1), dtype=np.bool_), first, first - 1, None, 0)
    return ((fill, lambda: fill.compiled(state, first, 1, 1)), (eject, lambda: eject.compiled(state, 1)))
