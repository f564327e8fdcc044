"""Compiles the kernels ahead of time, so that nobody waits for it in the middle of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.jit import Kernel, bring_up

__all__ = ["compile_steps", "warm_up"]


def warm_up(progress: Callable[[str], None] = lambda _text: None, go_on: Callable[[], bool] = lambda: True) -> tuple[str, ...]:
    """Compile every kernel for the types it is called with, and keep the result on disk; names of the kernels.

    What was compiled before is loaded.  ``go_on`` is asked before each kernel: false ends it early.
    """
    names = []
    for name in bring_up(compile_steps(), go_on):
        progress(f"compiling {name}")
        names.append(name)
    return tuple(names)


def compile_steps() -> tuple[tuple[Kernel[..., Any], Callable[[], object]], ...]:
    """Every kernel that is called from Python, and a call of its compiled twin with the types it is always called with.

    What a first placement needs comes first.
    """
    from entropy.placement import displacing, kernels
    from entropy.placement.balance.state import compile_steps as balancing
    from entropy.placement.bounds import knapsack, prices
    from entropy.placement.metric import best_fit
    from entropy.placement.packing import compiling
    from entropy.placement.partition import unite
    from entropy.placement.squeeze import tabu_for
    from entropy.placement.working import Working
    from entropy.problem.compile import compile_problem

    cluster = Cluster(
        nodes=tuple(Node(name=n, capacity={"cpu": 4.0, "memory": 4096.0}) for n in ("a", "b")),
        vms=(VM(name="v", node="a", demand={"cpu": 1.0, "memory": 1024.0}),),
    )
    problem = compile_problem(cluster, Policy())
    working = Working(problem, problem.host)
    everywhere, one, pair = np.ones(2, dtype=np.bool_), np.zeros(1, dtype=np.int32), np.arange(2, dtype=np.int32)
    metric, state, index = best_fit(problem, everywhere), working.tables.state(working.host, working.free), working.index(everywhere)
    rank, log, movable = np.zeros(1, dtype=np.int32), np.empty((4, 2), dtype=np.int32), np.ones(1, dtype=np.bool_)
    tabu = tabu_for(working, everywhere, np.random.default_rng(0))
    failed = np.full(len(problem.domains), -1, dtype=np.int64)
    return (
        (kernels.recount, lambda: kernels.recount.compiled(state)),
        (kernels.fit, lambda: kernels.fit.compiled(one[:0], state, metric, index, failed)),
        (kernels.go_home, lambda: kernels.go_home.compiled(one, working.home, everywhere, state)),
        (kernels.empty_nodes, lambda: kernels.empty_nodes.compiled(one, rank, movable, state, metric, index, log, True, 1)),
        (kernels.descend, lambda: kernels.descend.compiled(one, working.home, problem.weight, movable, state, metric, index, 1)),
        (kernels.cram, lambda: kernels.cram.compiled(one[:0], state, metric, index, tabu)),
        (kernels.trade, lambda: kernels.trade.compiled(0, 1, state, metric.share, tabu)),
        displacing.compile_step(working),
        *balancing(problem),
        knapsack.compile_step(),
        *prices.compile_steps(problem),
        *compiling.compile_steps(),
        (unite, lambda: unite.compiled(one, one, pair, pair + 1, 2)),
    )
