"""The exact model: assignment of some VMs to some nodes by CP-SAT, everything else as it stands.

Only ever sees small problems: a whole small cluster, or a neighbourhood of a large one.  One boolean a VM and allowed node; capacities
are knapsacks; a node is used when it runs a VM; every primitive is said by a function of ``encodings`` or ``together``.  Goals are
expressions, which are made small one after another, each with the goals before it capped, or several at once at exchange rates.
"""

from __future__ import annotations

import numpy as np

from entropy.placement.exact import encodings
from entropy.placement.exact.assignment import Assignment
from entropy.placement.exact.sheet import Expression, Sheet, Variables, sum_of
from entropy.placement.exact.solving import Exact, Limits, solve
from entropy.placement.exact.spread import spread_goal
from entropy.placement.exact.together import together
from entropy.placement.goals import Goals
from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["ExactModel"]

_MOST_COEFFICIENT = 1 << 60
"""Sums of an expression stay below: CP-SAT refuses what may leave 63 bits."""
_FINE = 1000
"""Steps in which moved memory is counted where it only breaks ties."""


def _of_unit(found: Exact, unit: int, bound: int) -> Exact:
    """What was found for a goal times ``unit``, with something smaller than a unit added, for the goal alone."""
    value = found.value // unit
    lowest = value if found.status == "optimal" else -(-max(found.bound - unit + 1, 0) // unit)
    return Exact(status=found.status, host=found.host, value=value, bound=max(bound, lowest), work=found.work)


class ExactModel:
    """The assignment of ``vms`` to ``nodes``; all other VMs stay as ``host`` says.

    ``node_cost`` int64[N]: what each used node costs.  ``soft``, ``nodes`` and ``moved`` are the goals as expressions over the whole
    cluster: soft violation, cost of the nodes in use, moved memory.
    """

    def __init__(self, problem: Problem, host: Indices, vms: Indices, nodes: Indices, node_cost: Integers) -> None:
        self.problem, self.host, self.node_cost = problem, host, node_cost
        self.sheet = Sheet()
        self.pairs = Assignment(problem, host, vms, nodes, node_cost)
        self.pairs.number(self.sheet)
        self.used = encodings.capacities(self.sheet, self.pairs)
        """int64[K]: per node of ``pairs.nodes`` the boolean that says it is used, -1 where there is none."""
        encodings.use_in_order(self.sheet, self.pairs, self.used)
        self.soft = self._rules()
        self.nodes = self._node_cost()
        self.moved = self._moved(problem.weight)
        self._hint: Indices | None = None
        self._spread: Expression | None = None

    def _rules(self) -> Expression:
        problem, sheet, pairs = self.problem, self.sheet, self.pairs
        costs = [encodings.at_most(sheet, pairs, limit) for limit in problem.limits]
        costs.append(together(sheet, pairs, problem.together))
        costs += [encodings.disjoint(sheet, pairs, rule) for rule in problem.disjoint]
        costs += [encodings.set_limit(sheet, pairs, rule) for rule in problem.set_limits]
        costs += [encodings.usage_limit(sheet, pairs, self.used, rule) for rule in problem.usage_limits]
        costs += [encodings.prefer(pairs, rule) for rule in problem.preferences]
        return encodings.NOTHING.plus(*(c for c in costs if c or c.constant))

    def _node_cost(self) -> Expression:
        switched = self.used >= 0
        fixed = int(self.node_cost[self.pairs.occupied].sum())
        return sum_of(self.used[switched], self.node_cost[self.pairs.nodes[switched]], fixed)

    def _moved(self, weight: Integers) -> Expression:
        """``weight`` of the VMs that leave the node where they run."""
        pairs = self.pairs
        outside = (pairs.fixed >= 0) & (pairs.home >= 0) & (pairs.fixed != pairs.home)
        inside = pairs.vms[pairs.home[pairs.vms] >= 0]
        stays = np.flatnonzero(pairs.node == pairs.home[pairs.vm])
        stays = stays[weight[pairs.vm[stays]] > 0]
        return sum_of(pairs.ids[stays], -weight[pairs.vm[stays]], int(weight[outside].sum()) + int(weight[inside].sum()))

    def load(self, node: int, r: int) -> Expression:
        """What the VMs on ``node`` of the model's demand of resource ``r``."""
        demand = self.problem.demand[:, r]
        staying = int(demand[self.pairs.fixed == node].sum())
        here = np.flatnonzero((self.pairs.node == node) & (demand[self.pairs.vm] > 0))
        return sum_of(self.pairs.ids[here], demand[self.pairs.vm[here]], staying)

    # -- goals that come before ------------------------------------------------------------------------------------------

    def cap(self, goal: Expression, most: int) -> None:
        """``goal`` is no more than ``most``, from now on."""
        if goal:
            self.sheet.at_most(goal, most)
        elif goal.constant > most:
            self.sheet.one_of(())

    def cap_soft(self, most: int) -> None:
        """Broken soft rules cost at most ``most``."""
        self.cap(self.soft, most)

    def cap_nodes(self, most: int) -> None:
        """Nodes in use (inside and outside) cost at most ``most``."""
        self.cap(self.nodes, most)

    def cap_moved(self, most: int) -> None:
        """At most so much memory is moved."""
        self.cap(self.moved, most)

    def spread(self, goals: Goals) -> Expression:
        """Weighted spread, as ``goals.value_of`` has it; always for the same ``goals``."""
        if self._spread is None:
            self._spread = spread_goal(self.sheet, self.pairs, goals.resource_weight)
        return self._spread

    def cap_spread(self, goals: Goals, most: int) -> None:
        """The weighted spread is at most ``most``."""
        self.cap(self.spread(goals), most)

    # -- goals -----------------------------------------------------------------------------------------------------------

    def solve_spread(self, goals: Goals, limits: Limits, *, bound: int = 0) -> Exact:
        """Least weighted spread; ``bound`` is one already proven."""
        return self.minimise(self.spread(goals), limits, bound=bound)

    def solve_soft(self, limits: Limits, *, bound: int = 0) -> Exact:
        """Least soft violation, and of placements that are equal in it one that moves little; ``bound`` is one already proven."""
        step = max(self.moved.constant // _FINE, 1)
        move = self._moved(self.problem.weight // step)
        unit = int(move.constant) + 1
        if not self.soft or (self.soft.constant + int(np.abs(self.soft.coefficients).sum())) * unit > _MOST_COEFFICIENT:
            return self.minimise(self.soft, limits, bound=bound)
        return _of_unit(self.minimise(self.soft.times(unit).plus(move), limits, bound=bound * unit), unit, bound)

    def solve_nodes(self, limits: Limits, *, bound: int = 0) -> Exact:
        """Least cost of nodes in use; ``bound`` is one already proven."""
        return self.minimise(self.nodes, limits, bound=bound)

    def solve_moves(self, limits: Limits, *, bound: int = 0) -> Exact:
        """Least moved memory (and, among VMs without memory, fewest moves); ``bound`` on it is one already proven."""
        weight = self.problem.weight
        light = self._moved((weight == 0).astype(np.int64))
        unit = int(light.constant) + 1
        if not light or self.moved.constant * unit > _MOST_COEFFICIENT:
            return self.minimise(self.moved, limits, bound=bound)
        return _of_unit(self.minimise(self.moved.times(unit).plus(light), limits, bound=bound * unit), unit, bound)

    def solve_weighted(self, limits: Limits, *, soft: int = 0, nodes: int = 0, moved: int = 0, bound: int = 0) -> Exact:
        """Least sum of the goals, each times its factor: a trade-off."""
        return self.minimise(self.soft.times(soft).plus(self.nodes.times(nodes), self.moved.times(moved)), limits, bound=bound)

    def minimise(self, goal: Expression, limits: Limits, *, bound: int = 0) -> Exact:
        """Least ``goal``; value and bound include its constant.  ``bound`` is one already proven."""
        if len(self.pairs.stuck):
            return Exact(status="infeasible", host=None, value=0, bound=0, work=0.0)
        if goal and bound > goal.constant + int(np.minimum(goal.coefficients, 0).sum()):
            self.sheet.at_least(goal, bound)
        self.sheet.minimise(goal)
        if self._hint is not None:
            self.sheet.hint(*self._hinted(self._hint))
        found = solve(self.sheet.model, limits)
        if found.solution is None:
            return Exact(status=found.status, host=None, value=0, bound=0, work=found.work)
        value = goal.value(found.solution)
        lowest = value if found.status == "optimal" else max(found.bound + goal.constant, bound)
        return Exact(status=found.status, host=self.read(found.solution), value=value, bound=lowest, work=found.work)

    # -- placements ------------------------------------------------------------------------------------------------------

    def hint(self, host: Indices) -> None:
        """Start from a placement that is known."""
        self._hint = host.copy()

    def _hinted(self, host: Indices) -> tuple[Variables, Variables]:
        pairs, host = self.pairs, host.copy()
        for alike in pairs.classes:  # a placement that differs in names only, and uses the first nodes first
            name = np.arange(self.problem.n_nodes)
            name[np.concatenate((alike[busy := np.isin(alike, host[pairs.vms])], alike[~busy]))] = alike
            host[pairs.vms] = np.where(host[pairs.vms] >= 0, name[host[pairs.vms]], -1)
        switched = np.flatnonzero(self.used >= 0)
        taken = np.isin(pairs.nodes[switched], host[pairs.vms])
        ids = np.concatenate((pairs.ids, self.used[switched]))
        return ids, np.concatenate((host[pairs.vm] == pairs.node, taken)).astype(np.int64)

    def read(self, solution: Variables) -> Indices:
        """int32[V]: the placement in which variable k is ``solution[k]``."""
        host = self.host.copy()
        chosen = np.flatnonzero(solution[self.pairs.ids])
        host[self.pairs.vm[chosen]] = self.pairs.node[chosen]
        return host
