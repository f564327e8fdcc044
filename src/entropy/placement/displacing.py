"""Places for VMs that find no room, by displacing others as cheaply as possible (see ``kernels.displace``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from entropy.placement.jit import Kernel
from entropy.placement.kernels.displace import displace as _displace
from entropy.placement.metric import Floats
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices

__all__ = ["compile_step", "displace"]

_BLOCK = 16
"""VMs placed between two questions whether time is up."""
_STEPS = 30
"""VMs placed, at most, for each that was to be placed."""
_PENALTY = 0.25
"""What displacing a VM once more costs on top, in means of what a move costs."""


def displace(
    working: Working, left: Indices, nodes: Bools, over: Callable[[], bool], price: Floats | None = None, *, compiled: bool = False
) -> bool:
    """Place ``left`` on ``nodes``, displacing others among them; false when it did not work out: then ``working`` is as it was.

    ``price`` float64[V]: what it will cost to find another place for a VM beside its weight, if known.  ``compiled``: by the
    compiled kernel in any case.
    """
    problem = working.problem
    if not len(left):
        return True
    host, free = working.host.copy(), working.free.copy()
    rank = np.empty(problem.n_vms, dtype=np.int32)
    rank[working.largest_first(np.arange(problem.n_vms, dtype=np.int32))] = np.arange(problem.n_vms)
    queue = np.zeros(problem.n_vms, dtype=np.int32)
    queue[: len(left)] = left
    weight = problem.weight.astype(np.float64)
    share = 1.0 / np.maximum(problem.capacity, 1)
    dear, waiting = np.zeros(problem.n_vms), len(left)
    extra = np.zeros(problem.n_vms) if price is None else price
    penalty = _PENALTY * float(weight[working.runs].mean())
    movable = np.asarray(working.runs & ~problem.held)
    for _ in range(-(-_STEPS * len(left) // _BLOCK)):
        run = _displace.compiled if compiled else _displace.on(_BLOCK * (problem.n_nodes + problem.n_vms))
        state = working.state()
        waiting = run(queue, waiting, _BLOCK, working.home, weight, extra, dear, penalty, rank, movable, nodes, share, state)
        if not waiting:
            return True
        if over():
            break
    working.host[:], working.free[:] = host, free
    return False


def compile_step(working: Working) -> tuple[Kernel[..., Any], Callable[[], object]]:
    """For ``warmup``: the kernel, and a call of it that changes nothing: there is no node to place VM 0 on."""
    nowhere = np.zeros(working.problem.n_nodes, dtype=np.bool_)
    return _displace, lambda: displace(working, np.zeros(1, dtype=np.int32), nowhere, lambda: True, compiled=True)
