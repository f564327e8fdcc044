"""Placement, anytime: kernels first, from the observed placement; then bounds, neighbourhoods and, where it is small, the whole exactly.

The order of attack: simple bounds; repair; the objective's own kernels; strong bounds and searches where a gap is left; large
neighbourhood search.  It ends on proof or when the budget is spent.
"""

from __future__ import annotations

import numpy as np

from entropy.placement import bounds
from entropy.placement.balance import balance
from entropy.placement.bounds.displacement import strong_moved_bound
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.rules import rules_bound
from entropy.placement.bounds.spread import spread_bound
from entropy.placement.bounds.spread_moves import moved_bound_within
from entropy.placement.bounds.staying import staying
from entropy.placement.bounds.strong import pattern_placement
from entropy.placement.budget import Budget, Share
from entropy.placement.consolidate import consolidate
from entropy.placement.exchanging import exchange_plan
from entropy.placement.executor import outcome
from entropy.placement.first import first_viable
from entropy.placement.goals import Goals, affordable
from entropy.placement.incumbent import Incumbent
from entropy.placement.packing import repack
from entropy.placement.partition import independent_parts
from entropy.placement.placement import Placement
from entropy.placement.repricing import repriced
from entropy.placement.restriction import Part
from entropy.placement.standing import no_worse
from entropy.placement.viability import is_viable
from entropy.placement.whole import pairs_of, solve_whole
from entropy.placement.widening import EXACT_PAIRS
from entropy.placement.working import Working
from entropy.problem.problem import Problem

__all__ = ["place", "place_part", "primary_bound"]


_LARGE = 100_000
"""VMs above which nothing is done that would move most of them for the last node, or that looks at all exchanges of all nodes."""

_EXCHANGED = 12_000
"""VMs up to which nodes haggle for a whole plan of exchanges."""


def primary_bound(problem: Problem, goals: Goals) -> int:
    """Least value of the objective's own goal, by arguments that take no search."""
    match goals.objective:
        case "consolidate":
            return bounds.node_bound(problem, goals.node_cost)
        case "balance":
            return spread_bound(problem, goals)
        case _:
            return 0


def place(problem: Problem, goals: Goals, budget: Budget) -> Placement:
    """Where each VM ends: a viable placement, the best found for ``goals``, with proven bounds."""
    if (given := _no_choice(problem, goals)) is not None:
        return given
    parts = independent_parts(problem, goals)
    if len(parts) < 2:
        return _Search(problem, goals, budget).run()
    return _place_apart(problem, goals, budget, parts)


def _no_choice(problem: Problem, goals: Goals) -> Placement | None:
    """The answer where nothing runs at the end, or nothing can run anywhere."""
    host, runs = bounds.observed_hosts(problem), problem.runs_at_end()
    if not runs.any():
        only = Incumbent(problem, goals, host)
        only.prove(**only.value._asdict())
        return only.placement()
    if not problem.n_nodes:
        return Placement(outcome="infeasible", host=host, left_out=tuple(np.flatnonzero(runs).tolist()))
    return None


def place_part(part: Part, share: Share, seed: int) -> Placement:
    """``place`` for one part, wherever that runs."""
    return _Search(part.problem, part.goals, share.budget(seed)).run()


