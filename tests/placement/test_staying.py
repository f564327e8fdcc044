"""Least moved memory over whole patterns: proven, reached, and never above what brute force finds."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.staying import staying
from entropy.placement.goals import moved_memory
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Integers, Problem
from small_clusters import clusters, policies


def placements(problem: Problem, cost: Integers, most_cost: int | None) -> list[int]:
    """Moved memory of every placement within capacities, sets of nodes, held VMs and cost."""
    runs = np.flatnonzero(problem.runs_at_end())
    choices = [[int(problem.host[v])] if problem.held[v] else np.flatnonzero(problem.domains[problem.domain_of[v]]).tolist() for v in runs]
    out = []
    for hosts in product(*choices):
        host = np.full(problem.n_vms, -1, dtype=np.int32)
        host[runs] = hosts
        if viable(problem, host, cost, most_cost):
            out.append(moved_memory(problem, host))
    return out


def viable(problem: Problem, host: Indices, cost: Integers, most_cost: int | None) -> bool:
    runs = host >= 0
    load = np.zeros_like(problem.capacity)
    np.add.at(load, host[runs], problem.demand[runs])
    return bool((load <= problem.capacity).all()) and (most_cost is None or int(cost[np.unique(host[runs])].sum()) <= most_cost)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_bound_and_placement_against_brute_force(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=data.draw(st.booleans()), vms=5))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    cost = np.array(data.draw(st.lists(st.sampled_from([0, 3, 4]), min_size=len(cluster.nodes), max_size=len(cluster.nodes))))
    most_cost = data.draw(st.sampled_from([None, 4, 7, 10]))
    possible = placements(problem, cost, most_cost)
    if not possible:
        return
    found = staying(problem, cost, most_cost, Effort())
    assert found is not None
    assert found.bound <= min(possible)
    if found.host is not None:
        assert viable(problem, found.host, cost, most_cost)
        assert moved_memory(problem, found.host) in possible
        assert moved_memory(problem, found.host) == min(possible)


def cluster_of(residents: list[list[float]], room: float) -> Problem:
    nodes = tuple(Node(name=f"n{k}", capacity={"memory": room}) for k in range(len(residents)))
    vms = tuple(
        VM(name=f"v{k}-{j}", state="running", node=f"n{k}", demand={"memory": size})
        for k, sizes in enumerate(residents)
        for j, size in enumerate(sizes)
    )
    return compile_problem(Cluster(nodes=nodes, vms=vms), Policy())


def test_the_cheapest_two_nodes_are_emptied() -> None:
    """Four nodes of 10, 20 in all: two must go.  6 + 4 and 7 + 3 fill two nodes; staying put costs 3 + 4 only with 6 and 7 kept."""
    problem = cluster_of([[6.0], [7.0], [3.0], [4.0]], 10.0)
    found = staying(problem, np.ones(4, dtype=np.int64), 2, Effort())
    assert found is not None
    assert found.host is not None
    assert found.bound == moved_memory(problem, found.host) == int(problem.weight[2] + problem.weight[3])


def test_arrivals_displace_what_was_there() -> None:
    """A node of 10 that runs 4 + 4 has room for the 6 that loses its node only if a 4 leaves: 10 move, not 6."""
    problem = cluster_of([[4.0, 4.0], [5.0], [6.0]], 10.0)
    problem.domains[:, 2] = False
    found = staying(problem, np.ones(3, dtype=np.int64), None, Effort())
    assert found is not None
    assert found.host is not None
    assert found.bound == moved_memory(problem, found.host) == int(problem.weight[0] + problem.weight[3])


def test_too_many_classes_are_left_to_others() -> None:
    rng = np.random.default_rng(0)
    problem = cluster_of([[float(x)] for x in rng.uniform(1.0, 6.0, 60)], 10.0)
    assert staying(problem, np.ones(60, dtype=np.int64), 30, Effort()) is None
