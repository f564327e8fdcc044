"""How a kernel rates what a VM would leave over on a node: the lower the better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Bools, Problem

__all__ = ["Floats", "Metric", "best_fit", "even_fit", "widest_fit"]

Floats = npt.NDArray[np.float64]


class Metric(NamedTuple):
    """Rate = sum over resources of worth x room left, plus ``skew`` x how far the room left is from being usable.

    Room is counted as a share of the node's capacity, and usable when its resources are left over in the proportion in which the whole
    cluster will have them to spare: a node with memory left and no cpu is lost.  ``worth`` float64[R]; ``share`` float64[N, R] is
    1/capacity; ``spare`` float64[R] the share of each resource that stays free when everything is placed; ``scarcest`` the resource
    that sets the pace.  Too little of another resource counts three times as much as too much of it.
    """

    worth: Floats
    share: Floats
    spare: Floats
    scarcest: int
    skew: float

    @property
    def price(self) -> Floats:
        """float64[N, R]: what one unit of room is worth on each node."""
        return self.worth * self.share


def best_fit(problem: Problem, nodes: Bools) -> Metric:
    """Least room left, the scarce resources weighing most."""
    scarcity = _scarcity(problem, nodes)
    return _metric(problem, scarcity, scarcity, skew=0.0)


def widest_fit(problem: Problem, nodes: Bools) -> Metric:
    """Most room left, the scarce resources weighing most: headroom everywhere."""
    scarcity = _scarcity(problem, nodes)
    return _metric(problem, -scarcity, scarcity, skew=0.0)


def even_fit(problem: Problem, nodes: Bools, fill: float) -> Metric:
    """Room left stays usable; with ``fill`` above 0, small room is preferred as well."""
    scarcity = _scarcity(problem, nodes)
    worth = np.zeros_like(scarcity)
    if scarcity.size:
        worth[int(np.argmax(scarcity))] = fill
    return _metric(problem, worth, scarcity, skew=1.0 if scarcity.size else 0.0)


def _scarcity(problem: Problem, nodes: Bools) -> Floats:
    """Share of the capacity of ``nodes`` that is demanded."""
    total = problem.demand[problem.runs_at_end()].sum(axis=0).astype(np.float64)
    offered = problem.capacity[nodes].sum(axis=0).astype(np.float64)
    return np.asarray(total / np.maximum(offered, 1.0))


def _metric(problem: Problem, worth: Floats, scarcity: Floats, *, skew: float) -> Metric:
    scarcest = int(np.argmax(scarcity)) if scarcity.size else 0
    share = 1.0 / np.maximum(problem.capacity, 1).astype(np.float64)
    return Metric(worth, share, np.maximum(1.0 - scarcity, 0.0), scarcest, skew)
