"""Repairs by prices: they see what a departure costs elsewhere, which the lightest departure does not."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.bounds.displacement import strong_moved_bound
from entropy.placement.goals import moved_memory
from entropy.placement.repricing import repriced
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from small_clusters import brute_force, clusters, policies

GIB = 1024


def _vm(name: str, node: str, cpu: float, gib: float) -> VM:
    return VM(name=name, node=node, demand={"cpu": cpu, "memory": gib * GIB})


def test_the_lightest_departure_is_not_always_the_cheapest() -> None:
    """x is lighter than y, but fits nowhere unless w makes room; y fits."""
    nodes = tuple(Node(name=n, capacity={"cpu": 4, "memory": 12 * GIB}) for n in "ab")
    vms = (_vm("x", "a", 2, 2), _vm("y", "a", 1, 3), _vm("z", "a", 2, 6), _vm("w", "b", 3, 4))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    found = strong_moved_bound(problem, lambda: math.inf)
    assert found.price is not None
    host = repriced(problem, found.price, np.random.default_rng(0), lambda: False, found.value)
    assert host is not None
    assert host.tolist() == [0, 1, 0, 1]
    assert found.value == moved_memory(problem, host)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_prices_find_keeps_every_rule(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    problem = compile_problem(cluster, policy)
    price = problem.weight * np.array(data.draw(st.lists(st.floats(0, 4), min_size=problem.n_vms, max_size=problem.n_vms)))
    host = repriced(problem, price, np.random.default_rng(0), lambda: False, 0, tries=2)
    if host is None:
        return
    assert is_viable(problem, host)
    if (best := brute_force(cluster, policy)) is None:  # a VM that may neither stay nor leave is refused before placement
        return
    scale = float(problem.scale[problem.resources.index("memory")])
    assert moved_memory(problem, host) >= best.repair * scale
