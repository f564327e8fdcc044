"""The exact model: assignment of some VMs to some nodes by CP-SAT, everything else as it stands.

Only ever sees small problems: a whole small cluster, or a neighbourhood of a large one.  One boolean a VM and allowed node; capacities
are knapsacks; a node is used when it runs a VM.  Goals are lexicographic: cost of the nodes in use, then moved memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ortools.sat.python import cp_model

from entropy.problem.problem import Indices, Integers, Problem, State, positions

__all__ = ["Exact", "ExactModel", "Limits", "Status"]

Status = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``seconds`` of wall clock, ``work`` in CP-SAT's deterministic time (``None``: unlimited), ``workers``, ``seed``."""

    seconds: float
    work: float | None = None
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Exact:
    """Outcome of one solve: ``host`` of every VM, value and proven bound of the goal that was solved, work spent."""

    status: Status
    host: Indices | None
    value: int
    bound: int
    work: float


class ExactModel:
    """The assignment of ``vms`` to ``nodes``; all other VMs stay as ``host`` says.

    ``home[v]`` is where a move is free of cost (-1: nowhere); ``node_cost`` what each used node costs.
    """

    def __init__(self, problem: Problem, host: Indices, vms: Indices, nodes: Indices, node_cost: Integers) -> None:
        self.problem, self.host, self.vms, self.nodes, self.node_cost = problem, host, vms, nodes, node_cost
        self.model = cp_model.CpModel()
        self.home = np.where(problem.state == State.RUNNING, problem.host, -1)
        inside = np.zeros(problem.n_vms, dtype=np.bool_)
        inside[vms] = True
        self.others = positions(~inside & problem.runs_at_end() & (host >= 0))
        self.x: dict[tuple[int, int], cp_model.IntVar] = {}
        self.stuck: list[int] = []
        self._variables()
        self._capacities()
        self._limits()

    def _variables(self) -> None:
        problem = self.problem
        room = problem.capacity[self.nodes].copy()
        for v in self.others:
            if (k := positions(self.nodes == self.host[v])).size:
                room[k[0]] -= problem.demand[v]
        self.room = room
        for v in self.vms:
            allowed = problem.domains[problem.domain_of[v], self.nodes] & np.all(problem.demand[v] <= room, axis=1)
            if problem.held[v]:
                allowed = (self.nodes == problem.host[v]) & np.all(problem.demand[v] <= room, axis=1)
            choices = [self.model.new_bool_var("") for _ in range(int(allowed.sum()))]
            for n, choice in zip(self.nodes[allowed], choices, strict=True):
                self.x[int(v), int(n)] = choice
            if choices:
                self.model.add_exactly_one(choices)
            else:
                self.stuck.append(int(v))
                self.model.add_bool_or([])
        self.occupied = {int(n) for n in self.host[self.others]}
        self.used = {int(n): self.model.new_bool_var("") for n in self.nodes if int(n) not in self.occupied}

    def _capacities(self) -> None:
        problem, on = self.problem, self._by_node()
        for k, n in enumerate(self.nodes):
            here = on.get(int(n), [])
            if not here:
                continue
            vms, choices = [v for v, _ in here], [x for _, x in here]
            used = self.used.get(int(n))
            if used is not None:
                for choice in choices:
                    self.model.add_implication(choice, used)
            for r in range(len(problem.resources)):
                demand = problem.demand[vms, r]
                if not demand.any() or (used is None and int(demand.sum()) <= self.room[k, r]):
                    continue
                load = cp_model.LinearExpr.weighted_sum(choices, demand.tolist())
                room = int(self.room[k, r])
                self.model.add(load <= (room if used is None else room * used))

    def _by_node(self) -> dict[int, list[tuple[int, cp_model.IntVar]]]:
        on: dict[int, list[tuple[int, cp_model.IntVar]]] = {}
        for (v, n), choice in self.x.items():
            on.setdefault(n, []).append((v, choice))
        return on

    def _limits(self) -> None:
        of_vm: dict[int, list[tuple[int, cp_model.IntVar]]] = {}
        for (v, n), choice in self.x.items():
            of_vm.setdefault(v, []).append((n, choice))
        runs = self.problem.runs_at_end()
        for limit in self.problem.limits:
            there: dict[int, int] = {}
            choices: dict[int, list[cp_model.IntVar]] = {}
            pinned: dict[int, int] = {}  # what is held stays, even above the limit: best effort
            for v in limit.members:
                if int(v) in of_vm:
                    if self.problem.held[v]:
                        zone = int(limit.zone_of[self.problem.host[v]])
                        pinned[zone] = pinned.get(zone, 0) + 1
                    for n, choice in of_vm[int(v)]:
                        choices.setdefault(int(limit.zone_of[n]), []).append(choice)
                elif runs[v] and self.host[v] >= 0:
                    zone = int(limit.zone_of[self.host[v]])
                    there[zone] = there.get(zone, 0) + 1
            for zone, here in choices.items():
                self.model.add(sum(here) <= max(limit.most - there.get(zone, 0), pinned.get(zone, 0)))

    def _node_terms(self) -> tuple[list[Any], list[int], int]:
        fixed = sum(int(self.node_cost[n]) for n in self.occupied)
        return list(self.used.values()), [int(self.node_cost[n]) for n in self.used], fixed

    def cap_nodes(self, most: int) -> None:
        """Nodes in use (inside and outside) cost at most ``most``."""
        terms, costs, fixed = self._node_terms()
        self.model.add(cp_model.LinearExpr.weighted_sum(terms, costs) + fixed <= most)

    def solve_nodes(self, limits: Limits, *, bound: int = 0) -> Exact:
        """Least cost of nodes in use; ``bound`` is one already proven."""
        terms, costs, fixed = self._node_terms()
        cost = cp_model.LinearExpr.weighted_sum(terms, costs) + fixed
        if bound > fixed:
            self.model.add(cost >= bound)
        self.model.minimize(cost)
        return self._solve(limits)

    def solve_moves(self, limits: Limits, *, bound: int = 0) -> Exact:
        """Least moved memory (and, among VMs without memory, fewest moves); ``bound`` on it is one already proven."""
        weight = self.problem.weight
        light = int((weight[self.vms] == 0).sum())
        outside = sum(int(weight[v]) for v in self.others if self.host[v] != self.home[v] and self.home[v] >= 0)
        stays, costs, total = [], [], outside * (light + 1)
        for v in self.vms:
            if self.home[v] < 0:
                continue
            cost = int(weight[v]) * (light + 1) if weight[v] else 1
            total += cost
            if (stay := self.x.get((int(v), int(self.home[v])))) is not None:
                stays.append(stay)
                costs.append(cost)
        moved = total - cp_model.LinearExpr.weighted_sum(stays, costs)
        if bound:
            self.model.add(moved >= bound * (light + 1))
        self.model.minimize(moved)
        found = self._solve(limits)
        unit = light + 1
        lowest = -(-max(found.bound - light, 0) // unit) if found.status != "optimal" else found.value // unit
        return Exact(status=found.status, host=found.host, value=found.value // unit, bound=max(bound, lowest), work=found.work)

    def hint(self, host: Indices) -> None:
        """Start from a placement that is known."""
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for (v, n), choice in self.x.items():
            self.model.add_hint(choice, int(host[v] == n))
        taken = {int(n) for n in host[self.vms]} | self.occupied
        for n, used in self.used.items():
            self.model.add_hint(used, int(n in taken))

    def _solve(self, limits: Limits) -> Exact:
        if self.stuck:
            return Exact(status="infeasible", host=None, value=0, bound=0, work=0.0)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = max(limits.seconds, 0.01)
        if limits.work is not None:
            solver.parameters.max_deterministic_time = max(limits.work, 0.001)
        solver.parameters.num_workers = limits.workers
        solver.parameters.interleave_search = limits.workers > 1
        solver.parameters.random_seed = limits.seed
        code = _interruptible(solver, self.model)  # no callback: which of several equal solutions it sees first is a race
        work = float(solver.response_proto.deterministic_time)
        if code == cp_model.INFEASIBLE:
            return Exact(status="infeasible", host=None, value=0, bound=0, work=work)
        if code not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Exact(status="unknown", host=None, value=0, bound=0, work=work)
        return Exact(
            status="optimal" if code == cp_model.OPTIMAL else "feasible",
            host=self.read(solver.boolean_value),
            value=round(solver.objective_value),
            bound=int(np.ceil(solver.best_objective_bound - 1e-6)),
            work=work,
        )

    def read(self, chosen: Callable[[cp_model.IntVar], bool]) -> Indices:
        """int32[V]: the placement in which the ``chosen`` booleans hold."""
        host = self.host.copy()
        for (v, n), choice in self.x.items():
            if chosen(choice):
                host[v] = n
        return host


def _interruptible(solver: cp_model.CpSolver, model: cp_model.CpModel) -> Any:
    """The status of a solve that Ctrl-C ends at once.

    The solver would take the signal for itself, answer with what it has, and nobody else would hear of it; and while it works on the
    thread that Python delivers signals to, none gets through.
    """
    solver.parameters.catch_sigint_signal = False
    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            outcome.set_result(solver.solve(model))
        except BaseException as problem:  # for the thread that waits
            outcome.set_exception(problem)

    thread = threading.Thread(target=work, name="solver", daemon=True)
    try:
        thread.start()
        return outcome.result()
    except KeyboardInterrupt:
        solver.stop_search()
        thread.join()
        raise
