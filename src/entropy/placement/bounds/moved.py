"""Least moved memory: with at most k nodes in use, all memory on the others has moved, so at most the k that keep most can keep it."""

from __future__ import annotations

import numpy as np

from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Integers, Problem, positions

__all__ = ["kept_weight", "moved_bound"]


def kept_weight(problem: Problem, leaving: Integers) -> Integers:
    """int64[N]: most memory that can stay on each node: what runs there for good, less what must leave."""
    host = observed_hosts(problem)
    here = positions(host >= 0)
    kept = np.zeros(problem.n_nodes, dtype=np.int64)
    np.add.at(kept, host[here], problem.weight[here])
    return np.asarray(kept - leaving)


def moved_bound(problem: Problem, leaving: Integers, most_nodes: int | None = None) -> int:
    """Least moved memory; with ``most_nodes`` in use at most so many (k-largest argument)."""
    kept = kept_weight(problem, leaving)
    host = observed_hosts(problem)
    total = int(problem.weight[host >= 0].sum())
    if most_nodes is None or most_nodes >= problem.n_nodes:
        return total - int(kept.sum())
    runs = problem.runs_at_end()
    forced = np.zeros(problem.n_nodes, dtype=np.bool_)
    forced[problem.host[runs & problem.held]] = True
    free_choice = np.sort(kept[~forced])[::-1][: max(most_nodes - int(forced.sum()), 0)]
    return total - int(kept[forced].sum()) - int(free_choice.sum())
