"""A placement in the making: where VMs are, what room is left, and the kernels' view of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from entropy.placement import kernels
from entropy.placement.goals import observed_hosts
from entropy.placement.jit import prepare
from entropy.placement.kernels import Index, State
from entropy.placement.metric import Floats, Metric
from entropy.placement.tables import Tables
from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["Working"]

_LOG = 4096
"""Moves, at most, that emptying one node may take."""


class Working:
    """``host`` int32[V] of the VMs that run at the end (-1: nowhere yet), ``free`` int64[N, R] room left.

    Both may be changed by anybody; kernels count everything else anew whenever they are called.
    """

    def __init__(self, problem: Problem, host: Indices) -> None:
        prepare(problem.n_vms * problem.n_nodes)
        self.problem = problem
        self.runs = problem.runs_at_end()
        self.home = observed_hosts(problem)
        self.tables = Tables(problem)
        self.host: Indices = np.where(self.runs, host, -1).astype(np.int32)
        self.free = problem.capacity.copy()
        placed = positions(self.host >= 0)
        for r in range(self.free.shape[1]):
            load = np.zeros(problem.n_nodes, dtype=np.int64)
            np.add.at(load, self.host[placed], problem.demand[placed, r])
            self.free[:, r] -= load

    def copy(self) -> Working:
        """An independent copy of the placement; what never changes is shared."""
        twin = object.__new__(Working)
        twin.__dict__.update({name: value for name, value in self.__dict__.items() if name not in ("_state", "_index")})
        twin.host, twin.free = self.host.copy(), self.free.copy()
        return twin

    @property
    def scarcity(self) -> Floats:
        """Share of all capacity that is demanded, per resource: what is scarce is worth filling well."""
        return self.tables.scarcity

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
        return vms[np.lexsort((vms, -self.tables.size[vms]))].astype(np.int32)

    def fit(self, vms: Indices, open_nodes: Bools, metric: Metric) -> int:
        """Place ``vms`` in order on ``open_nodes`` (see ``kernels.fit``); returns how many are still nowhere."""
        failed = np.full(len(self.problem.domains), -1, dtype=np.int64)
        run = kernels.fit.on(len(vms) * self.problem.n_nodes)
        return int(run(vms.astype(np.int32), self.state(), metric, self.index(open_nodes), failed))

    def empty(
        self, nodes: Indices, movable: Bools, used: Bools, metric: Metric, *, chains: bool = False, patience: int | None = None
    ) -> int:
        """Try to empty each of ``nodes`` in turn into the other ``used`` ones (see ``kernels.empty_nodes``); returns how many were.

        ``used`` is brought up to date.  With ``chains`` VMs may displace others; ``patience``: failures in a row before giving up.
        """
        vms = positions(self.host >= 0)
        size = np.empty(self.problem.n_vms, dtype=np.int32)
        size[self.largest_first(vms)] = np.arange(len(vms))
        log = np.empty((_LOG, 2), dtype=np.int32)
        index = self.index(used)
        run = kernels.empty_nodes.on(len(nodes) * len(vms))
        limit = len(nodes) if patience is None else patience
        emptied = run(nodes.astype(np.int32), size, movable, self.state(), metric, index, log, chains, limit)
        used[:] = index.open
        return int(emptied)

    def go_home(self, vms: Indices, enter: Bools) -> int:
        """Each of ``vms`` returns to the node where it runs now, if that is one of ``enter`` and still fits; returns how many did."""
        run = kernels.go_home.on(len(vms))
        return int(run(vms.astype(np.int32), self.home, enter, self.state()))

    def descend(self, vms: Indices, open_nodes: Bools, metric: Metric, passes: int) -> int:
        """Moved ``vms`` return home, others making room (see ``kernels.descend``); returns the memory saved."""
        problem = self.problem
        run = kernels.descend.on(len(vms) * problem.n_nodes)
        movable = ~problem.held
        return int(
            run(
                vms.astype(np.int32),
                self.home,
                problem.weight,
                movable,
                self.state(),
                metric,
                self.index(open_nodes),
                passes,
            )
        )

    def state(self) -> State:
        """The kernels' view of the placement as it is now."""
        state = self._state._replace(host=self.host, free=self.free)
        kernels.recount.on(self.problem.n_vms)(state)
        return state

    def index(self, open_nodes: Bools) -> Index:
        """The index over ``open_nodes`` (a copy); kernels arrange it before they use it."""
        self._index.open[:] = open_nodes
        return self._index

    @cached_property
    def _state(self) -> State:
        return self.tables.state(self.host, self.free)

    @cached_property
    def _index(self) -> Index:
        return self.tables.index()
