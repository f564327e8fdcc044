"""Squeeze: pack into nodes that are too few for simple fitting, by swapping VMs until nothing sticks out.

What finds no room is put where it sticks out least; then the node that sticks out most trades VMs with others, each time by the
move or swap that reduces the overflow most, even if that is by nothing: a VM that moved rests for some steps (tabu search,
Glover 1989).  Pairs are rated only against a sample of nodes, so a step costs about the same at fifty nodes and at fifty thousand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement import kernels
from entropy.placement.kernels import Tabu
from entropy.placement.kernels.trade import SAMPLE, TRIES
from entropy.placement.metric import best_fit
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["BLOCK", "squeeze", "tabu_for", "trades"]

BLOCK = 64
"""Trades between two questions whether time is up."""

_PAIRS = 2_000
"""VM-node pairs that a trade looks at, about."""


def trades(problem: Problem) -> int:
    """How many trades are worth trying: on a small cluster the exact model is the quicker judge."""
    return min(20_000, 8 * problem.n_vms * problem.n_nodes)


def squeeze(w: Working, left: Indices, keep: Bools, rng: np.random.Generator, steps: int, over: Callable[[], bool]) -> bool:
    """Place ``left`` on the nodes ``keep`` beside what is there, moving others among them; false when it did not work out.

    ``w`` is changed either way.  At most ``steps`` steps, or until ``over()`` says that time is up.
    """
    if not keep.any():
        return not len(left)
    metric, tabu, state = best_fit(w.problem, keep), tabu_for(w, keep, rng), w.state()
    cram = kernels.cram.on(len(left) * w.problem.n_nodes)
    if not cram(w.largest_first(left), state, metric, w.index(keep), tabu):
        return False
    for step in range(0, max(steps, 1), BLOCK):
        if step % max(BLOCK, len(tabu.nodes) // 64) < BLOCK:
            room = (state.free[tabu.nodes] * metric.share[tabu.nodes]).sum(axis=1)
            tabu.roomiest[:] = np.argsort(-room, kind="stable")[: len(tabu.roomiest)]
        found = kernels.trade.on(BLOCK * _PAIRS)(step, min(BLOCK, steps - step), state, metric.share, tabu)
        if found:
            return bool(found > 0)
        if over():
            return False
    return False


def tabu_for(w: Working, keep: Bools, rng: np.random.Generator) -> Tabu:
    """What the search remembers, at its start."""
    problem = w.problem
    nodes = positions(keep)
    number = np.full(problem.n_nodes, -1, dtype=np.int32)
    number[nodes] = np.arange(len(nodes))
    leaves = 1 << max(len(nodes) - 1, 1).bit_length()
    return Tabu(
        nodes=nodes,
        number=number,
        sticks=np.zeros(2 * leaves),
        rests=np.zeros(problem.n_vms, dtype=np.int64),
        price=problem.weight / max(float(problem.weight.sum()), 1.0) * 1e-3,
        home=w.home,
        movable=w.runs & ~problem.held,
        roomiest=np.zeros(min(4 * SAMPLE, len(nodes)), dtype=np.int32),
        chance=np.array([rng.integers(1, 1 << 31, endpoint=False) % 2147483646 + 1, 0], dtype=np.int64),
        sample=np.zeros(SAMPLE, dtype=np.int32),
        seen=np.full(len(nodes), -1, dtype=np.int64),
        rates=np.zeros(TRIES),
        swaps=np.zeros((TRIES, 3), dtype=np.int64),
    )
