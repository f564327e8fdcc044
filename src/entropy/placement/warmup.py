"""Compiles the kernels ahead of time, so that nobody waits for it in the middle of a plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy

__all__ = ["warm_up"]


def warm_up(progress: Callable[[str], None] = lambda _text: None) -> tuple[str, ...]:
    """Compile every kernel for the types it is called with, and keep the result on disk; names of the kernels."""
    from entropy.placement import kernels
    from entropy.placement.metric import best_fit
    from entropy.placement.working import Working
    from entropy.problem.compile import compile_problem

    cluster = Cluster(
        nodes=tuple(Node(name=n, capacity={"cpu": 4.0, "memory": 4096.0}) for n in ("a", "b")),
        vms=(VM(name="v", node="a", demand={"cpu": 1.0, "memory": 1024.0}),),
    )
    problem = compile_problem(cluster, Policy())
    working = Working(problem, problem.host)
    everywhere = np.ones(2, dtype=np.bool_)
    metric, one = best_fit(problem, everywhere), np.zeros(1, dtype=np.int32)
    progress("compiling fit")
    working.take_out(one)
    kernels.fit.compiled(
        one,
        working.host,
        working.free,
        problem.demand,
        problem.domains,
        problem.domain_of,
        everywhere,
        metric,
        working.limits,
        working.tally,
    )
    progress("compiling empty_nodes")
    kernels.empty_nodes.compiled(
        one,
        np.array([0, 1], dtype=np.int32),
        one,
        np.ones(1, dtype=np.bool_),
        working.host,
        working.free,
        problem.demand,
        problem.domains,
        problem.domain_of,
        everywhere.copy(),
        metric.price,
        working.limits,
    )
    return ("fit", "empty_nodes")
