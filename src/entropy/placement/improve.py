"""Large neighbourhood search: small parts of the placement are solved exactly, one batch after another, and what is better is kept.

Which neighbourhood is tried follows from what it has gained so far (adaptive large neighbourhood search, Ropke & Pisinger 2006); its
size grows while parts are solved to the end without gain and shrinks when they are not.  Parts of one batch share no node and no rule, so
they are solved at the same time and merged in order: the answer depends on the seed and the number of workers, not on who is quicker.
A huge cluster is cut, and each cut is searched in this way by itself; then it is cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from entropy.placement.budget import Budget, Share
from entropy.placement.exact import Exact, Limits
from entropy.placement.executor import outcome
from entropy.placement.goals import value_of
from entropy.placement.incumbent import Incumbent
from entropy.placement.neighbourhoods import KINDS, Kind, View
from entropy.placement.partition import cuts
from entropy.placement.restriction import Part, Restrictor
from entropy.problem.problem import Bools, Indices

__all__ = ["improve", "improve_part", "solve_part"]

_WORK = 0.15
"""CP-SAT's deterministic time for one part."""
_LEAST_WORK = 0.01
"""What a part costs at least: choosing it, building its model."""
_SECONDS = 2.0
_SIZES = (3, 6, 40)
"""Nodes of a neighbourhood: least, at first, most."""
_PAIRS = 12_000
"""VM-node pairs of a part, at most."""
_HUGE = 1_500
"""Nodes above which a cluster is cut first."""
_IDLE = 200
"""Choices in a row without a neighbourhood, after which there is none."""
_FORGET = 0.8
"""Share of a neighbourhood's merit that is kept from one try to the next."""


@dataclass
class _Arm:
    """A neighbourhood with its merit and its size."""

    goal: str
    kind: Kind
    size: float = _SIZES[1]
    merit: float = 1.0

    def learn(self, *, gained: bool, ended: bool) -> None:
        self.merit = max(_FORGET * self.merit + (1 - _FORGET) * (1.0 if gained else 0.0), 0.05)
        if not gained:
            self.size = float(np.clip(self.size * (1.1 if ended else 0.8), _SIZES[0], _SIZES[2]))


def improve(best: Incumbent, open_nodes: Bools, budget: Budget) -> None:
    """Better placements into ``best`` until it is proven, or the budget is spent.  Only ``open_nodes`` bool[N] are looked at."""
    rng = np.random.default_rng(budget.seed)
    restrictor = Restrictor(best.problem, best.goals)
    alone = bool(best.problem.set_limits or best.problem.usage_limits)  # such rules join every part with every other
    if int(open_nodes.sum()) > _HUGE and not alone:
        _improve_cuts(best, open_nodes, budget, restrictor, rng)
        return
    arms = [_Arm(goal, kind) for goal, kinds in KINDS.items() for kind in kinds]
    idle = 0
    while not best.optimal and not budget.over and idle < _IDLE:
        view = View(best.problem, best.goals, best.host, open_nodes)
        batch = list(_batch(view, best, restrictor, arms, rng, 1 if alone else budget.workers))
        idle = 0 if batch else idle + 1
        seconds = min(_SECONDS, budget.remaining()) if budget.work is None else float("inf")  # else a slow machine answers otherwise
        limits = Limits(seconds=seconds, work=_WORK, workers=budget.workers if alone else 1, seed=int(rng.integers(1 << 30)))
        tasks = [budget.executor.submit(solve_part, part, arm.goal, limits) for arm, part in batch]
        for (arm, part), task in zip(batch, tasks, strict=True):
            found = outcome(task, limits.seconds)
            if found is None:
                continue
            budget.spend(max(found.work, _LEAST_WORK))
            gained = found.host is not None and best.offer(part.merged(found.host, best.host))
            arm.learn(gained=gained, ended=found.status in ("optimal", "infeasible"))


