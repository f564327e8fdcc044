"""Which nodes a packing keeps first."""

from __future__ import annotations

import numpy as np

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.consolidate import consolidate
from entropy.placement.keeping import orders
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem


def _problem(shapes: list[tuple[int, int]], vms: list[tuple[int, int]], *, offline: int = -1) -> Problem:
    nodes = tuple(
        Node(name=f"n{k}", state="offline" if k == offline else "online", capacity={"cpu": c, "memory": m})
        for k, (c, m) in enumerate(shapes)
    )
    online = [k for k in range(len(shapes)) if k != offline]
    machines = tuple(VM(name=f"v{k}", node=f"n{online[k]}", demand={"cpu": c, "memory": m}) for k, (c, m) in enumerate(vms))
    return compile_problem(Cluster(nodes=nodes, vms=machines), Policy())


def test_nodes_of_two_shapes_are_mixed_so_that_no_resource_runs_short() -> None:
    # ten VMs of 1 x 1: a node of each shape offers 16 x 16, three of one shape are needed alone
    problem = _problem([(12, 4)] * 5 + [(4, 12)] * 5, [(1, 1)] * 10)
    kept = np.arange(10, dtype=np.int64)  # the fullest are all rich in memory
    first = orders(problem, kept, np.ones(10, dtype=np.int64), least=2)[0]
    assert set((first[:2] // 5).tolist()) == {0, 1}
    assert sorted(first.tolist()) == list(range(10))


def test_a_node_that_is_off_is_not_kept() -> None:
    problem = _problem([(8, 8), (16, 16), (8, 8)], [(1, 1), (1, 1)], offline=1)
    for order in orders(problem, np.array([1, 0, 1]), np.ones(3, dtype=np.int64), least=1):
        assert 1 not in order


def test_equal_nodes_have_one_order() -> None:
    problem = _problem([(8, 8)] * 3, [(1, 1), (2, 2), (1, 1)])
    found = orders(problem, np.array([1, 2, 1]), np.ones(3, dtype=np.int64), least=1)
    assert [order.tolist() for order in found] == [[1, 0, 2]]


def test_vms_of_two_shapes_are_packed_onto_a_mixture() -> None:
    problem = _problem([(12, 4)] * 4 + [(4, 12)] * 4, [(3, 1), (1, 3)] * 4)
    kept, cost = np.ones(8, dtype=np.int64), np.ones(8, dtype=np.int64)
    w = Working(problem, problem.host)
    best = consolidate(w, kept, cost, 2, 0, np.random.default_rng(0), lambda: False)
    assert int(best.used.sum()) == 2
