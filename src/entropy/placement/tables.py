"""What kernels need to know about a problem and that never changes, and the scratch space they work in."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from entropy.placement.keeping import sizes_of
from entropy.placement.kernels import Index, State
from entropy.placement.kernels.index import BLOCK, FAN, NEAR, SCAN
from entropy.placement.metric import Floats
from entropy.placement.rules import Rules, rule_arrays
from entropy.problem.problem import Bools, Indices, Integers, Problem

__all__ = ["Tables"]

A = TypeVar("A", bound=np.generic)

_SPARSE = 16
"""A domain with less than one in so many nodes is kept as a list."""


class Tables:
    """Made once for a problem, shared by all placements of it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def scarcity(self) -> Floats:
        """float64[R]: share of all capacity that is demanded."""
        total = self.problem.demand[self.problem.runs_at_end()].sum(axis=0).astype(np.float64)
        offered = self.problem.capacity.sum(axis=0).astype(np.float64)
        return np.asarray(total / np.maximum(offered, 1.0))

    @cached_property
    def size(self) -> Floats:
        """float64[V]: demand as a share of an average node, weighted by scarcity."""
        average = np.maximum(self.problem.capacity.mean(axis=0), 1.0)
        return np.asarray((self.problem.demand / average) @ self.scarcity)

    @cached_property
    def rules(self) -> Rules:
        """The hard rules."""
        return rule_arrays(self.problem)

    @cached_property
    def sparse_rows(self) -> tuple[Bools, Integers, Indices]:
        """Which domains have few nodes, and their nodes as compressed rows."""
        domains = self.problem.domains
        sparse = np.zeros(len(domains), dtype=np.bool_)
        if self.problem.n_nodes > SCAN:
            sparse[:] = domains.sum(axis=1) * _SPARSE < self.problem.n_nodes
        rows, nodes = np.nonzero(domains[sparse])
        start = np.zeros(len(domains) + 1, dtype=np.int64)
        counts = np.zeros(len(domains), dtype=np.int64)
        counts[sparse] = np.bincount(rows, minlength=int(sparse.sum()))
        np.cumsum(counts, out=start[1:])
        return sparse, start, nodes.astype(np.int32)

    @cached_property
    def kind(self) -> Integers:
        """int64[N]: nodes of one size have one number."""
        if self.problem.n_nodes <= SCAN:
            return np.zeros(self.problem.n_nodes, dtype=np.int64)
        return sizes_of(self.problem.capacity)

    def state(self, host: Indices, free: Integers) -> State:
        """The kernels' view of a placement, to be counted."""
        problem, rules = self.problem, self.rules
        sparse, row_start, row_nodes = self.sparse_rows
        slots = 2 * rules.counters + 17
        return State(
            host=host,
            free=free,
            demand=_plain(problem.demand, np.int64),
            domains=_plain(problem.domains, np.bool_),
            domain_of=_plain(problem.domain_of, np.int32),
            sparse=sparse,
            row_start=row_start,
            row_nodes=row_nodes,
            rules=rules,
            first=np.empty(problem.n_nodes, dtype=np.int32),
            after=np.empty(problem.n_vms, dtype=np.int32),
            before=np.empty(problem.n_vms, dtype=np.int32),
            vms_on=np.empty(problem.n_nodes, dtype=np.int32),
            keys=np.empty(slots, dtype=np.int64),
            counts=np.empty(slots, dtype=np.int32),
            taken=np.zeros(1, dtype=np.int64),
            set_used=np.zeros(len(rules.set_most), dtype=np.int64),
            in_use=np.zeros(len(rules.use_most), dtype=np.int64),
        )

    def index(self) -> Index:
        """Space for an index over the nodes, to be arranged."""
        n_nodes, n_resources = self.problem.capacity.shape
        widths = [max(-(-n_nodes // BLOCK), 1)]
        while widths[-1] > 1:
            widths.append(-(-widths[-1] // FAN))
        level = np.concatenate(([0], np.cumsum(widths))).astype(np.int64)
        blocks = int(level[-1])
        scarce = np.argsort(-self.scarcity, kind="stable")
        axes = scarce[[0, min(1, n_resources - 1)]] if n_resources else np.zeros(2)
        return Index(
            open=np.zeros(n_nodes, dtype=np.bool_),
            order=np.empty(n_nodes, dtype=np.int32),
            place=np.empty(n_nodes, dtype=np.int32),
            size=np.zeros(2, dtype=np.int64),
            level=level,
            most=np.empty((blocks, n_resources), dtype=np.int64),
            low=np.empty((blocks, n_resources)),
            high=np.empty((blocks, n_resources)),
            share_low=np.empty((blocks, n_resources)),
            share_high=np.empty((blocks, n_resources)),
            kind=self.kind,
            axes=axes.astype(np.int64),
            stack=np.empty((FAN * (len(widths) + 1), 2), dtype=np.int64),
            bounds=np.empty(FAN * (len(widths) + 1)),
            near=np.empty(NEAR, dtype=np.int64),
            short=np.empty(NEAR),
        )


def _plain(array: npt.NDArray[A], dtype: type[A]) -> npt.NDArray[A]:
    """``array`` as kernels were compiled for: contiguous, writable, of this type."""
    return array if array.flags.c_contiguous and array.flags.writeable and array.dtype == dtype else np.array(array, dtype=dtype, order="C")
