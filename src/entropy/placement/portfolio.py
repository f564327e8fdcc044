"""Placement, anytime: kernels first, from the observed placement; then the exact model where the problem is small enough.

The order of attack: bounds; repair; packing; exact search for fewer nodes, then for less moved memory.  It ends on proof or when the
budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from entropy.placement import bounds
from entropy.placement.consolidate import consolidate
from entropy.placement.metric import best_fit
from entropy.placement.placement import Goal, Outcome, Placement
from entropy.placement.repair import repair
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["EXACT_PAIRS", "Budget", "affordable", "place"]

EXACT_PAIRS = 40_000
"""VM-node pairs up to which the whole problem is given to the exact model."""
_NEIGHBOURHOOD_PAIRS = 12_000
_BLOCK_WORK = 0.02
"""Work of ``squeeze.BLOCK`` trades, in the exact model's units: about as many seconds on an ordinary machine."""

Search = Literal["repair", "consolidate"]


@dataclass
class Budget:
    """What may still be spent: ``remaining()`` seconds of wall clock, and work in deterministic units if limited."""

    remaining: Callable[[], float]
    work: float | None = None
    workers: int = 1
    seed: int = 0
    progress: Callable[[str], None] = lambda _text: None

    def spend(self, work: float) -> None:
        """Account for work done."""
        if self.work is not None:
            self.work = max(self.work - work, 0.0)

    def share(self, part: float) -> Callable[[], bool]:
        """Tells when ``part`` of what remains now has been used; it is asked every ``squeeze.BLOCK`` trades, which count as work."""
        if self.work is not None:
            least = self.work * (1 - part)

            def over() -> bool:
                self.spend(_BLOCK_WORK)
                return self.work is not None and self.work <= least

            return over
        left = self.remaining()
        return lambda: left < float("inf") and self.remaining() <= left * (1 - part)

    @property
    def over(self) -> bool:
        """Is nothing left?"""
        return self.remaining() <= 0 or self.work == 0


def place(problem: Problem, search: Search, node_cost: Integers, budget: Budget) -> Placement:
    """Where each VM ends: a viable placement with least moved memory (``repair``), or with least cost of nodes in use first."""
    runs = problem.runs_at_end()
    leaving, cheapest = bounds.must_leave(problem)
    least_cost = bounds.node_bound(problem, node_cost)
    working = Working(problem, bounds.observed_hosts(problem))
    widening = _Widening(problem, node_cost, budget)
    rng = np.random.default_rng(budget.seed)
    left = repair(working, cheapest, rng, budget.share(0.6), widening)
    if len(left):
        outcome: Outcome = "infeasible" if widening.proven_infeasible else "unknown"
        nothing = Goal(value=0, bound=0)
        return Placement(outcome=outcome, host=working.host, nodes=nothing, moved=nothing, left_out=tuple(int(v) for v in left))
    if search == "consolidate":
        kept = bounds.kept_weight(problem, leaving)
        most = affordable(node_cost, least_cost)
        least_moved = bounds.moved_bound(problem, leaving, most)
        working = consolidate(working, kept, node_cost, least_cost, least_moved, rng, budget.share(0.5))
    best = _Best(problem, search, node_cost, working.host.copy(), least_cost, leaving)
    budget.progress(best.sentence())
    pairs = _pairs(problem, runs)
    if pairs <= EXACT_PAIRS:
        _polish(problem, best, node_cost, budget)
    return best.placement()


def affordable(node_cost: Integers, cost: int) -> int | None:
    """How many nodes a cost pays for; ``None`` when nodes differ in cost, or cost nothing."""
    return cost // int(node_cost[0]) if len(np.unique(node_cost)) == 1 and node_cost[0] > 0 else None


class _Best:
    """The best placement so far, with what is proven about it."""

    def __init__(self, problem: Problem, search: Search, node_cost: Integers, host: Indices, least_cost: int, leaving: Integers) -> None:
        self.problem, self.search, self.node_cost, self.leaving = problem, search, node_cost, leaving
        self.home = bounds.observed_hosts(problem)
        self.node_bound = least_cost
        self.proven_moved = 0
        self.host = host

    def value(self, host: Indices) -> tuple[int, int]:
        used = np.unique(host[host >= 0])
        moved = (self.home >= 0) & (host != self.home)
        return int(self.node_cost[used].sum()), int(self.problem.weight[moved].sum())

    def offer(self, host: Indices) -> None:
        """Take ``host`` if it is better."""
        mine, theirs = self.value(self.host), self.value(host)
        if self.search == "repair":
            mine, theirs = (0, mine[1]), (0, theirs[1])
        if theirs < mine:
            self.host = host

    @property
    def nodes(self) -> Goal:
        return Goal(value=self.value(self.host)[0], bound=self.node_bound)

    @property
    def moved(self) -> Goal:
        """The bound holds for every placement with no more nodes than this one (in repair: for every viable one)."""
        most = affordable(self.node_cost, self.nodes.value) if self.search == "consolidate" else None
        bound = max(bounds.moved_bound(self.problem, self.leaving, most), self.proven_moved)
        return Goal(value=self.value(self.host)[1], bound=bound)

    @property
    def optimal(self) -> bool:
        return self.moved.proven and (self.search == "repair" or self.nodes.proven)

    def sentence(self) -> str:
        nodes, moved = self.nodes, self.moved
        resources = self.problem.resources
        gib = 1024 * (self.problem.scale[resources.index("memory")] if "memory" in resources else 1.0)
        used = len(np.unique(self.host[self.host >= 0]))
        known = f"{used} nodes in use, {moved.value / gib:.3g} GiB moved (at least {moved.bound / gib:.3g})"
        return known if self.search == "repair" else f"{known}, {'no fewer nodes possible' if nodes.proven else 'fewer nodes sought'}"

    def placement(self) -> Placement:
        outcome: Outcome = "optimal" if self.optimal else "feasible"
        return Placement(outcome=outcome, host=self.host, nodes=self.nodes, moved=self.moved)


