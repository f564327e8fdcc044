"""Who may go where: the pairs of a VM and a node that the model decides on, and what stays as it is."""

from __future__ import annotations

import numpy as np

from entropy.placement.exact.interchangeable import interchangeable
from entropy.placement.exact.sheet import Numbers, Sheet, Variables
from entropy.problem.problem import Bools, Indices, Problem, State, positions

__all__ = ["Assignment"]


class Assignment:
    """VMs ``vms`` on nodes ``nodes``; every other VM that runs at the end stays as ``host`` says.

    Pair k is VM ``vm[k]`` on node ``node[k]``, boolean ``ids[k]`` of the sheet; pairs are in the order of ``vms``.
    ``fixed`` int32[V]: node of every VM that stays (-1: none); ``home`` int32[V]: where a move is free of cost (-1: nowhere);
    ``room`` int64[K, R]: what those that stay leave of each of ``nodes``; ``occupied`` bool[N]: nodes that they use;
    ``stuck``: those of ``vms`` that have no node to go to; ``classes``: nodes that differ in nothing but their name.
    """

    def __init__(self, problem: Problem, host: Indices, vms: Indices, nodes: Indices, node_cost: Variables) -> None:
        self.problem, self.vms = problem, vms
        self.row_of = np.full(problem.n_vms, -1, dtype=np.int64)
        self.row_of[vms] = np.arange(len(vms))
        self.home = np.where(problem.state == State.RUNNING, problem.host, -1)
        self.fixed = np.where(problem.runs_at_end() & (self.row_of < 0), host, -1)
        self.occupied = np.zeros(problem.n_nodes, dtype=np.bool_)
        self.occupied[self.fixed[self.fixed >= 0]] = True
        self.classes = interchangeable(problem, vms, nodes, self._distinguished(vms), node_cost)
        self.nodes = self._worth_having(nodes)
        self.column_of = np.full(problem.n_nodes, -1, dtype=np.int64)
        self.column_of[self.nodes] = np.arange(len(self.nodes))
        self.room = problem.capacity[self.nodes].copy()
        inside = positions((self.fixed >= 0) & (self.column_of[self.fixed] >= 0))
        np.subtract.at(self.room, self.column_of[self.fixed[inside]], problem.demand[inside])
        allowed = self._allowed()
        row, column = np.nonzero(allowed)
        self.vm, self.node = vms[row], self.nodes[column]
        self.start = np.concatenate(([0], np.cumsum(allowed.sum(axis=1))))
        self.stuck = vms[self.start[1:] == self.start[:-1]]
        self.ids: Variables = np.zeros(0, dtype=np.int64)

    def number(self, sheet: Sheet) -> None:
        """Give the pairs their booleans, one VM after another exactly one."""
        self.ids = sheet.booleans(len(self.vm))
        for first, last in zip(self.start[:-1], self.start[1:], strict=True):
            sheet.exactly_one(self.ids[first:last])

    def of(self, members: Numbers) -> Variables:
        """Positions of the pairs of those ``members`` that are assigned here."""
        rows = self.row_of[members]
        rows = rows[rows >= 0]
        if not len(rows):
            return rows
        lengths = self.start[rows + 1] - self.start[rows]
        ends = np.cumsum(lengths)
        return np.asarray(np.arange(ends[-1]) - np.repeat(ends - lengths - self.start[rows], lengths), dtype=np.int64)

    def staying(self, members: Numbers) -> Variables:
        """Nodes of those ``members`` that are not assigned here, one for each."""
        hosts = self.fixed[members]
        return np.asarray(hosts[hosts >= 0], dtype=np.int64)

    def held(self, pairs: Numbers) -> Variables:
        """Those of ``pairs`` that are of held VMs: such a VM has one pair, and is there whatever a rule says."""
        return np.asarray(pairs[self.problem.held[self.vm[pairs]]], dtype=np.int64)

    def _distinguished(self, vms: Indices) -> Bools:
        """bool[N]: nodes that somebody uses, or calls home."""
        apart = self.occupied.copy()
        homes = np.concatenate((self.home[vms], self.problem.host[vms[self.problem.held[vms]]]))
        apart[homes[homes >= 0]] = True
        return apart

    def _worth_having(self, nodes: Indices) -> Indices:
        """``nodes`` without more interchangeable ones than there are VMs."""
        surplus: list[int] = []
        for k, alike in enumerate(self.classes):
            surplus += alike[len(self.vms) :].tolist()
            self.classes[k] = alike[: len(self.vms)]
        return nodes[~np.isin(nodes, surplus)] if surplus else nodes

    def _allowed(self) -> Bools:
        problem, vms, nodes = self.problem, self.vms, self.nodes
        allowed = problem.domains[problem.domain_of[vms]][:, nodes]
        held = problem.held[vms]
        allowed[held] = nodes == problem.host[vms[held], None]
        for r in range(self.room.shape[1]):
            allowed &= problem.demand[vms, r][:, None] <= self.room[:, r]
        return np.asarray(allowed)
