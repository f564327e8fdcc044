"""VMs go back to where they run now: the move that costs nothing."""

from __future__ import annotations

import numpy as np

from entropy.placement.metric import best_fit
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, positions

__all__ = ["back_home", "bring_home"]


def back_home(working: Working, vms: Indices, nodes: Bools | None = None) -> None:
    """VMs that are nowhere return to the node where they run now (if it is one of ``nodes``), heaviest first, where all still fits."""
    enter = np.ones(working.problem.n_nodes, dtype=np.bool_) if nodes is None else nodes
    home = working.home[vms]
    vms = vms[(working.host[vms] < 0) & (home >= 0) & enter[home]]
    if len(vms):
        working.go_home(_heaviest_first(working, vms), enter)


def bring_home(working: Working, passes: int = 3) -> None:
    """Moved VMs return, heaviest first, where their node is in use anyway: where there is room, and where a cheaper VM can make some."""
    problem, home, host = working.problem, working.home, working.host
    used: Bools = working.used
    moved = positions((home >= 0) & (host >= 0) & (host != home) & ~problem.held)
    moved = _heaviest_first(working, moved[used[home[moved]]])
    if not len(moved):
        return
    working.go_home(moved, used)
    moved = moved[host[moved] != home[moved]]
    if len(moved):
        working.descend(moved, used, best_fit(problem, used), passes)


def _heaviest_first(working: Working, vms: Indices) -> Indices:
    return vms[np.lexsort((vms, -working.problem.weight[vms]))].astype(np.int32)
