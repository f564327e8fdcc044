"""The first viable placement: soft rules and groups that stay together are turned into narrower choices, then kernels repair.

Soft rules are kept as if they were hard; those that concern a VM which then finds no room are dropped, in the end all.  Groups that must be
together are given a zone each, and another one where the kernels fail.  What still finds no room is settled exactly, on the problem as it
was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from entropy.placement.anchoring import Anchoring
from entropy.placement.bounds import must_leave, observed_hosts
from entropy.placement.budget import Budget
from entropy.placement.goals import Goals
from entropy.placement.repair import repair
from entropy.placement.reserving import reserved
from entropy.placement.soft import hardened, without_soft
from entropy.placement.widening import Widening
from entropy.placement.working import Working
from entropy.problem.problem import Indices, Problem, positions

__all__ = ["First", "first_viable"]

_EASINGS = 4
"""How often soft rules are dropped one by one, before all are."""
_ZONES = 8
"""How often groups may look for other zones."""
_SHARE = 0.3
"""Of what is left, for the trades of one attempt."""
_SOFT_ZONES, _SOFT_SHARE = 2, 0.02
"""The same where soft rules are kept as if they were hard: what they cannot have is soon told, and mended later."""


@dataclass(frozen=True)
class First:
    """``working``: a placement of ``working.problem``, a tightening of the problem; ``left_out``: VMs that found no node (none: viable)."""

    working: Working
    left_out: Indices
    outcome: Literal["viable", "infeasible", "unknown"]


def first_viable(problem: Problem, goals: Goals, budget: Budget, rng: np.random.Generator) -> First:
    """A viable placement of ``problem`` near the observed one."""
    soft, easings = problem, _EASINGS
    while True:
        effort = (_SOFT_ZONES, _SOFT_SHARE) if soft.has_soft else (_ZONES, _SHARE)
        working, left = _anchored(hardened(soft), budget, rng, *effort)
        if not len(left):
            return First(working, left, "viable")
        if budget.over:
            if soft.has_soft:  # what is asked of everybody may be had at once where wishes took all the time
                working, left = _anchored(without_soft(problem), budget, rng, 1, _SHARE)
            return First(working, left, "unknown" if len(left) else "viable")
        if not soft.has_soft:
            break
        easings -= 1
        soft = _eased(soft, left) if easings else without_soft(soft)
    plain = without_soft(problem)
    left = _with_their_groups(plain, left)
    working.take_out(left)
    widening = Widening(plain, goals, budget)
    if widening(working, left):
        return First(working, left[:0], "viable")
    return First(working, left[working.host[left] < 0], "infeasible" if widening.proven_infeasible else "unknown")


def _eased(problem: Problem, left: Indices) -> Problem:
    """``problem`` without the soft rules that concern the VMs ``left``, or no VM in particular."""
    missing = np.zeros(problem.n_vms, dtype=np.bool_)
    missing[left] = True
    return replace(
        problem,
        limits=tuple(r for r in problem.limits if not (r.weight and missing[r.members].any())),
        together=tuple(r for r in problem.together if not (r.weight and missing[r.members].any())),
        disjoint=tuple(r for r in problem.disjoint if not r.weight),
        set_limits=tuple(r for r in problem.set_limits if not r.weight),
        usage_limits=tuple(r for r in problem.usage_limits if not r.weight),
        preferences=tuple(r for r in problem.preferences if not missing[r.members].any()),
    )


def _anchored(problem: Problem, budget: Budget, rng: np.random.Generator, zones: int, share: float) -> tuple[Working, Indices]:
    """(a placement by kernels, VMs that found no node), with other zones for groups while that may help."""
    anchoring = Anchoring(problem) if problem.together else None
    for _ in range(zones):
        asked = problem if anchoring is None else anchoring.problem()
        tighter = reserved(asked)
        for tight in (tighter, asked) if tighter is not asked else (asked,):
            working = Working(tight, observed_hosts(tight))
            left = repair(working, must_leave(tight)[1], rng, budget.share(share), lambda _working, _left: False)
            if not len(left) or budget.over:
                break
        if not len(left) or anchoring is None or budget.over or not anchoring.otherwise(left):
            break
    return working, left


def _with_their_groups(problem: Problem, left: Indices) -> Indices:
    """``left`` and everybody who must be together with one of them: one alone could not go to another zone."""
    missing = np.zeros(problem.n_vms, dtype=np.bool_)
    missing[left] = True
    families = {g.family for g in problem.together if g.family >= 0 and missing[g.members].any()}
    for group in problem.together:
        if group.family in families or missing[group.members].any():
            missing[group.members] = True
    return np.union1d(left, positions(missing & problem.runs_at_end() & ~problem.held)).astype(np.int32)
