"""What a placement is rated by: soft violation, then the objective's own goal, then moved memory; or the last two traded off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from entropy.model.policy import Objective
from entropy.placement.soft import soft_violation
from entropy.placement.spread import spread
from entropy.problem.problem import Indices, Integers, Problem, State

__all__ = ["Goals", "Value", "affordable", "moved_memory", "observed_hosts", "value_of"]


class Value(NamedTuple):
    """Integers, less is better.  ``primary``: cost of the nodes in use (consolidate), spread (balance), 0 (repair)."""

    soft: int
    primary: int
    moved: int


@dataclass(frozen=True, kw_only=True)
class Goals:
    """The objective and its parameters.

    ``node_cost`` int64[N]: what using each node costs (1 each, or milliwatts).  ``resource_weight`` int64[R]: what a millionth of
    spread in each resource costs.  ``exchange``: what a unit of the primary goal and a unit of moved memory count, where the two are
    traded off; ``None``: strict priorities.
    """

    objective: Objective
    node_cost: Integers
    resource_weight: Integers
    exchange: tuple[int, int] | None = None

    def key(self, value: Value) -> tuple[int, ...]:
        """What placements are compared by, the least first."""
        return value if self.exchange is None else (value.soft, self.traded(value))

    def traded(self, value: Value) -> int:
        """The primary goal and moved memory in one figure."""
        per_unit, per_move = self.exchange or (1, 0)
        return value.primary * per_unit + value.moved * per_move


def observed_hosts(problem: Problem) -> Indices:
    """int32[V]: where a VM that runs now and at the end runs now, else -1."""
    stays = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING)
    return np.where(stays, problem.host, -1).astype(np.int32)


def moved_memory(problem: Problem, host: Indices) -> int:
    """Memory of the VMs that ``host`` moves, in the problem's units."""
    home = observed_hosts(problem)
    return int(problem.weight[(home >= 0) & (host != home)].sum())


def value_of(problem: Problem, goals: Goals, host: Indices) -> Value:
    """How good the placement ``host`` int32[V] is."""
    match goals.objective:
        case "consolidate":
            primary = int(goals.node_cost[np.unique(host[host >= 0])].sum())
        case "balance":
            primary = int((spread(problem, host) * goals.resource_weight).sum())
        case _:
            primary = 0
    return Value(soft_violation(problem, host), primary, moved_memory(problem, host))


def affordable(node_cost: Integers, cost: int) -> int | None:
    """How many nodes a cost pays for; ``None`` when nodes differ in cost, or cost nothing."""
    return cost // int(node_cost[0]) if len(np.unique(node_cost)) == 1 and node_cost[0] > 0 else None