def _pairs(problem: Problem, runs: Bools) -> int:
    """VM-node pairs that the exact model would see."""
    sizes = problem.domains.sum(axis=1)
    return int(sizes[problem.domain_of[runs & ~problem.held]].sum())


def _polish(problem: Problem, best: _Best, node_cost: Integers, budget: Budget) -> None:
    """The whole problem, exactly: fewer nodes, then less moved memory."""
    if best.optimal or budget.over:
        return
    from entropy.placement.exact import ExactModel, Limits  # here: kernels alone need no solver

    vms = positions(problem.runs_at_end()).astype(np.int32)
    nodes = positions(bounds.usable_nodes(problem)).astype(np.int32)

    def model() -> ExactModel:
        exact = ExactModel(problem, best.host, vms, nodes, node_cost)
        exact.hint(best.host)
        return exact

    def limits(share: float) -> Limits:
        work = None if budget.work is None else budget.work * share
        return Limits(seconds=budget.remaining() * share, work=work, workers=budget.workers, seed=budget.seed)

    if best.search == "consolidate" and not best.nodes.proven:
        found = model().solve_nodes(limits(0.6), bound=best.node_bound)
        budget.spend(found.work)
        if found.host is not None:
            best.offer(found.host)
            best.node_bound = max(best.node_bound, found.bound)
            budget.progress(best.sentence())
    if best.optimal or budget.over:
        return
    exact = model()
    if best.search == "consolidate":
        exact.cap_nodes(best.nodes.value)
    found = exact.solve_moves(limits(1.0), bound=best.moved.bound)
    budget.spend(found.work)
    if found.host is not None:
        best.offer(found.host)
        best.proven_moved = max(best.proven_moved, found.bound)
        budget.progress(best.sentence())


class _Widening:
    """Settles VMs that kernels could not place: exact search over them and the nodes with most room, doubled until it works."""

    def __init__(self, problem: Problem, node_cost: Integers, budget: Budget) -> None:
        self.problem, self.node_cost, self.budget = problem, node_cost, budget
        self.proven_infeasible = False

    def __call__(self, working: Working, left: Indices) -> bool:
        """Place ``left`` in ``working``; true when all are."""
        for start in range(0, len(left), 4):
            if not self._settle(working, left[start : start + 4]) and not self._settle(working, left[working.host[left] < 0]):
                return False
        return True

    def _settle(self, working: Working, stuck: Indices) -> bool:
        from entropy.placement.exact import ExactModel, Limits

        problem, size = self.problem, 8
        order = self._roomiest(working, stuck)
        runs = problem.runs_at_end()
        while not self.budget.over:
            nodes = order[:size]
            inside = runs & (working.host >= 0) & np.isin(working.host, nodes)
            vms = np.union1d(positions(inside), stuck).astype(np.int32)
            whole = size >= len(order)
            if len(vms) * len(nodes) > (EXACT_PAIRS if whole else _NEIGHBOURHOOD_PAIRS) * (1 if size > 8 else 100):
                return False
            model = ExactModel(problem, working.host, vms, nodes, self.node_cost)
            limits = Limits(
                seconds=self.budget.remaining() * (0.8 if whole else 0.3),
                work=None if self.budget.work is None else self.budget.work * 0.5,
                workers=self.budget.workers,
                seed=self.budget.seed,
            )
            found = model.solve_moves(limits)
            self.budget.spend(found.work)
            if found.host is not None:
                working.take_out(vms)
                for v in vms:
                    working.put(int(v), int(found.host[v]))
                return True
            if whole:
                everything = not len(np.setdiff1d(positions(runs), vms))
                self.proven_infeasible = found.status == "infeasible" and everything
                return False
            size *= 2
        return False

    def _roomiest(self, working: Working, stuck: Indices) -> Indices:
        """Nodes that the stuck VMs may use, most room first; then all others."""
        problem = self.problem
        allowed = np.asarray(problem.domains[problem.domain_of[stuck]].any(axis=0))
        usable = bounds.usable_nodes(problem)
        room = (working.free * best_fit(problem, usable).price).sum(axis=1)
        nodes = positions(usable)
        return nodes[np.lexsort((nodes, -room[nodes], ~allowed[nodes]))].astype(np.int32)
