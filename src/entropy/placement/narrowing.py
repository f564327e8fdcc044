"""Fewer nodes for some VMs: domains narrowed to a set of nodes, each distinct one made once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["Narrowing"]


class Narrowing:
    """The domains of ``problem`` in the making: ``domain_of`` int32[V] are rows of them."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rows = list(problem.domains)
        self._known: dict[tuple[int, Hashable], int] = {}
        self.domain_of = problem.domain_of.copy()
        self.nodes = problem.n_nodes

    def row(self, number: int) -> Bools:
        """bool[N]: the nodes of row ``number``."""
        return np.asarray(self._rows[number])

    def narrow(self, vms: Indices, mask: Bools, key: Hashable) -> None:
        """``vms`` stay within ``mask`` bool[N]; the same ``key``, the same mask."""
        rows = self.domain_of[vms]
        for row in np.unique(rows).tolist():
            if (row, key) not in self._known:
                self._known[row, key] = len(self._rows)
                self._rows.append(self._rows[row] & mask)
            self.domain_of[vms[rows == row]] = self._known[row, key]

    def problem(self) -> Problem:
        """The problem with its domains so narrowed.  What is held is not asked to move."""
        problem = self._problem
        if len(self._rows) == len(problem.domains):
            return problem
        domains, domain_of = np.stack(self._rows), self.domain_of.copy()
        may_stay = problem.may_stay.copy()
        placed = positions((problem.host >= 0) & (domain_of != problem.domain_of))
        outside = problem.domains[problem.domain_of[placed], problem.host[placed]] & ~domains[domain_of[placed], problem.host[placed]]
        may_stay[placed[outside]] = False
        return replace(problem, domains=domains, domain_of=domain_of, may_stay=may_stay)