def _improve_cuts(best: Incumbent, open_nodes: Bools, budget: Budget, restrictor: Restrictor, rng: np.random.Generator) -> None:
    """The same in every part of a cut, each for a fair share of what is left; then the next cut."""
    while not best.optimal and not budget.over:
        view = View(best.problem, best.goals, best.host, open_nodes)
        groups: set[int] = set()
        parts = []
        for nodes in cuts(view, _HUGE // 2, rng):
            part = restrictor.restrict(best.host, nodes, frozen=_extremes(view, nodes) if best.goals.objective == "balance" else ())
            if not part.groups & groups:  # what shares a rule waits for the next cut
                groups |= part.groups
                parts.append(part)
        turns = -(-len(parts) // budget.workers)
        share = Share(
            seconds=budget.remaining() * 0.5 / turns, work=None if budget.work is None else max(budget.work * 0.5 / len(parts), _WORK)
        )
        tasks = [budget.executor.submit(improve_part, part, share, int(rng.integers(1 << 30))) for part in parts]
        for part, task in zip(parts, tasks, strict=True):
            if (found := outcome(task, share.seconds * turns)) is None:
                continue
            host, work = found
            budget.spend(max(work, _LEAST_WORK))
            best.offer(part.merged(host, best.host))


def improve_part(part: Part, share: Share, seed: int) -> tuple[Indices, float]:
    """(the part's placement after so much search, work spent)."""
    best = Incumbent(part.problem, part.goals, part.host)
    budget = share.budget(seed)
    open_nodes = np.arange(part.problem.n_nodes) < part.free_nodes
    improve(best, open_nodes, budget)
    return best.host, 0.0 if share.work is None or budget.work is None else share.work - budget.work


def _batch(
    view: View, best: Incumbent, restrictor: Restrictor, arms: list[_Arm], rng: np.random.Generator, most: int
) -> Iterator[tuple[_Arm, Part]]:
    """Up to ``most`` parts that share no node and no rule."""
    goals = [goal for goal, gap in zip(("soft", best.goals.objective, "moved"), best.gaps, strict=True) if gap > 0]
    useful = [arm for arm in arms if arm.goal in goals]
    merit = np.array([arm.merit for arm in useful])
    nodes: set[int] = set()
    groups: set[int] = set()
    for _ in range(4 * most):
        arm = useful[int(rng.choice(len(useful), p=merit / merit.sum()))]
        chosen = arm.kind(view, rng, round(arm.size))
        chosen = chosen[~np.isin(chosen, list(nodes))] if nodes else chosen
        if len(chosen) < 2:
            continue
        part = restrictor.restrict(best.host, chosen, frozen=_extremes(view, chosen) if best.goals.objective == "balance" else ())
        if part.free_vms * part.free_nodes > _PAIRS:
            arm.size = max(arm.size * 0.8, _SIZES[0])
            continue
        if part.groups & groups:
            continue
        nodes.update(chosen.tolist())
        groups |= part.groups
        yield arm, part
        most -= 1
        if not most:
            return


def _extremes(view: View, inside: Indices) -> list[int]:
    """The most and the least loaded node outside, per resource: a part cannot see a spread without them."""
    outside = view.candidates[~np.isin(view.candidates, inside)]
    found: set[int] = set()
    for r in range(view.free.shape[1] if len(outside) else 0):
        room = view.free[outside, r] / np.maximum(view.problem.capacity[outside, r], 1)
        found |= {int(outside[np.argmin(room)]), int(outside[np.argmax(room)])}
    return sorted(found)


def solve_part(part: Part, goal: str, limits: Limits) -> Exact:
    """The part's best placement for ``goal`` (a key of ``KINDS``), no worse in the goals before it; its ``host`` is in the part's nodes."""
    from entropy.placement.exact import ExactModel
    from entropy.placement.lexicographic import solve_step

    problem, goals, now = part.problem, part.goals, value_of(part.problem, part.goals, part.host)
    vms, nodes = np.arange(problem.n_vms, dtype=np.int32), np.arange(problem.n_nodes, dtype=np.int32)
    model = ExactModel(problem, part.host, vms, nodes, goals.node_cost)
    model.hint(part.host)
    if goal == "soft":
        return solve_step(model, goals, "soft", now, limits)
    if goals.exchange is not None:
        return solve_step(model, goals, "traded", now, limits)
    if goal == "consolidate":  # any node less will do: the cheapest way there
        return solve_step(model, goals, "moved", now, limits, gain=1)
    return solve_step(model, goals, "primary" if goal == "balance" else "moved", now, limits)