def _place_apart(problem: Problem, goals: Goals, budget: Budget, parts: list[Part]) -> Placement:
    """Independent parts side by side: their optima and bounds add up.  What time is left goes to the whole."""
    turns = -(-len(parts) // budget.workers)
    share = Share(seconds=budget.remaining() * 0.8 / turns, work=None if budget.work is None else budget.work * 0.8 / len(parts))
    tasks = [budget.executor.submit(place_part, part, share, budget.seed + k) for k, part in enumerate(parts)]
    host = bounds.observed_hosts(problem)
    found = []
    for part, task in zip(parts, tasks, strict=True):
        placed = outcome(task, share.seconds * turns) or place_part(part, _last_share(share, budget), budget.seed)
        found.append(placed)
        host = part.merged(placed.host, host)
    budget.spend(0.0 if share.work is None else share.work * len(parts))
    left = [int(part.vms[v]) for part, placed in zip(parts, found, strict=True) for v in placed.left_out]
    if left:
        proven = any(placed.outcome == "infeasible" for placed in found)
        return Placement(outcome="infeasible" if proven else "unknown", host=host, left_out=tuple(sorted(left)))
    best = Incumbent(problem, goals, host, budget.progress)
    best.prove(soft=sum(p.soft.bound for p in found), primary=sum(p.primary.bound for p in found), moved=sum(p.moved.bound for p in found))
    if all(p.outcome == "optimal" for p in found):
        best.prove_traded(goals.traded(best.value))
    best.reasons |= {reason.split(": ")[0]: reason.split(": ", 1)[1] for p in found for reason in p.reasons}
    budget.progress(best.sentence())
    if not best.optimal and not budget.over:
        _improve(best, budget)
    return best.placement()


def _last_share(share: Share, budget: Budget) -> Share:
    """For a part that got lost: no more than what is left by now."""
    return Share(seconds=min(share.seconds, max(budget.remaining() * 0.5, 0.0)), work=share.work)


def _improve(best: Incumbent, budget: Budget) -> None:
    """Large neighbourhood search."""
    from entropy.placement.improve import improve  # here: what ends before needs no solver

    improve(best, bounds.usable_nodes(best.problem) & ~best.problem.untouchable, budget)


class _Search:
    def __init__(self, problem: Problem, goals: Goals, budget: Budget) -> None:
        self.problem, self.goals, self.budget = problem, goals, budget
        self.rng = np.random.default_rng(budget.seed)
        self.leaving, _ = bounds.must_leave(problem)
        self.least_by_rules = rules_bound(problem)
        self.least_primary = primary_bound(problem, goals)
        self.strict = goals.objective == "consolidate" and goals.exchange is None
        """Strict priorities: only placements with no more nodes than the best compete with it, and the bound on moved memory knows."""

    def run(self) -> Placement:
        """All of it."""
        problem, budget = self.problem, self.budget
        first = first_viable(problem, self.goals, budget, self.rng)
        if first.outcome != "viable":
            return Placement(outcome=first.outcome, host=first.working.host, left_out=tuple(first.left_out.tolist()))
        self.best = Incumbent(problem, self.goals, first.working.host, budget.progress)
        budget.progress(self.best.sentence())
        self._prove_simply()
        self._towards_goal(first.working)
        attacks = [self._whole, self._fewer_nodes, self._neighbourhoods]
        early = not self.strict or not self.best.gaps.primary  # the number of nodes is settled: the bound may end it all
        attacks.insert(0 if early else 2, self._prove_moved)
        for attack in attacks:
            self._prove_simply()
            if self.best.optimal or budget.over:
                break
            attack()
        return self.best.placement()

    def _prove_simply(self) -> None:
        best = self.best
        best.prove(primary=self.least_primary, why="what all VMs together need")
        capped = not best.gaps.soft  # else something that breaks fewer soft rules may use more nodes, and move less
        most = affordable(self.goals.node_cost, best.value.primary) if self.strict and capped else None
        best.prove(moved=bounds.moved_bound(self.problem, self.leaving, most), why="what must leave each node")
        best.prove(moved=self.least_by_rules, why="what rules drive off its node")
        if self.goals.objective == "balance" and self.goals.exchange is None and capped:
            within = moved_bound_within(self.problem, self.goals, best.value.primary)
            best.prove(moved=within, why="what must leave or enter each node for so small a spread")

    def _towards_goal(self, working: Working) -> None:
        """The kernels of the objective."""
        if self.best.optimal or self.budget.over:
            return
        goals, host = self.goals, self.best.host
        over = self.budget.share(0.7 if goals.objective == "balance" else 0.25)  # what comes after helps a large balance little
        stale = bool(self.problem.together) and not is_viable(working.problem, host)  # some group was given another zone at last
        if stale or self.best.value.soft:  # the first placement's problem has dropped rules, and kernels know hard ones only
            working = Working(no_worse(self.problem, host), host)
        if goals.objective == "balance":
            self.best.offer(balance(working, goals, over, self.rng).host)
        elif goals.objective == "consolidate":
            kept, least = bounds.kept_weight(self.problem, self.leaving), self.least_primary
            if goals.exchange is not None:  # nodes that are worth less than the memory that leaving them moves
                per_node, per_move = goals.exchange
                least = max(least, int(goals.node_cost[kept * per_move > goals.node_cost * per_node].sum()))
            least_moved = bounds.moved_bound(self.problem, self.leaving, affordable(goals.node_cost, least))
            self.best.offer(consolidate(working, kept, goals.node_cost, least, least_moved, self.rng, over).host)

    def _whole(self) -> None:
        if pairs_of(self.problem) <= EXACT_PAIRS:
            solve_whole(self.best, self.budget, self._prove_simply)

    def _fewer_nodes(self) -> None:
        """Bounds that take a while, and searches that pack, where a node less may be had."""
        best, budget, cost = self.best, self.budget, self.goals.node_cost
        if not self.strict or not best.gaps.primary or best.problem.has_soft or self.problem.n_vms > _LARGE:
            return
        effort = Effort(budget.remaining, budget.work, best.value.primary).share(0.15)
        found, by_patterns = pattern_placement(self.problem, cost, effort)
        budget.spend(effort.spent)
        best.prove(primary=found.bound, why=found.source)
        if best.gaps.primary and not budget.over:
            share = budget.part(0.7)
            given = share.work or 0.0
            packed = repack(self.problem, best.host, cost, best.bound.primary, share)
            budget.settle(share, given)
            if packed.host is not None:
                best.offer(packed.host)
            best.prove(primary=packed.bound, why="column generation")
        if best.gaps.primary and by_patterns is not None and is_viable(self.problem, by_patterns):
            best.offer(by_patterns)  # at last: it is as good in nodes as can be, but knows little of where VMs are

    def _prove_moved(self) -> None:
        """The bound on moved memory that counts what arrivals displace."""
        best, budget = self.best, self.budget
        if not best.gaps.moved:
            return
        most = best.value.primary if self.strict and not best.gaps.soft else None
        effort = Effort(budget.remaining, budget.work, best.value.moved).share(0.2)
        stays = staying(self.problem, self.goals.node_cost, most, effort)
        budget.spend(effort.spent)
        if stays is not None:
            best.prove(moved=stays.bound, why="which whole arrangements of nodes keep most memory where it is")
            if stays.host is not None and is_viable(self.problem, stays.host):
                best.offer(stays.host)
        if not best.gaps.moved or budget.over or self.problem.n_vms > _LARGE:
            return
        began = budget.remaining()
        found = strong_moved_bound(
            self.problem,
            lambda: budget.remaining() - began * 0.6,
            leaving=self.leaving,
            work=None if budget.work is None else budget.work * 0.4,
            enough=best.value.moved,
            node_cost=None if most is None else self.goals.node_cost,
            most_cost=most,
        )
        budget.spend(found.work)
        best.prove(moved=found.value, why=found.why)
        if found.price is None or found.market is None or self.goals.objective == "balance":
            return
        if not self.strict and best.gaps.moved and not budget.over:
            host = repriced(self.problem, found.price, self.rng, budget.share(0.2), found.value)
            if host is not None:
                best.offer(host)
        if best.gaps.moved and not budget.over and self.problem.n_vms <= _EXCHANGED:
            seconds = budget.remaining() * 0.3
            host, work = exchange_plan(self.problem, found.market, found.price, self.rng, lambda: seconds, budget.share(0.2))
            budget.spend(work)
            if host is not None:
                best.offer(host)

    def _neighbourhoods(self) -> None:
        _improve(self.best, self.budget)
