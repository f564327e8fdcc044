"""What a plan that balances gains, for who must judge whether it is worth its moves."""

from __future__ import annotations

import numpy as np

from entropy.model.cluster import Cluster
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.placement.spread import spread
from entropy.planning.goals import SPREAD
from entropy.planning.weights import resource_weights
from entropy.problem.compile import compile_problem
from entropy.problem.problem import State

__all__ = ["spread_before_and_after"]


def spread_before_and_after(cluster: Cluster, policy: Policy, plan: Plan) -> tuple[float, float]:
    """The weighted spread (0.25: a quarter of a node's capacity) of ``cluster`` now, and once ``plan`` is done.

    Measured as ``summary.balance`` is, over the nodes that count at the end.  Rules may name what no longer exists.  Raises
    ``InputError`` for a weight of a resource that the cluster does not have.
    """
    problem = compile_problem(cluster, policy, lenient=True)
    weights = resource_weights(problem, policy)
    now = np.where(problem.state == State.RUNNING, problem.host, -1).astype(np.int32)
    then = now.copy()
    vm_at = {vm.name: k for k, vm in enumerate(cluster.vms)}
    node_at = {node.name: k for k, node in enumerate(cluster.nodes)}
    for key in plan.topological:
        action = plan.by_id[key]
        if action.vm is None:
            continue
        if action.leaves is not None:
            then[vm_at[action.vm]] = -1
        if action.enters is not None:
            then[vm_at[action.vm]] = node_at[action.enters]
    before, after = (int((spread(problem, host) * weights).sum()) / SPREAD for host in (now, then))
    return before, after
