"""Least moved memory at a given cost of nodes, where VMs fall into few classes: a linear programme over nodes and whole patterns.

What a node that takes a pattern keeps is the memory of those of its own VMs that the pattern has room for.  Nodes alike in class and in
the VMs that they run now are one group; how many nodes of each group take each maximal pattern is chosen such that all VMs are covered,
the nodes cost no more than given, and most is kept.  Its linear programme (columns generated from the list of all patterns) is a bound,
proven with integers from its rounded duals as in ``columns``; whole solutions are placements.  Often the two meet.

Capacities, sets of nodes and held VMs are respected, other rules are not: the bound holds with them, the placement is to be checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from entropy.placement.bounds.classes import Classes, alike, merged
from entropy.placement.bounds.columns import Pool
from entropy.placement.bounds.cover import Floats
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.linear import INFINITE, Sparse, linear
from entropy.placement.bounds.matching import residents, settled
from entropy.placement.bounds.parts import given
from entropy.placement.bounds.patterns import all_patterns
from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["Staying", "staying"]

_CLASSES, _NODE_CLASSES, _PATTERNS = 40, 60, 20_000
"""Classes of VMs, of nodes, and patterns, up to which this is tried."""
_CELLS = 10_000_000
"""Nodes x classes of VMs."""
_PAIRS = 20_000_000
"""Groups x patterns."""
_UNIT = float(1 << 44)
_ROUNDS, _PER_GROUP = 200, 2
_BRANCH, _BRANCHES = 30.0, 1_000
_WHOLE_COLUMNS = 4_000
"""Columns up to which nothing needs to be fixed beforehand."""
_GAPS = (0.01, 0.05, 0.3)
"""Whole solutions are sought among columns whose reduced cost is at most such a share of the memory that moves."""


@dataclass(frozen=True)
class Staying:
    """``bound``: proven least moved memory, in the problem's units; ``host`` int32[V]: a placement within the cost, or ``None``."""

    bound: int
    host: Indices | None = None


