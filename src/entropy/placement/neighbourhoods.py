"""Which nodes to look at anew: sets of nodes in which a better arrangement is likely.

Each neighbourhood is a function of a view of the placement, a random generator and a size; it answers with node indices, or none when it
has nothing to offer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from entropy.placement.balance.neighbourhoods import balance_neighbourhood
from entropy.placement.broken import around_a_broken_rule
from entropy.placement.goals import Goals, observed_hosts
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["KINDS", "Kind", "View"]


@dataclass(frozen=True)
class View:
    """A placement as the neighbourhoods see it."""

    problem: Problem
    goals: Goals
    host: Indices
    open: Bools
    """bool[N]: nodes that VMs may enter or leave."""

    @cached_property
    def free(self) -> Integers:
        """int64[N, R] room left."""
        free = self.problem.capacity.copy()
        placed = positions(self.host >= 0)
        for r in range(free.shape[1]):
            free[:, r] -= np.bincount(self.host[placed], self.problem.demand[placed, r], minlength=len(free)).astype(np.int64)
        return free

    @cached_property
    def slack(self) -> Floats:
        """float64[N]: share of the node that is free, all resources together."""
        capacity = np.maximum(self.problem.capacity, 1)
        return np.asarray((np.maximum(self.free, 0) / capacity).mean(axis=1)) if capacity.shape[1] else np.ones(len(capacity))

    @cached_property
    def used(self) -> Bools:
        """bool[N]: nodes that run a VM."""
        used = np.zeros(self.problem.n_nodes, dtype=np.bool_)
        used[self.host[self.host >= 0]] = True
        return used

    @cached_property
    def home(self) -> Indices:
        """int32[V]: where a move costs nothing."""
        return observed_hosts(self.problem)

    @cached_property
    def moved(self) -> Indices:
        """The VMs that have moved."""
        return positions((self.home >= 0) & (self.host != self.home) & (self.host >= 0))

    @cached_property
    def candidates(self) -> Indices:
        """Nodes worth looking at: where consolidating, those in use; else all that are open."""
        return positions(self.open & self.used if self.goals.objective == "consolidate" else self.open)


Kind = Callable[[View, np.random.Generator, int], Indices]


def _roomy(view: View, rng: np.random.Generator, size: int, avoid: Indices, among: Indices | None = None) -> Indices:
    """Nodes with much room, by tournament: each place is won by the roomiest of a few drawn at random."""
    pool = view.candidates if among is None else among
    pool = pool[~np.isin(pool, avoid)]
    if len(pool) <= size:
        return pool
    drawn = pool[rng.integers(0, len(pool), (size, 4))]
    return np.unique(drawn[np.arange(size), np.argmax(view.slack[drawn], axis=1)])


def slack(view: View, rng: np.random.Generator, size: int) -> Indices:
    """Nodes that share slack: half of them roomy, half at random."""
    if len(view.candidates) < 2:
        return view.candidates
    some = rng.choice(view.candidates, min(size // 2, len(view.candidates)), replace=False)
    return _joined(some, _roomy(view, rng, size - len(some), some))


def low_load(view: View, rng: np.random.Generator, size: int) -> Indices:
    """One of the nodes that hold least, and nodes that its VMs might go to."""
    nodes = view.candidates
    if len(nodes) < 2:
        return nodes[:0]
    rate = view.slack[nodes] * view.goals.node_cost[nodes]
    order = nodes[np.argsort(-rate, kind="stable")]
    k = min(int(rng.exponential(max(len(order) / 12, 1.0))), len(order) - 1)
    chosen = order[k : k + 1]
    guests = positions(view.host == chosen[0])
    allowed = np.asarray(view.problem.domains[np.unique(view.problem.domain_of[guests])].any(axis=0)) if len(guests) else view.open
    return _joined(chosen, _roomy(view, rng, size - 1, chosen, nodes[allowed[nodes]]))


def expensive(view: View, rng: np.random.Generator, size: int) -> Indices:
    """A costly move: where it came from, where it went, who took its place, and some room."""
    moved = view.moved
    weight = view.problem.weight[moved].astype(np.float64)
    if not len(moved) or weight.sum() <= 0:
        return moved[:0]
    start = int(rng.choice(moved, p=weight / weight.sum()))
    chosen = [int(view.home[start]), int(view.host[start])]
    intruders = moved[view.host[moved] == view.home[start]]
    rng.shuffle(intruders)
    for v in intruders[: size // 2]:
        chosen += [int(view.home[v]), int(view.host[v])]
    others = moved[view.home[moved] == view.home[start]]
    rng.shuffle(others)
    chosen += [int(n) for n in view.host[others[: size // 3]]]
    nodes = np.array(list(dict.fromkeys(n for n in chosen if view.open[n]))[:size], dtype=np.int32)
    return _joined(nodes, _roomy(view, rng, max(size - len(nodes), 1), nodes))


def reopened(view: View, rng: np.random.Generator, size: int) -> Indices:
    """A node that was emptied, where its VMs are now, and a node in use that few call home: one might do instead of the other."""
    closed = view.moved[~view.used[view.home[view.moved]]]
    closed = closed[view.open[view.home[closed]]]
    if not len(closed):
        return closed
    home = view.home[closed]
    weight = np.bincount(home, view.problem.weight[closed].astype(np.float64), minlength=view.problem.n_nodes)
    first = int(rng.choice(len(weight), p=weight / weight.sum())) if weight.sum() > 0 else int(home[0])
    hosts = np.unique(view.host[closed[home == first]])
    at_home = positions((view.home >= 0) & (view.host == view.home))
    kept = np.bincount(view.home[at_home], view.problem.weight[at_home].astype(np.float64), minlength=len(weight))
    order = view.candidates[np.argsort(kept[view.candidates], kind="stable")]
    k = min(int(rng.exponential(max(len(order) / 12, 1.0))), len(order) - 1)
    chosen = _joined(np.array([first, order[k]], dtype=np.int32), hosts[view.open[hosts]])[:size]
    return _joined(chosen, _roomy(view, rng, max(size - len(chosen), 1), chosen))


def conflicting(view: View, rng: np.random.Generator, size: int) -> Indices:
    """A group that is spread thinly or broken: where its members are, and some room."""
    groups = [g.members for g in view.problem.limits] + [g.members for g in view.problem.together]
    if not groups:
        return view.moved[:0]
    there = np.unique(view.host[groups[int(rng.integers(len(groups)))]])
    there = there[(there >= 0) & view.open[there]]
    if len(there) > size:
        there = rng.choice(there, size, replace=False)
    return _joined(there, _roomy(view, rng, max(size - len(there), size // 3), there))


def broken(view: View, rng: np.random.Generator, size: int) -> Indices:
    """Nodes of VMs that break a soft rule, and the roomiest of those that could take them."""
    wrong, right = around_a_broken_rule(view.problem, view.host, rng)
    wrong, right = wrong[view.open[wrong]], right[view.open[right]]
    if len(wrong) > max(size // 2, 1):
        wrong = rng.choice(wrong, max(size // 2, 1), replace=False)
    return _joined(wrong, _roomy(view, rng, max(size - len(wrong), 1), wrong, right))


def extremes(view: View, rng: np.random.Generator, size: int) -> Indices:
    """The nodes at one end of the spread, and some to exchange VMs with (see ``balance.neighbourhoods``)."""
    return balance_neighbourhood(view.problem, view.goals, view.host, view.open, rng, size)


KINDS: Mapping[str, tuple[Kind, ...]] = {
    "soft": (broken, conflicting, slack),
    "consolidate": (low_load, slack),
    "balance": (extremes, slack),
    "moved": (expensive, reopened, conflicting, slack),
}
"""The neighbourhoods that serve each goal."""


def _joined(*parts: Indices) -> Indices:
    """All of them, each once, in the order in which they come."""
    nodes = np.concatenate(parts).astype(np.int32)
    _, first = np.unique(nodes, return_index=True)
    return nodes[np.sort(first)]
