"""Column generation: bounds never above the optimum, patterns that are placements, and the optimum where classes are few."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.bounds import node_bound
from entropy.placement.bounds.classes import Classes, merged
from entropy.placement.bounds.columns import Pool, generate, lagrangian
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.parts import given as placed_already
from entropy.placement.bounds.patterns import all_patterns, dive
from entropy.placement.bounds.pricing import best_set
from entropy.placement.bounds.strong import pattern_optimum, pattern_placement, strong_node_bound
from entropy.placement.goals import moved_memory
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Integers, Problem
from small_clusters import clusters, policies


def least_cost(problem: Problem, cost: Integers) -> int | None:
    """By brute force over the capacities, the sets of nodes and the held VMs."""
    runs = np.flatnonzero(problem.runs_at_end())
    choices = [[int(problem.host[v])] if problem.held[v] else np.flatnonzero(problem.domains[problem.domain_of[v]]).tolist() for v in runs]
    best = None
    for hosts in product(*choices):
        spent = int(cost[sorted(set(hosts))].sum())
        if (best is None or spent < best) and _fits(problem, runs, hosts):
            best = spent
    return best


def _fits(problem: Problem, vms: Integers, hosts: tuple[int, ...]) -> bool:
    load = np.zeros_like(problem.capacity)
    np.add.at(load, list(hosts), problem.demand[vms])
    return bool((load <= problem.capacity).all())


def packing(room: dict[str, float], demands: list[dict[str, float]], nodes: int) -> Problem:
    """Running VMs, each on a node of its own."""
    hosts = tuple(Node(name=f"n{k}", capacity=room) for k in range(nodes))
    vms = tuple(VM(name=f"v{k}", state="running", node=f"n{k}", demand=d) for k, d in enumerate(demands))
    return compile_problem(Cluster(nodes=hosts, vms=vms), Policy())


def ones(problem: Problem) -> Integers:
    return np.ones(problem.n_nodes, dtype=np.int64)


def classes_of(problem: Problem) -> Classes:
    found = merged(problem, placed_already(problem, ones(problem)), most_classes=100, most_nodes=100)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_never_above_the_optimum_and_equal_where_classes_are_few(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=data.draw(st.booleans()), vms=5))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    cost = np.array(data.draw(st.lists(st.sampled_from([0, 3, 4, 7]), min_size=len(cluster.nodes), max_size=len(cluster.nodes))))
    optimum = least_cost(problem, cost)
    if optimum is None:
        return
    bound, _ = strong_node_bound(problem, cost, Effort())
    relaxed = max(optimum, node_bound(problem, cost))  # group limits may ask for more than the brute force here knows of
    assert node_bound(problem, cost) <= bound <= relaxed
    best, host = pattern_placement(problem, cost, Effort())
    assert best.bound <= relaxed
    if host is not None and best.cost is not None:
        runs = np.flatnonzero(problem.runs_at_end())
        assert _fits(problem, runs, tuple(host[runs].tolist()))
        assert all(problem.domains[problem.domain_of[v], host[v]] or (problem.held[v] and host[v] == problem.host[v]) for v in runs)
        assert int(cost[np.unique(host[runs])].sum()) == optimum
        assert optimum <= best.cost


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_best_set_is_the_best_of_all(data: st.DataObject) -> None:
    """Whether by search or from a table, against every set; and a search cut short still gives an upper bound."""
    dims = data.draw(st.integers(1, 3))
    sizes = data.draw(st.lists(st.tuples(*[st.integers(0, 9)] * dims), min_size=1, max_size=6))
    count = np.array([data.draw(st.integers(1, 3)) for _ in sizes])
    room = np.array([[data.draw(st.integers(1, 20)) for _ in range(dims)]])
    demand = np.array(sizes)
    most = np.array([[min([int(c), *(int(room[0, r]) // s[r] for r in range(dims) if s[r])]) for s, c in zip(sizes, count, strict=True)]])
    one = np.ones(1, dtype=np.int64)
    classes = Classes(demand, ((),) * len(sizes), count, room, one, ((),), one, most, 0)  # type: ignore[arg-type]
    value = np.array([data.draw(st.integers(0, 1 << 40)) for _ in sizes])
    sets = product(*(range(int(c) + 1) for c in most[0]))
    best = max(int(value @ np.array(s)) for s in sets if (np.array(s) @ demand <= room[0]).all())
    for scale in (1, 1 << 20):  # the second is too large for a table
        large = Classes(demand * scale, classes.vms, count, room * scale, one, classes.nodes, one, most, 0)
        found = best_set(large, 0, value, 0, 10_000)
        assert found.exact
        assert found.upper == best
        for pattern in found.patterns:
            assert (pattern @ demand <= room[0]).all()
            assert (pattern <= count).all()
        assert best == 0 or int(found.patterns[-1] @ value) == best
        assert best_set(large, 0, value, 0, 1).upper >= best
        assert best_set(large, 0, value, best + 5, 10_000).upper == best + 5


def test_values_of_any_kind_prove_no_more_than_the_optimum() -> None:
    """Two VMs of 6 and two of 4 on nodes of 10: two nodes."""
    problem = packing({"memory": 10.0}, [{"memory": 6.0}, {"memory": 6.0}, {"memory": 4.0}, {"memory": 4.0}], 4)
    classes = classes_of(problem)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        value = rng.integers(0, 2000, 2)
        upper = [best_set(classes, 0, value, 0, 1000).upper]
        seen.add(lagrangian(classes, value, upper, 1000))
    assert max(seen) == 2


def test_column_generation_sees_more_than_functions_of_sizes() -> None:
    """A ring of five VMs, each in conflict with its neighbours over a resource that both need: two to a node, so three nodes.

    A sixth and small one fits anywhere.
    """
    demands = [{f"r{r}": 6.0 if r in (k, (k + 1) % 5) else 0.0 for r in range(5)} for k in range(5)]
    demands.append({f"r{r}": 1.0 for r in range(5)})
    problem = packing({f"r{r}": 11.0 for r in range(5)}, demands, 6)
    assert node_bound(problem, ones(problem)) == 2
    assert strong_node_bound(problem, ones(problem), Effort()) == (3, "column generation")


def test_few_classes_are_decided_exactly() -> None:
    """Seven VMs of 3 on nodes of 10 make 2 1/3, so 3 nodes; with nodes of 8, two each, four."""
    for room, least in ((10.0, 3), (8.0, 4)):
        problem = packing({"memory": room}, [{"memory": 3.0}] * 6 + [{"memory": 2.9}], 7)
        best = pattern_optimum(problem, ones(problem), Effort())
        assert (best.bound, best.cost) == (least, least)


def test_a_gap_that_rounding_leaves_is_closed_exactly() -> None:
    """The relaxation packs 1/2 + 1/2 of patterns; whole patterns need one node more, and that is proven."""
    demands = [{"a": a, "b": b, "c": c} for a, b, c in ((5.0, 5.0, 0.0), (5.0, 0.0, 5.0), (0.0, 5.0, 5.0))]
    problem = packing({"a": 9.0, "b": 9.0, "c": 9.0}, demands, 3)
    best = pattern_optimum(problem, ones(problem), Effort())
    assert best.bound == best.cost == 3  # pairwise in conflict: a clique


def test_dear_nodes_are_used_only_where_they_must_be() -> None:
    nodes = (
        *(Node(name=f"big{k}", capacity={"memory": 10.0}) for k in range(2)),
        *(Node(name=f"small{k}", capacity={"memory": 5.0}) for k in range(4)),
    )
    vms = tuple(
        VM(name=f"v{k}", state="running", node=f"big{k // 4}", demand={"memory": m}) for k, m in enumerate([6.0, 2.0, 2.0, 3.0, 3.0])
    )
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    cost = np.array([10, 10, 3, 3, 3, 3])
    best, host = pattern_placement(problem, cost, Effort())
    assert node_bound(problem, cost) < 16
    assert best.bound == best.cost == 16  # the 6 takes a large node; what it leaves and one small one are 1 short
    assert host is not None


def test_as_much_memory_stays_as_patterns_allow() -> None:
    """Each node keeps its 6 and takes a 4, or keeps its 4: the fuller nodes stay."""
    problem = packing({"memory": 10.0}, [{"memory": 6.0}] * 3 + [{"memory": 4.0}] * 3, 6)
    best, host = pattern_placement(problem, ones(problem), Effort())
    assert best.cost == 3
    assert host is not None
    assert moved_memory(problem, host) == 3 * problem.weight[3]


def test_all_maximal_patterns_are_listed() -> None:
    problem = packing({"memory": 10.0}, [{"memory": 6.0}, {"memory": 4.0}, {"memory": 4.0}, {"memory": 2.0}], 4)
    pool = all_patterns(classes_of(problem), 1_000)
    assert pool is not None
    classes = classes_of(problem)
    found = {tuple(sorted((int(d), int(x)) for d, x in zip(classes.demand[:, 0], p, strict=True))) for p in pool.patterns}
    assert found == {((1, 0), (2, 1), (3, 1)), ((1, 1), (2, 0), (3, 1)), ((1, 1), (2, 2), (3, 0))}
    assert all_patterns(classes_of(problem), 3) is None


@pytest.mark.parametrize("seed", range(3))
def test_work_limits_make_answers_repeatable(seed: int) -> None:
    rng = np.random.default_rng(seed)
    demands = [{"cpu": float(c), "memory": float(m)} for c, m in rng.integers(5, 60, (24, 2))]
    problem = packing({"cpu": 100.0, "memory": 100.0}, demands, 24)
    answers = [strong_node_bound(problem, ones(problem), Effort(work=0.002)) for _ in range(2)]
    assert answers[0] == answers[1]
    best = pattern_optimum(problem, ones(problem), Effort(work=2.0))
    assert answers[0][0] <= best.bound <= (best.cost or 0)


def test_dives_cover_everything() -> None:
    rng = np.random.default_rng(7)
    demands = [{"cpu": float(c), "memory": float(m)} for c, m in rng.integers(5, 60, (30, 2))]
    problem = packing({"cpu": 100.0, "memory": 100.0}, demands, 30)
    classes = classes_of(problem)
    found = generate(classes, Pool(), Effort())
    for attempt in range(3):
        uses = dive(classes, found, Effort(), attempt, Pool())
        assert uses is not None
        assert (uses.times @ uses.patterns >= classes.count).all()
        assert (uses.patterns @ classes.demand <= classes.room[uses.node_class]).all()
        assert found.bound <= uses.cost <= found.bound + 2
