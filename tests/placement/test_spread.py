"""Spread: what it is, what is proven of it, and the exact model's answer, against hand-worked cases and every assignment there is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Quarantine
from entropy.placement.balance import balance
from entropy.placement.bounds.spread import level_bounds, spread_bound
from entropy.placement.bounds.spread_moves import moved_bound_within
from entropy.placement.exact import ExactModel, Limits
from entropy.placement.goals import Goals, Value, observed_hosts, value_of
from entropy.placement.spread import MILLION, gauge, load_of, spread
from entropy.placement.viability import is_viable
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem, positions
from small_clusters import clusters, policies

GIB = 1024.0


def goals_for(problem: Problem, *weights: int) -> Goals:
    weight = np.array(weights or [1] * len(problem.resources), dtype=np.int64)
    return Goals(objective="balance", node_cost=np.ones(problem.n_nodes, dtype=np.int64), resource_weight=weight)


def memory_problem(sizes: list[list[float]], capacity: list[float], policy: Policy | None = None, **more: object) -> Problem:
    """Node k has ``capacity[k]`` GiB and runs VMs of ``sizes[k]`` GiB."""
    nodes = tuple(Node(name=f"n{k}", capacity={"memory": c * GIB}) for k, c in enumerate(capacity))
    vms = tuple(
        VM(name=f"v{k}-{i}", node=f"n{k}", demand={"memory": size * GIB}) for k, row in enumerate(sizes) for i, size in enumerate(row)
    )
    return compile_problem(Cluster(nodes=nodes, vms=vms), policy or Policy())


def every_placement(problem: Problem) -> Iterator[Indices]:
    vms = positions(problem.runs_at_end())
    choices = [[int(problem.host[v])] if problem.held[v] else positions(problem.domains[problem.domain_of[v]]).tolist() for v in vms]
    host = np.full(problem.n_vms, -1, dtype=np.int32)
    for chosen in product(*choices):
        host[vms] = chosen
        if is_viable(problem, host):
            yield host


def best_value(problem: Problem, goals: Goals) -> Value | None:
    return min((value_of(problem, goals, host) for host in every_placement(problem)), default=None)


def test_spread_is_the_difference_of_shares_of_capacity() -> None:
    problem = memory_problem([[4, 2], [8], []], [8, 32, 10])
    assert spread(problem, problem.host).tolist() == [750_000]


def test_shares_are_of_the_stated_capacity_though_only_multiples_of_the_demands_can_be_used() -> None:
    problem = memory_problem([[4], [4]], [10, 16])
    assert problem.capacity[:, 0].tolist() == [2, 4]
    assert spread(problem, problem.host).tolist() == [150_000]  # 40 % and 25 %


def test_overcommit_is_capacity_and_equal_thirds_are_equal() -> None:
    nodes = tuple(Node(name=n, capacity={"cpu": c}, overcommit={"cpu": 1.5}) for n, c in (("a", 2.0), ("b", 4.0)))
    vms = tuple(VM(name=f"v{k}", node=n, demand={"cpu": 1.0}) for k, n in enumerate("abb"))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    assert gauge(problem).level(load_of(problem, problem.host))[:, 0].tolist() == [333_333, 333_333]
    assert spread(problem, problem.host).tolist() == [0]


def test_nodes_that_cannot_be_given_work_do_not_count() -> None:
    nodes = (
        Node(name="a", capacity={"memory": 8 * GIB}),
        Node(name="b", capacity={"memory": 8 * GIB}),
        Node(name="off", state="offline", capacity={"memory": 8 * GIB}),
        Node(name="closed", capacity={"memory": 8 * GIB}),
        Node(name="leaving", capacity={"memory": 8 * GIB}, maintenance=True),
        Node(name="bare", capacity={"cpu": 8.0}),
    )
    vms = (
        VM(name="v", node="a", demand={"memory": 4 * GIB}),
        VM(name="w", node="b", demand={"memory": 2 * GIB}),
        VM(name="x", node="closed", demand={"memory": 8 * GIB}),
    )
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=(Quarantine(nodes=("closed",)),)))
    assert gauge(problem).counts[:, 0].tolist() == [True, True, False, False, False, False]
    assert spread(problem, problem.host).tolist() == [250_000]


@given(st.data())
def test_a_window_is_what_its_levels_say(data: st.DataObject) -> None:
    capacity = data.draw(st.lists(st.sampled_from([1.0, 2.5, 7.0, 64.0, 1e9]), min_size=2, max_size=3))
    problem = memory_problem([[1, 2, 0.5], []], [*capacity[:1], *capacity[1:2]])
    measure = gauge(problem)
    level = np.array([data.draw(st.integers(0, 2 * MILLION))])
    most, least = measure.most(level), measure.least(level)
    assert (measure.level(most) <= level).all()
    assert (measure.level(most + 1) > level).all()
    assert (measure.level(least) >= level).all()
    assert (measure.level(np.maximum(least - 1, 0)) <= level).all()
    assert ((least == 0) | (measure.level(least - 1) < level)).all()


def test_amounts_at_the_end_of_the_range_are_measured_exactly() -> None:
    problem = memory_problem([[3e11 + 1], [1e11]], [9e11, 9e11])
    measured = gauge(problem).level(load_of(problem, problem.host))[:, 0].tolist()
    assert measured == [int((3 * 10**11 + 1) * MILLION // (9 * 10**11)), MILLION // 9]


# -- bounds, hand-worked -----------------------------------------------------------------------------------------------


def bound(problem: Problem) -> tuple[int, int]:
    high, low = level_bounds(problem)
    return int(high[0]), int(low[0])


def test_water_settles_at_whole_vms() -> None:
    """Five VMs of 2 GiB on two nodes of 20: one node has three."""
    assert bound(memory_problem([[2] * 5, []], [20, 20])) == (300_000, 200_000)


def test_the_largest_vm_stands_whole_on_its_best_node() -> None:
    """20 GiB on the node of 40 are 50 %; beside it, 3 x 1 GiB are left for two nodes of 20."""
    assert bound(memory_problem([[], [1, 1, 1], [20]], [20, 20, 40])) == (500_000, 50_000)


def test_of_three_vms_two_share_one_of_two_nodes() -> None:
    assert bound(memory_problem([[4], [4, 4]], [16, 16]))[0] == 500_000
    assert bound(memory_problem([[5], [5, 3]], [16, 16]))[0] == 500_000  # 5 + 3


def test_what_must_stay_is_the_ground() -> None:
    nodes = tuple(Node(name=n, capacity={"memory": 20 * GIB}) for n in "ab")
    vms = (
        VM(name="stays", node="a", migratable=False, demand={"memory": 12 * GIB}),
        *(VM(name=f"v{k}", node="a", demand={"memory": 1 * GIB}) for k in range(4)),
    )
    assert bound(compile_problem(Cluster(nodes=nodes, vms=vms), Policy())) == (600_000, 200_000)


def test_fenced_vms_are_poured_over_their_nodes_alone() -> None:
    fence = Policy(constraints=(Fence(vms=("v0-*",), nodes=("n0",)),))
    assert bound(memory_problem([[4, 4], [4], []], [16, 16, 16], fence)) == (500_000, 0)
    problem = memory_problem([[4, 4], [2, 2], []], [16, 16, 16], fence)
    assert bound(problem) == (500_000, 125_000)
    assert spread_bound(problem, goals_for(problem, 3)) == 3 * 375_000


def test_what_is_above_a_narrow_window_must_leave_and_what_is_below_must_come() -> None:
    problem = memory_problem([[4, 4, 4, 4], [], [], []], [16] * 4)
    goals, unit = goals_for(problem), float(problem.scale[0]) * GIB
    assert moved_bound_within(problem, goals, 0) / unit == 12
    assert moved_bound_within(problem, goals, 250_000) / unit == 8
    assert moved_bound_within(problem, goals, MILLION) == 0


def test_memory_follows_what_cpu_must_move() -> None:
    nodes = tuple(Node(name=n, capacity={"cpu": 8.0, "memory": 64 * GIB}) for n in "ab")
    vms = tuple(VM(name=f"v{k}", node="a", demand={"cpu": 1.0, "memory": (1 + k) * GIB}) for k in range(4))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    goals = goals_for(problem, 1, 0)
    assert moved_bound_within(problem, goals, 0) / (float(problem.scale[1]) * GIB) == 3  # 1 + 2 GiB for two cores


def test_nothing_to_balance() -> None:
    empty = compile_problem(Cluster(nodes=(Node(name="a", capacity={"memory": 1.0}),), vms=()), Policy())
    assert spread(empty, empty.host).tolist() == []
    assert spread_bound(empty, goals_for(empty)) == 0
    one = memory_problem([[1, 2]], [8])
    assert spread(one, one.host).tolist() == [0]
    assert spread_bound(one, goals_for(one)) == 0


# -- against every assignment ------------------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[Problem, Goals]:
    cluster = draw(clusters(viable=True, nodes=3, vms=6))
    problem = compile_problem(cluster, draw(policies(cluster)))
    return problem, goals_for(problem, *(draw(st.integers(0, 3)) for _ in problem.resources))


@settings(max_examples=60)
@given(problems())
def test_bounds_and_the_exact_optimum(case: tuple[Problem, Goals]) -> None:
    problem, goals = case
    best = best_value(problem, goals)
    if best is None:
        return
    nodes = np.arange(problem.n_nodes, dtype=np.int32)
    model = ExactModel(problem, observed_hosts(problem), positions(problem.runs_at_end()), nodes, goals.node_cost)
    found = model.solve_spread(goals, Limits(seconds=20))
    assert spread_bound(problem, goals) <= best.primary
    assert moved_bound_within(problem, goals, best.primary) <= best.moved
    assert found.host is not None
    assert found.status == "optimal"
    assert found.value == found.bound == best.primary == value_of(problem, goals, found.host).primary
    model.cap_spread(goals, best.primary)
    again = model.solve_moves(Limits(seconds=20))
    assert again.host is not None
    assert value_of(problem, goals, again.host) == best


@settings(max_examples=60)
@given(problems(), st.integers(0, 3))
def test_kernels_keep_every_rule_and_never_make_it_worse(case: tuple[Problem, Goals], seed: int) -> None:
    problem, goals = case
    start = next(every_placement(problem), None)
    if start is None:
        return
    found = balance(Working(problem, start), goals, lambda: False, np.random.default_rng(seed))
    assert is_viable(problem, found.host)
    assert (found.free == problem.capacity - load_of(problem, found.host)).all()
    assert spread_bound(problem, goals) <= value_of(problem, goals, found.host).primary
    assert value_of(problem, goals, found.host) <= value_of(problem, goals, start)


# -- kernels, hand-worked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "capacity", "spread_then", "moved"),
    [
        ([[4, 4, 4, 4], [], [], []], [16] * 4, 0, 12),  # one each
        ([[8, 2], [4, 2]], [32, 32], 0, 2),  # 8 against 4 + 2 + 2: the small one goes
        ([[6, 5], [5, 4, 2]], [32, 32], 0, 0),  # even already
        ([[8, 1], [4, 3]], [32, 64], 15_625, 12),
    ],
)
def test_small_clusters_are_balanced(sizes: list[list[float]], capacity: list[float], spread_then: int, moved: int) -> None:
    problem = memory_problem(sizes, capacity)
    goals = goals_for(problem)
    found = value_of(problem, goals, balance(Working(problem, problem.host), goals, lambda: False, np.random.default_rng(0)).host)
    scale = float(problem.scale[0])
    assert (found.primary, found.moved / scale / GIB) == (spread_then, moved)
