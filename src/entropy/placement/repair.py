"""Repair: only what is misplaced moves.

The cheapest VMs whose departure ends each overload, VMs that may not stay, members of groups above their limit and VMs that must
start are taken out and placed where most room is left, empty nodes included (a node filled to the brim by a repair needs the next one
soon), first on nodes that nothing leaves: such moves wait for nothing.  What finds no room displaces others as cheaply as possible;
else it is settled by trades with other VMs, in the end by the exact model on a neighbourhood that widens until it suffices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.bounds import observed_hosts, usable_nodes
from entropy.placement.displacing import displace
from entropy.placement.metric import best_fit, widest_fit
from entropy.placement.returning import back_home
from entropy.placement.squeeze import squeeze, trades
from entropy.placement.surplus import rule_breakers
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Problem, positions

__all__ = ["misplaced", "repair"]

Widen = Callable[[Working, Indices], bool]

_FROM_THE_START = 100_000_000
"""VM-node pairs up to which all that is misplaced is placed anew once simple fitting has failed; above, only what found no room."""


def misplaced(problem: Problem, cheapest: dict[int, Indices]) -> Indices:
    """VMs to place: cheapest leavers of each node, VMs that break a rule where they are, and VMs that run nowhere yet."""
    host = observed_hosts(problem)
    out = problem.runs_at_end() & (host < 0)
    if cheapest:
        out[np.concatenate(list(cheapest.values())).astype(np.int64)] = True
    rule_breakers(problem, host, out)
    return positions(out)


def repair(working: Working, cheapest: dict[int, Indices], rng: np.random.Generator, over: Callable[[], bool], widen: Widen) -> Indices:
    """Make ``working`` viable; returns the VMs that found no node (none: viable).

    Trades are tried until ``over()``, then ``widen`` is asked.
    """
    problem = working.problem
    vms = misplaced(problem, cheapest)
    working.take_out(vms)
    back_home(working, vms)  # a cheapest set may be larger than needed once others have left
    vms = vms[working.host[vms] < 0]
    if not len(vms):
        return vms
    sources = np.zeros(problem.n_nodes, dtype=np.bool_)
    sources[list(cheapest)] = True
    everywhere, order = np.ones_like(sources), working.largest_first(vms)
    before = working.copy()
    for metric in (widest_fit(problem, everywhere), best_fit(problem, everywhere)):
        # spreading out uses up the large gaps: where it fails, once more from the start, filling gaps instead
        working.host[:], working.free[:] = before.host, before.free
        for open_nodes in (~sources, everywhere):
            left = order[working.host[order] < 0]
            if not working.fit(left, open_nodes, metric):
                return left[:0]
    left = order[working.host[order] < 0]
    fitted = working.copy()
    if len(vms) * problem.n_nodes <= _FROM_THE_START:
        working.host[:], working.free[:], left = before.host, before.free, order
    if displace(working, left, usable_nodes(problem), over):
        return left[:0]
    before = fitted
    working.host[:], working.free[:] = fitted.host, fitted.free
    left = order[working.host[order] < 0]
    if squeeze(working, left, usable_nodes(problem), rng, trades(problem), over):
        return left[:0]
    working.host[:], working.free[:] = before.host, before.free
    if widen(working, left):
        return left[:0]
    return order[working.host[order] < 0]
