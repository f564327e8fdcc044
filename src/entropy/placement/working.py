"""A placement in the making: where VMs are, what room is left, and the kernels' view of it."""

from __future__ import annotations

import numpy as np

from entropy.placement import kernels
from entropy.placement.limits import limit_arrays, tally_for
from entropy.placement.metric import Floats, Metric
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Working"]


class Working:
    """``host`` int32[V] of the VMs that run at the end (-1: nowhere yet), ``free`` int64[N, R] room left."""

    def __init__(self, problem: Problem, host: Indices) -> None:
        self.problem = problem
        self.runs = problem.runs_at_end()
        self.host: Indices = np.where(self.runs, host, -1).astype(np.int32)
        self.limits = limit_arrays(problem)
        self.tally = tally_for(self.limits)
        self.free: Integers = problem.capacity.copy()
        placed = positions(self.host >= 0)
        np.subtract.at(self.free, self.host[placed], problem.demand[placed])
        total = problem.demand[self.runs].sum(axis=0).astype(np.float64)
        offered = problem.capacity.sum(axis=0).astype(np.float64)
        self.scarcity: Floats = total / np.maximum(offered, 1.0)
        """Share of all capacity that is demanded, per resource: what is scarce is worth filling well."""

    def copy(self) -> Working:
        """An independent copy of the placement; what never changes is shared."""
        twin = object.__new__(Working)
        twin.__dict__.update(self.__dict__)
        twin.host, twin.free = self.host.copy(), self.free.copy()
        return twin

    @property
    def used(self) -> Bools:
        """bool[N]: the nodes that run at least one VM."""
        used = np.zeros(self.problem.n_nodes, dtype=np.bool_)
        used[self.host[self.host >= 0]] = True
        return used

    def take_out(self, vms: Indices) -> None:
        """VMs leave their nodes for nowhere."""
        vms = vms[self.host[vms] >= 0]
        np.add.at(self.free, self.host[vms], self.problem.demand[vms])
        self.host[vms] = -1

    def put(self, vm: int, node: int) -> None:
        """A VM that is nowhere goes to ``node``."""
        self.free[node] -= self.problem.demand[vm]
        self.host[vm] = node

    def largest_first(self, vms: Indices) -> Indices:
        """VMs by decreasing demand (scarcity-weighted share of an average node), ties by index."""
        average = np.maximum(self.problem.capacity.mean(axis=0), 1.0)
        size = (self.problem.demand[vms] / average) @ self.scarcity
        return vms[np.lexsort((vms, -size))]

    def fit(self, vms: Indices, open_nodes: Bools, metric: Metric) -> int:
        """Place ``vms`` in order (see ``kernels.fit``); returns how many are still nowhere."""
        problem = self.problem
        run = kernels.fit.on(len(vms) * problem.n_nodes)
        return int(
            run(
                vms.astype(np.int32),
                self.host,
                self.free,
                problem.demand,
                problem.domains,
                problem.domain_of,
                open_nodes,
                metric,
                self.limits,
                self.tally,
            )
        )

    def empty(self, nodes: Indices, movable: Bools, used: Bools, price: Floats) -> int:
        """Try to empty each of ``nodes`` in turn (see ``kernels.empty_nodes``); returns how many were."""
        problem = self.problem
        order = self.largest_first(positions(self.host >= 0))
        by_node = order[np.argsort(self.host[order], kind="stable")]
        starts = np.searchsorted(self.host[by_node], np.arange(problem.n_nodes + 1))
        rows = [by_node[starts[n] : starts[n + 1]] for n in nodes]
        node_start = np.concatenate(([0], np.cumsum([len(x) for x in rows]))).astype(np.int32)
        node_vms = np.concatenate(rows).astype(np.int32) if rows else np.zeros(0, dtype=np.int32)
        run = kernels.empty_nodes.on(len(node_vms) * problem.n_nodes)
        return int(
            run(
                nodes.astype(np.int32),
                node_start,
                node_vms,
                movable,
                self.host,
                self.free,
                problem.demand,
                problem.domains,
                problem.domain_of,
                used,
                price,
                self.limits,
            )
        )
