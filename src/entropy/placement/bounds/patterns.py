"""Whole numbers of patterns: how many VMs of each class on how many nodes of each class, at least cost, proven where possible.

The bound is column generation's.  Where all maximal patterns can be listed, the covering programme over them is the problem itself, and
it is decided exactly (CP-SAT, in integers) if rounding leaves a gap.  Otherwise patterns are fixed one after the other, with new ones
generated for what remains (diving), and the covering programme is solved over the patterns found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entropy.placement.bounds.classes import Classes
from entropy.placement.bounds.columns import Columns, Pool, generate, lattice
from entropy.placement.bounds.cover import Floats
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.linear import INFINITE, linear
from entropy.problem.problem import Integers

__all__ = ["Uses", "all_patterns", "dive", "solve_cover", "whole_patterns"]

_LISTED, _LISTED_CLASSES = 20_000, 40
"""Patterns, and classes of VMs, up to which all patterns are listed."""
_FEW = 1_000
"""Maximal patterns up to which the covering programme over them is tried before dives."""
_ATTEMPTS, _DIVING = 12, 0.7
"""Dives, each with other first choices, and the part of the effort that they may take."""
_DIVE_ROUNDS, _DIVE_STEPS = (8, 15), 20_000
_NEARLY = 0.2
"""What may be missing from a use that is fixed as whole, in the first and quick dive."""
_EXACT_PATTERNS = 5_000
_BRANCH = 20.0
"""Elementary steps of a branch, per entry."""
_NODES = 20_000
"""Branches of the covering programme over the patterns found."""


@dataclass(frozen=True)
class Uses:
    """``times[p]`` uses of pattern p (``node_class`` int64[P], ``patterns`` int64[P, K]); ``cost`` of the nodes taken into use."""

    node_class: Integers
    patterns: Integers
    times: Integers
    cost: int


def whole_patterns(classes: Classes, found: Columns, known: int, effort: Effort) -> tuple[int, Uses | None]:
    """(bound on the cost of nodes taken into use, the cheapest uses of patterns found) from the relaxation ``found``; ``known``: a
    bound proven otherwise."""
    bound = max(found.bound, known)
    listed = all_patterns(classes, _LISTED) if len(classes.count) <= _LISTED_CLASSES else None
    best = None
    if listed is not None and len(listed) <= _FEW:
        best = solve_cover(classes, listed, bound, effort.share(0.5), _NODES)
        if best is not None and best.cost <= bound:
            return bound, best
    dives = effort.share(_DIVING)
    seen = Pool()
    for attempt in range(_ATTEMPTS):
        tried = dive(classes, found, dives if attempt else effort, attempt, seen)
        if tried is not None and (best is None or tried.cost < best.cost):
            best = tried
        if dives.over or (best is not None and best.cost <= bound):
            break
    if best is None or best.cost > bound:
        for m, pattern in zip(found.pool.node_class, found.pool.patterns, strict=True):
            seen.add(m, pattern)
        tried = solve_cover(classes, seen, bound, effort.share(_DIVING), _NODES, best)
        if tried is not None and (best is None or tried.cost < best.cost):
            best = tried
    if listed is not None and len(listed) <= _EXACT_PATTERNS and not effort.over and (best is None or best.cost > bound):
        return _decide(classes, listed, bound, best, effort)
    return bound, best


def all_patterns(classes: Classes, most: int) -> Pool | None:
    """Every maximal pattern of every class of nodes; ``None`` where there are more than ``most`` patterns (maximal or not)."""
    pool = Pool()
    seen = 0
    n = len(classes.count)
    demand = [[int(d) for d in row] for row in classes.demand]
    for m, limits in enumerate(classes.most.tolist()):
        room = [int(c) for c in classes.room[m]]
        stack: list[tuple[int, tuple[int, ...], list[int]]] = [(0, (), room)]
        while stack:
            k, taken, left = stack.pop()
            while k < n and limits[k] == 0:
                k, taken = k + 1, (*taken, 0)
            if k == n:
                seen += 1
                if seen > most:
                    return None
                if all(limits[j] == taken[j] or any(d > c for d, c in zip(demand[j], left, strict=True)) for j in range(n) if limits[j]):
                    pool.add(m, np.array(taken, dtype=np.int64))
                continue
            room_for = min([limits[k], *(c // d for d, c in zip(demand[k], left, strict=True) if d > 0)])
            stack += [(k + 1, (*taken, x), [c - x * d for d, c in zip(demand[k], left, strict=True)]) for x in range(room_for + 1)]
    return pool


def solve_cover(classes: Classes, pool: Pool, bound: int, effort: Effort, nodes: int, known: Uses | None = None) -> Uses | None:
    """Cheapest whole uses of the pool's patterns that cover every class, as far as ``nodes`` branches of HiGHS tell; ``None``: none."""
    if not len(pool):
        return None
    k, m, n = len(classes.count), len(classes.available), len(pool)
    columns = pool.columns(k, range(n))
    step = lattice(classes)
    node_class = np.array(pool.node_class, dtype=np.int64)
    lower, upper = np.concatenate((classes.count, np.full(m, -INFINITE))), np.concatenate((np.full(k, INFINITE), classes.available))
    highs = linear(classes.cost[node_class] // step, classes.available[node_class], lower, upper, columns, whole=True)
    branch = _BRANCH * (len(columns.index) + n)
    highs.setOptionValue("mip_max_nodes", int(min(nodes, max(effort.steps_left / branch, 1))))
    highs.setOptionValue("objective_target", bound / step + 1e-6)
    seconds = effort.remaining()
    if seconds < float("inf"):
        highs.setOptionValue("time_limit", max(seconds, 0.01))
    if known is not None:
        start = highs.getSolution()
        start.col_value = _times_of(known, pool).tolist()
        highs.setSolution(start)
    highs.run()
    info = highs.getInfo()
    effort.spend(branch * max(info.mip_node_count, 1))
    if info.primal_solution_status != 2:  # feasible
        return None
    times = np.rint(np.array(highs.getSolution().col_value)).astype(np.int64)
    return _checked(classes, node_class, np.array(pool.patterns), times)


def _times_of(uses: Uses, pool: Pool) -> Integers:
    """int64[P]: how often the pool's patterns are used, of those of ``uses`` that are in it."""
    at = {(m, pattern.tobytes()): p for p, (m, pattern) in enumerate(zip(pool.node_class, pool.patterns, strict=True))}
    times = np.zeros(len(pool), dtype=np.int64)
    for m, pattern, n in zip(uses.node_class.tolist(), uses.patterns, uses.times.tolist(), strict=True):
        if (p := at.get((m, pattern.tobytes()))) is not None:
            times[p] += n
    return times


def _checked(classes: Classes, node_class: Integers, patterns: Integers, times: Integers) -> Uses | None:
    """The uses as whole numbers, if they do cover."""
    taken = np.bincount(node_class, weights=times, minlength=len(classes.available)).astype(np.int64)
    if (times < 0).any() or (times @ patterns < classes.count).any() or (taken > classes.available).any():
        return None
    used = times > 0
    return Uses(node_class[used], patterns[used], times[used], int(classes.cost @ taken))


def _decide(classes: Classes, pool: Pool, bound: int, best: Uses | None, effort: Effort) -> tuple[int, Uses | None]:
    """The covering programme over all maximal patterns by CP-SAT: its bound is a bound on the problem."""
    from ortools.sat.python import cp_model

    from entropy.placement.exact.solving import interruptible

    node_class, patterns = np.array(pool.node_class, dtype=np.int64), np.array(pool.patterns)
    step = lattice(classes)
    model = cp_model.CpModel()
    times = [model.new_int_var(0, int(classes.available[m]), "") for m in node_class]
    for k in np.flatnonzero(classes.count):
        model.add(sum(int(patterns[p, k]) * times[p] for p in np.flatnonzero(patterns[:, k])) >= int(classes.count[k]))
    for m in range(len(classes.available)):
        model.add(sum(times[p] for p in np.flatnonzero(node_class == m)) <= int(classes.available[m]))
    cost = sum(int(classes.cost[m]) // step * times[p] for p, m in enumerate(node_class))
    model.add(cost >= bound // step)
    if best is not None:
        model.add(cost <= best.cost // step)
        for time, n in zip(times, _times_of(best, pool).tolist(), strict=True):
            model.add_hint(time, n)
    model.minimize(cost)
    search = cp_model.CpSolver()
    search.parameters.num_workers = 1
    search.parameters.random_seed = 0
    if effort.remaining() < float("inf"):
        search.parameters.max_time_in_seconds = max(effort.remaining(), 0.01)
    if effort.work is not None:
        search.parameters.max_deterministic_time = max(effort.work_left, 0.01)
    status = interruptible(search, model)
    effort.spend_units(search.response_proto.deterministic_time)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found = _checked(classes, node_class, patterns, np.array([search.value(t) for t in times], dtype=np.int64))
        best = found if found is not None and (best is None or found.cost < best.cost) else best
    if status == cp_model.INFEASIBLE:
        return bound, best
    return max(bound, round(search.best_objective_bound) * step), best


def dive(classes: Classes, found: Columns, effort: Effort, attempt: int, seen: Pool) -> Uses | None:
    """Fix the relaxation's whole uses, then its largest fraction, generate patterns for what remains, and so on.

    The first ``attempt`` is a quick one, the second thorough, each one after that begins with another pattern.  ``seen`` is given
    the patterns that the relaxations used.
    """
    left, pool, again = classes, found.pool, found
    uses = _padded(found.uses, len(pool))
    patterns: list[Integers] = []
    node_class: list[int] = []
    times: list[int] = []
    first = True
    while left.count.any():
        if not uses.any():
            return None
        if effort.over:
            whole = _greedy(left, pool, again.value)
        else:
            whole = np.floor(uses + (1e-6 if attempt else _NEARLY)).astype(np.int64)
            if first and attempt > 1:
                whole[:] = 0
                whole[np.argsort(-uses, kind="stable")[min(attempt - 1, len(uses) - 1)]] = 1
            elif not whole.any():
                whole[int(np.argmax(uses))] = 1
            first = False
        count, available = np.zeros_like(left.count), np.zeros_like(left.available)
        for p in np.flatnonzero(whole):
            patterns.append(pool.patterns[p])
            node_class.append(pool.node_class[p])
            times.append(int(whole[p]))
            count += whole[p] * pool.patterns[p]
            available[pool.node_class[p]] += whole[p]
        left = left.without(count, available)
        pool = _proper(pool, left)
        if not left.count.any() or effort.over:
            uses = np.ones(len(pool))
            continue
        again = generate(left, pool, effort, value=again.value, rounds=_DIVE_ROUNDS[attempt > 0], thorough=_DIVE_STEPS)
        uses = _padded(again.uses, len(pool))
        for p in np.flatnonzero(uses > 1e-9):
            seen.add(pool.node_class[p], pool.patterns[p])
    return _checked(classes, np.array(node_class, dtype=np.int64), np.array(patterns), np.array(times, dtype=np.int64))


def _greedy(left: Classes, pool: Pool, value: Floats) -> Integers:
    """One more use: of the pattern that is worth most per cost."""
    worth = np.array([float(pattern @ (value + 1e-6)) for pattern in pool.patterns])
    whole = np.zeros(len(pool), dtype=np.int64)
    whole[int(np.argmax(worth / (left.cost[pool.node_class] + 1e-6)))] = 1
    return whole


def _padded(uses: Floats, n: int) -> Floats:
    out = np.zeros(n)
    out[: len(uses)] = uses
    return out


def _proper(pool: Pool, left: Classes) -> Pool:
    """The patterns cut to what is left to place."""
    out = Pool()
    for m, pattern in zip(pool.node_class, pool.patterns, strict=True):
        if left.available[m] > 0 and (cut := np.minimum(pattern, left.count)).any():
            out.add(m, cut)
    return out