def staying(problem: Problem, node_cost: Integers, most_cost: int | None, effort: Effort) -> Staying | None:
    """Bound and placement with nodes in use that cost at most ``most_cost`` (``None``: any); ``None`` where there are too many classes.

    The effort's target is the moved memory that is to be proven.
    """
    known = given(problem, node_cost)
    home = observed_hosts(problem)
    gone = (known.on >= 0) & (home >= 0) & (known.on != home)
    fixed = int(problem.weight[gone].sum())
    if not len(known.free):
        return Staying(fixed, known.on.copy())
    classes = merged(problem, known, most_classes=_CLASSES, most_nodes=_NODE_CLASSES)
    small = classes is not None and problem.n_nodes * len(classes.vms) <= _CELLS
    pool = all_patterns(classes, _PATTERNS) if classes is not None and small else None
    if classes is None or pool is None:
        return None
    programme = _Programme(problem, classes, pool, None if most_cost is None else most_cost - known.base)
    if programme.pairs > _PAIRS:
        return None
    total = int(problem.weight[known.free[home[known.free] >= 0]].sum())
    if not programme.relax(effort):
        return Staying(fixed)
    most = programme.bound()
    step = max(math.gcd(*programme.weight.tolist()), 1)
    bound = max(-(-(total - most) // step) * step, 0)
    host = None
    if effort.target is None or fixed + bound < effort.target:
        pattern_on = programme.whole(total - bound, max(total - most, step), effort)
        host = None if pattern_on is None else settled(problem, known, classes, pattern_on)
    return Staying(fixed + bound, host)


class _Programme:
    """Rows: groups of nodes, classes of nodes, the cost, classes of VMs.  A column is a pattern on a node of a group, which keeps what they
    have in common, or of a class of nodes (after the groups), which keeps nothing."""

    def __init__(self, problem: Problem, classes: Classes, pool: Pool, most_cost: int | None) -> None:
        self.classes, self.most_cost = classes, most_cost
        self.weight = np.array([int(problem.weight[members[0]]) for members in classes.vms], dtype=np.int64)
        have = residents(problem, classes)
        self.patterns = np.array(pool.patterns)
        of_class = np.array(pool.node_class, dtype=np.int64)
        self.listed = [np.flatnonzero(of_class == m) for m in range(len(classes.nodes))]
        self.groups: list[tuple[int, Indices, Integers]] = []
        """(class of nodes, members, what runs there)"""
        for m, nodes in enumerate(classes.nodes):
            order, starts = alike(np.minimum(have[nodes], classes.most[m]))
            for part in np.split(order, starts[1:]):
                runs = np.minimum(have[nodes[part[0]]], classes.most[m])
                if runs.any():
                    self.groups.append((m, nodes[part], runs))
        self.pairs = sum(len(self.listed[m]) for m, _, _ in self.groups)

    def _kept(self, g: int) -> Integers:
        """int64[patterns of its class]: what a node of the group keeps with each."""
        m, _, runs = self.groups[g]
        kept = np.zeros(len(self.listed[m]), dtype=np.int64)
        for k in np.flatnonzero(runs):
            kept += self.weight[k] * np.minimum(self.patterns[self.listed[m], k], runs[k])
        return kept

    def relax(self, effort: Effort) -> bool:
        """Solve the linear programme; false where it has no solution, or effort ran out before there was one."""
        n_groups, n_classes, n_vms = len(self.groups), len(self.classes.nodes), len(self.weight)
        self.kept = [self._kept(g) for g in range(n_groups)]
        self.scale = max(float(max((kept.max(initial=0) for kept in self.kept), default=0)), 1.0)
        self.first_vm = n_groups + n_classes + 1
        self.columns: list[tuple[int, int, int]] = []
        """(group, or number of groups + class of nodes; pattern; what is kept)"""
        known: set[tuple[int, int]] = set()
        fresh = [(n_groups + m, int(p), 0) for m, listed in enumerate(self.listed) for p in listed]
        for g, (m, _, _) in enumerate(self.groups):
            best = int(self.kept[g].argmax())
            fresh.append((g, int(self.listed[m][best]), int(self.kept[g][best])))
        size = [len(nodes) for _, nodes, _ in self.groups]
        top = INFINITE if self.most_cost is None else float(self.most_cost)
        lower = [-INFINITE] * self.first_vm + self.classes.count.tolist()
        upper = [*size, *self.classes.available.tolist(), top, *([INFINITE] * n_vms)]
        highs = None
        for _ in range(_ROUNDS):
            self.columns += fresh
            known |= {(g, p) for g, p, _ in fresh}
            sparse = self._sparse(fresh)
            cost = np.array([-kept / self.scale for _, _, kept in fresh])
            if highs is None:
                highs = linear(cost, np.full(len(fresh), INFINITE), lower, upper, sparse)
            else:
                starts, index = np.array(sparse.starts, dtype=np.int32), np.array(sparse.index, dtype=np.int32)
                free = np.full(len(fresh), INFINITE)
                highs.addCols(len(fresh), cost, np.zeros(len(fresh)), free, len(index), starts, index, np.array(sparse.entry))
            highs.run()
            info = highs.getInfo()
            effort.spend(2.0 * (info.simplex_iteration_count + 1) * (len(self.columns) + len(lower)) + self.pairs)
            if info.primal_solution_status != 2:  # feasible
                return False
            self.times = np.array(highs.getSolution().col_value, dtype=np.float64)
            dual = np.array(highs.getSolution().row_dual, dtype=np.float64)
            self.value = np.maximum(dual[self.first_vm :], 0.0)
            self.price = max(-float(dual[self.first_vm - 1]), 0.0)
            self.group_price = np.maximum(-dual[:n_groups], 0.0)
            self.class_price = np.maximum(-dual[n_groups : n_groups + n_classes], 0.0)
            if effort.over:
                break
            fresh = self._better(known)
            if not fresh:
                break
        return True

    def _sparse(self, columns: list[tuple[int, int, int]]) -> Sparse:
        out, n = Sparse(), len(self.groups)
        for g, p, _ in columns:
            m = self.groups[g][0] if g < n else g - n
            held = np.flatnonzero(self.patterns[p])
            rows = [*([g] if g < n else []), n + m, self.first_vm - 1, *(self.first_vm + held).tolist()]
            cost = 0.0 if self.most_cost is None else float(self.classes.cost[m])
            out.add(rows, [*([1.0] if g < n else []), 1.0, cost, *self.patterns[p][held].tolist()])
        return out

    def _gain(self, g: int) -> Floats:
        """float64[patterns of its class]: by how much each is better than what the group's nodes cost at these duals."""
        m = self.groups[g][0]
        worth = self.patterns[self.listed[m]] @ self.value
        price = self.price * float(self.classes.cost[m]) + self.class_price[m] + self.group_price[g]
        return np.asarray(self.kept[g] / self.scale + worth - price)

    def _better(self, known: set[tuple[int, int]]) -> list[tuple[int, int, int]]:
        out = []
        for g, (m, _, _) in enumerate(self.groups):
            gain = self._gain(g)
            for best in np.argsort(-gain, kind="stable")[:_PER_GROUP]:
                p = int(self.listed[m][best])
                if gain[best] > 1e-7 and (g, p) not in known:
                    out.append((g, p, int(self.kept[g][best])))
        return out

    def bound(self) -> int:
        """Most memory that can be kept: for any values of VMs and prices of nodes, what they leave to gain.  In integers."""
        unit = max(int(_UNIT / self.scale), 1)
        value = np.floor(self.value * self.scale * unit).astype(np.int64)
        price = 0 if self.most_cost is None else math.ceil(self.price * self.scale * unit)
        class_price = np.floor(self.class_price * self.scale * unit).astype(np.int64)
        total = price * (self.most_cost or 0) - sum(v * n for v, n in zip(value.tolist(), self.classes.count.tolist(), strict=True))
        for m, listed in enumerate(self.listed):  # a node that keeps nothing costs its class' price, at least what it gains
            least = int((self.patterns[listed] @ value).max(initial=0)) - price * int(self.classes.cost[m])
            total += max(least, int(class_price[m]), 0) * int(self.classes.available[m])
            class_price[m] = max(least, int(class_price[m]), 0)
        for g, (m, nodes, _) in enumerate(self.groups):
            gain = int((self.kept[g] * unit + self.patterns[self.listed[m]] @ value).max(initial=0))
            total += max(gain - price * int(self.classes.cost[m]) - int(class_price[m]), 0) * len(nodes)
        return int(total // unit)

    def whole(self, enough: int, moving: int, effort: Effort) -> dict[int, Integers] | None:
        """Node -> pattern, from the best whole solution found over columns that are nearly good enough; ``enough`` kept is the best."""
        best: tuple[int, dict[int, Integers]] | None = None
        whole = np.floor(self.times + 1e-6).astype(np.int64)
        sure = {(g, p): int(n) for (g, p, _), n in zip(self.columns, whole, strict=False) if n > 0}
        for gap, fixed in ((gap, fixed) for gap in _GAPS for fixed in (sure, {})):
            if effort.over or (best is not None and best[0] >= enough):
                break
            columns = self._near(gap * moving / self.scale)
            if not fixed and len(columns) > _WHOLE_COLUMNS:
                continue
            tried = self._solved(columns, fixed, enough, effort.share(0.5))
            if tried is not None and (best is None or tried[0] > best[0]):
                best = tried
        return None if best is None else best[1]

    def _near(self, gap: float) -> list[tuple[int, int, int]]:
        """Columns whose reduced cost is at most ``gap``."""
        n = len(self.groups)
        out = []
        for m, listed in enumerate(self.listed):
            gain = self.patterns[listed] @ self.value - self.price * float(self.classes.cost[m]) - self.class_price[m]
            out += [(n + m, int(p), 0) for p in listed[gain >= -gap - 1e-7]]
        for g, (m, _, _) in enumerate(self.groups):
            near = np.flatnonzero((self._gain(g) >= -gap - 1e-7) & (self.kept[g] > 0))
            out += [(g, int(self.listed[m][p]), int(self.kept[g][p])) for p in near]
        return out

    def _solved(
        self, columns: list[tuple[int, int, int]], fixed: dict[tuple[int, int], int], enough: int, effort: Effort
    ) -> tuple[int, dict[int, Integers]] | None:
        """The best whole solution that uses each of ``fixed`` at least so often."""
        n, count = len(self.groups), self.classes.count
        size = [len(nodes) for _, nodes, _ in self.groups]
        limit = [size[g] if g < n else int(self.classes.available[g - n]) for g, _, _ in columns]
        lower = [-INFINITE] * self.first_vm + count.tolist()
        top = INFINITE if self.most_cost is None else float(self.most_cost)
        upper = [*size, *self.classes.available.tolist(), top, *([INFINITE] * len(count))]
        cost = np.array([-kept / self.scale for _, _, kept in columns])
        sparse = self._sparse(columns)
        highs = linear(cost, limit, lower, upper, sparse, whole=True)
        least = [float(fixed.get((g, p), 0)) for g, p, _ in columns]
        highs.changeColsBounds(len(columns), np.arange(len(columns), dtype=np.int32), np.array(least), np.array(limit, dtype=np.float64))
        branch = _BRANCH * len(sparse.index)
        highs.setOptionValue("mip_max_nodes", int(min(_BRANCHES, max(effort.steps_left / branch, 1))))
        highs.setOptionValue("objective_target", -enough / self.scale + 1e-9)
        if effort.remaining() < INFINITE:
            highs.setOptionValue("time_limit", max(effort.remaining(), 0.01))
        highs.run()
        info = highs.getInfo()
        effort.spend(branch * max(info.mip_node_count, 1))
        if info.primal_solution_status != 2:  # feasible
            return None
        times = np.rint(np.array(highs.getSolution().col_value)).astype(np.int64)
        return self._assigned(columns, times)

    def _assigned(self, columns: list[tuple[int, int, int]], times: Integers) -> tuple[int, dict[int, Integers]] | None:
        """(memory kept, node -> pattern)."""
        n = len(self.groups)
        taken: dict[int, Integers] = {}
        kept = 0
        for c in np.flatnonzero(times > 0):
            g, p, worth = columns[c]
            if g < n:
                nodes = [int(node) for node in self.groups[g][1] if int(node) not in taken][: times[c]]
                if len(nodes) < times[c]:
                    return None
                taken |= dict.fromkeys(nodes, self.patterns[p])
                kept += worth * int(times[c])
        for c in np.flatnonzero(times > 0):
            g, p, _ = columns[c]
            if g >= n:
                nodes = [int(node) for node in self.classes.nodes[g - n] if int(node) not in taken][: times[c]]
                if len(nodes) < times[c]:
                    return None
                taken |= dict.fromkeys(nodes, self.patterns[p])
        return kept, taken
