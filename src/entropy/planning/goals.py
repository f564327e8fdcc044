"""The goals of a plan, from the policy: what its objective counts, in the integers of the compiled problem."""

from __future__ import annotations

import numpy as np

from entropy.model.policy import Objective, Policy
from entropy.placement.goals import Goals
from entropy.placement.spread import MILLION
from entropy.planning.weights import exchange_rate, resource_weights
from entropy.problem.problem import Problem

__all__ = ["SPREAD", "WATT", "counts_watts", "goals_of"]

WATT = 1000
"""Idle power in the integers of the search: milliwatts."""
SPREAD = 1000 * MILLION
"""Spread: millionths of capacity, each resource weighed in thousandths."""


def counts_watts(problem: Problem) -> bool:
    """Is consolidation judged by idle power?  It is when every node states it."""
    nodes = problem.cluster.nodes
    return bool(nodes) and all(n.power is not None for n in nodes)


def goals_of(problem: Problem, policy: Policy, objective: Objective) -> Goals:
    """What ``policy`` and ``objective`` ask of a placement of ``problem``."""
    nodes = problem.cluster.nodes
    if counts_watts(problem):
        cost = np.array([round(n.power.idle * WATT) for n in nodes if n.power], dtype=np.int64)
    else:
        cost = np.ones(len(nodes), dtype=np.int64)
    unit = SPREAD // 100 if objective == "balance" else WATT if counts_watts(problem) else 1
    return Goals(
        objective=objective,
        node_cost=cost,
        resource_weight=resource_weights(problem, policy),
        exchange=exchange_rate(problem, policy, unit) if objective != "repair" else None,
    )
