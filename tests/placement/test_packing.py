"""Packings on fewer nodes: the kernels' accounts, what is found, and the rules that hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Gather, Root, Running, Spread
from entropy.placement.budget import Budget
from entropy.placement.goals import observed_hosts
from entropy.placement.packing import fewer_nodes, repack
from entropy.placement.packing.completion import fill
from entropy.placement.packing.dive import Dive
from entropy.placement.packing.ejection import eject
from entropy.placement.packing.settle import settled
from entropy.placement.packing.state import Grouping, Packing, packing
from entropy.placement.packing.task import Tasks
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem
from small_clusters import GROUPS, PLAIN, brute_force, clusters, policies


def _budget(work: float, seed: int = 0) -> Budget:
    return Budget(remaining=lambda: float("inf"), work=work, seed=seed)


def _problem(sizes: Sequence[tuple[float, float]], rules: Sequence[object] = (), capacity: tuple[float, float] = (100, 100)) -> Problem:
    """One VM a node, as many nodes as VMs, racks of three."""
    nodes = tuple(
        Node(name=f"n{k}", capacity={"cpu": capacity[0], "memory": capacity[1]}, labels={"rack": f"r{k // 3}"}) for k in range(len(sizes))
    )
    vms = tuple(VM(name=f"v{k}", node=f"n{k}", demand={"cpu": cpu, "memory": memory}) for k, (cpu, memory) in enumerate(sizes))
    return compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=tuple(rules)))  # type: ignore[arg-type]


def _triplets(count: int, seed: int) -> list[tuple[float, float]]:
    """``count`` nodes of 100 x 100, each cut into three VMs without waste, shuffled."""
    rng = np.random.default_rng(seed)
    sizes: list[tuple[float, float]] = []
    for _ in range(count):
        cpu, memory = rng.integers(20, 45, 2), rng.integers(20, 45, 2)
        rows = [(float(c), float(m)) for c, m in zip(cpu, memory, strict=True)]
        sizes += [*rows, (100 - float(cpu.sum()), 100 - float(memory.sum()))]
    rng.shuffle(sizes)
    return sizes


def _used(host: Indices) -> int:
    return len(np.unique(host[host >= 0]))


def _ones(problem: Problem) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.ones(problem.n_nodes, dtype=np.int64)


@st.composite
def packings(draw: st.DrawFn) -> Packing:
    """Small ones with fences and groups, some VMs placed."""
    n, m = draw(st.integers(1, 10)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    demand = rng.integers(0, 6, (n, 2)).astype(np.int64)
    room = rng.integers(-2, 12, (m, 2)).astype(np.int64)
    allowed = rng.random((2, m)) < 0.8
    zone = rng.integers(0, 2, (1, m)).astype(np.int32)
    members = rng.random(n) < 0.5
    grouping = Grouping(
        np.concatenate(([0], np.cumsum(members))).astype(np.int32),
        np.zeros(int(members.sum()), dtype=np.int32),
        np.array([2], dtype=np.int64),
        zone,
        np.zeros((1, 2), dtype=np.int64),
    )
    nowhere = np.full(n, -1, dtype=np.int32)
    return packing(demand, room, allowed, rng.integers(0, 2, n).astype(np.int32), nowhere, grouping, seed)


def _assert_accounts_hold(s: Packing, room: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> None:
    n, m = len(s.where), len(s.number)
    free = room.copy()
    for i in range(n):
        if s.where[i] >= 0:
            free[s.where[i]] -= s.demand[i]
            assert s.allowed[s.domain_of[i], s.where[i]]
            assert i in s.items[s.where[i], : s.number[s.where[i]]]
    assert np.array_equal(free, s.free)
    used = np.bincount(s.where[s.where >= 0], minlength=m)
    assert np.array_equal(used, s.number)
    assert (free[used > 0] >= 0).all()
    assert sorted(s.pool[: s.left[0]].tolist()) == np.flatnonzero(s.where < 0).tolist()
    for g in range(len(s.most)):
        members = [i for i in range(n) if g in s.group_of[s.group_start[i] : s.group_start[i + 1]] and s.where[i] >= 0]
        there = np.bincount(s.zone[g, s.where[members]], minlength=s.there.shape[1])
        assert np.array_equal(there, s.there[g])
        assert there.max() <= s.most[g]


@settings(max_examples=60, deadline=None)
@given(packings())
def test_the_ejection_search_keeps_its_accounts(s: Packing) -> None:
    room = s.free.copy()
    for _ in range(4):
        eject.python(s, 40)
        _assert_accounts_hold(s, room)


@settings(max_examples=60, deadline=None)
@given(packings(), st.sampled_from([2, 4, 20]))
def test_bin_completion_keeps_its_accounts(s: Packing, sample: int) -> None:
    room = s.free.copy()
    fill.python(s, np.arange(len(s.number), dtype=np.int32), sample, 10_000)
    _assert_accounts_hold(s, room)
    if sample < len(s.where):
        return
    for i in s.pool[: s.left[0]].tolist():  # all were candidates everywhere: nobody stays out who has room, and needs any
        if not s.demand[i].any():
            continue
        groups = s.group_of[s.group_start[i] : s.group_start[i + 1]]
        for b in np.flatnonzero(s.allowed[s.domain_of[i]] & (s.free >= s.demand[i]).all(axis=1)):
            assert any(s.there[g, s.zone[g, b]] >= s.most[g] for g in groups)


def test_bin_completion_finds_the_sets_that_leave_nothing() -> None:
    """Largest first, best fit, would put 50 beside 60, and need three nodes."""
    demand = np.array([[60], [50], [30], [20], [40]], dtype=np.int64)
    room = np.array([[100], [100]], dtype=np.int64)
    everywhere = np.ones((1, 2), dtype=np.bool_)
    s = packing(demand, room, everywhere, np.zeros(5, dtype=np.int32), np.full(5, -1), None, 0)
    fill.python(s, np.arange(2, dtype=np.int32), 10, 100)
    assert s.left[0] == 0
    assert (s.free == 0).all()


def test_bin_completion_weighs_what_is_scarce() -> None:
    """Memory is plentiful: the node is filled with cpu, though other VMs would take more of both together."""
    demand = np.array([[50, 5], [50, 5], [30, 60], [10, 10]], dtype=np.int64)
    room = np.array([[100, 200], [41, 200]], dtype=np.int64)
    s = packing(demand, room, np.ones((1, 2), dtype=np.bool_), np.zeros(4, dtype=np.int32), np.full(4, -1), None, 0)
    fill.python(s, np.arange(2, dtype=np.int32), 10, 100)
    assert s.left[0] == 0


def test_contents_of_like_nodes_are_exchanged_for_what_stays() -> None:
    demand = np.array([[3], [2], [1]], dtype=np.int64)
    room = np.array([[4], [4], [5]], dtype=np.int64)
    s = packing(demand, room, np.ones((1, 3), dtype=np.bool_), np.zeros(3, dtype=np.int32), np.array([1, 0, 2]), None, 0)
    at = settled(s, room, np.ones(3, dtype=np.int64), np.array([0, 1, 0], dtype=np.int32), demand[:, 0])
    assert at.tolist() == [0, 1, 2]


def test_both_twins_give_the_same_answer() -> None:
    found = []
    for run, complete in ((eject.python, fill.python), (eject.compiled, fill.compiled)):
        problem = _problem(_triplets(6, 1), [Spread(vms=("v1", "v2", "v3"), across="rack")])
        tasks = Tasks(problem)
        room, _ = tasks.fixed_room(problem.host, tasks.may_move(problem.host))
        task = tasks.task(problem.host, np.arange(7, dtype=np.int32), np.arange(7, 18, dtype=np.int32), room, 3)
        complete(task.state, np.arange(7, dtype=np.int32), 8, 20)
        run(task.state, 3_000)
        found.append((task.state.where.tolist(), task.state.penalty.tolist(), int(task.state.rng[0])))
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(3))
def test_nodes_without_any_room_left_are_packed(seed: int) -> None:
    problem = _problem(_triplets(12, seed))
    host = fewer_nodes(problem, problem.host, _ones(problem), 12, _budget(10.0))
    assert host is not None
    assert is_viable(problem, host)
    assert _used(host) == 12


def test_the_dive_alone_packs_without_waste() -> None:
    problem = _problem(_triplets(10, 5))
    dive = Dive(problem, Tasks(problem), _ones(problem))
    host = dive.fewer(problem.host, [], _budget(10.0), 200_000, 0)
    assert host is not None
    assert is_viable(problem, host)
    assert (_used(host), dive.bound) == (10, 10)


def test_the_dive_keeps_groups_apart() -> None:
    apart = Spread(vms=tuple(f"v{k}" for k in range(0, 24, 2)), across="node")
    problem = _problem([(20, 30)] * 24, [apart])
    dive = Dive(problem, Tasks(problem), _ones(problem))
    host = dive.fewer(problem.host, [], _budget(10.0), 200_000, 0)
    assert host is not None
    assert is_viable(problem, host)
    assert _used(host) == 12  # twelve that keep apart; the relaxation does not know it, and says 8


def test_rules_are_kept() -> None:
    sizes = _triplets(8, 2)
    rules = [
        Spread(vms=("v0", "v1", "v2", "v3"), across="rack"),
        Fence(vms=("v4", "v5"), nodes=("n4", "n5", "n6")),
        Root(vms=("v7",)),
        Gather(vms=("v9", "v10"), across="rack"),
    ]
    problem = _problem(sizes, rules)
    host = fewer_nodes(problem, problem.host, _ones(problem), 8, _budget(1.0))
    assert host is not None
    assert is_viable(problem, host)
    assert _used(host) < 24
    assert host[7] == 7


def test_vms_of_soft_rules_stay() -> None:
    problem = _problem([(40, 40)] * 4, [Spread(vms=("v0", "v1"), across="node", soft=True, weight=3)])
    host = fewer_nodes(problem, problem.host, _ones(problem), 1, _budget(0.5))
    assert host is not None
    assert (host[0], host[1], _used(host)) == (0, 1, 2)


def test_a_dear_node_makes_way_for_cheap_ones() -> None:
    """Three VMs on a node of cost 9; two nodes of cost 1 that are not in use could hold them."""
    nodes = tuple(Node(name=n, capacity={"cpu": c, "memory": 100}) for n, c in (("dear", 90), ("a", 60), ("b", 30)))
    vms = tuple(VM(name=f"v{k}", node="dear", demand={"cpu": 30, "memory": 10}) for k in range(3))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy())
    host = fewer_nodes(problem, problem.host, np.array([9, 1, 1]), 1, _budget(2.0))
    assert host is not None
    assert is_viable(problem, host)
    assert 0 not in host


def test_a_large_vm_drives_many_small_ones_out() -> None:
    """Six small VMs on the only node where the large one may run."""
    sizes = [(90.0, 90.0)] + [(16.0, 16.0)] * 6
    problem = _problem(sizes, [Fence(vms=("v0",), nodes=("n0",)), Fence(vms=tuple(f"v{k}" for k in range(1, 7)), nodes=("n0", "n1"))])
    tasks = Tasks(problem)
    start = np.array([-1, *[0] * 6], dtype=np.int32)
    room, _ = tasks.fixed_room(start, tasks.may_move(start))
    state = packing(problem.demand, room[:2], problem.domains[:, :2], problem.domain_of, start, None, 0)
    assert eject.python(state, 10_000) > 0
    assert state.left[0] == 0
    assert state.where.tolist() == [0, *[1] * 6]


def test_what_fits_nowhere_is_given_up() -> None:
    problem = _problem([(60, 60)] * 3)
    everywhere = np.ones((len(problem.domains), 1), dtype=np.bool_)
    state = packing(problem.demand, problem.capacity[:1] - 50, everywhere, problem.domain_of, np.full(3, -1), None, 0)
    assert eject.python(state, 10_000) < 0


def test_nothing_fewer_is_no_placement() -> None:
    problem = _problem([(60, 60)] * 5)
    assert fewer_nodes(problem, problem.host, _ones(problem), 3, _budget(0.5)) is None


def test_what_the_dive_proves_ends_it() -> None:
    """Any two of the five overload a node."""
    problem = _problem([(60, 60)] * 5)
    budget = _budget(100.0)
    packed = repack(problem, problem.host, _ones(problem), 3, budget)
    assert (packed.host, packed.bound) == (None, 5)
    assert budget.work is not None
    assert budget.work > 50.0


def test_nothing_is_proven_beside_vms_that_the_search_leaves_alone() -> None:
    problem = _problem([(40, 40)] * 4, [Spread(vms=("v0", "v1"), across="node", soft=True, weight=3)])
    assert repack(problem, problem.host, _ones(problem), 1, _budget(0.2)).bound == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_against_brute_force(data: st.DataObject) -> None:
    """Any mixture of rules: what is found is viable and fewer, what is proven is no more than the optimum."""
    cluster = data.draw(clusters(viable=True, nodes=3, vms=5))
    policy = data.draw(policies(cluster, kinds=PLAIN + GROUPS, most=2))
    problem = compile_problem(cluster, policy)
    start = observed_hosts(problem)
    assume(not problem.contradictions and is_viable(problem, start))
    packed = repack(problem, start, _ones(problem), 1, _budget(0.02))
    optimum = brute_force(cluster, policy)
    assume(optimum is not None)  # what is held stays, whatever a rule says
    assert optimum is not None
    assert packed.bound <= optimum.consolidate[0]
    if packed.host is not None:
        assert is_viable(problem, packed.host)
        assert optimum.consolidate[0] <= _used(packed.host) < _used(start)


def test_the_bound_ends_it_at_once() -> None:
    problem = _problem([(50, 50)] * 6)
    budget = _budget(10.0)
    assert fewer_nodes(problem, problem.host, _ones(problem), 6, budget) is None
    assert budget.work == 10.0


def test_vms_to_be_started_are_packed_too() -> None:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 4, "memory": 4096}) for k in range(4))
    vms = tuple(VM(name=f"v{k}", state="ready", demand={"cpu": 1, "memory": 1024}) for k in range(4))
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=(Running(vms=("*",)),)))
    host = fewer_nodes(problem, np.arange(4, dtype=np.int32), _ones(problem), 1, _budget(1.0))
    assert host is not None
    assert _used(host) == 1


def test_same_seed_same_placement() -> None:
    problem = _problem(_triplets(10, 4))
    hosts = [fewer_nodes(problem, problem.host, _ones(problem), 10, _budget(3.0, seed=5)) for _ in range(2)]
    assert hosts[0] is not None
    assert hosts[1] is not None
    assert np.array_equal(hosts[0], hosts[1])


def test_a_large_cluster_is_repacked_piece_by_piece() -> None:
    rng = np.random.default_rng(0)
    sizes = [(float(c), float(m)) for c, m in zip(rng.uniform(20, 30, 1_300).round(3), rng.uniform(20, 30, 1_300).round(3), strict=True)]
    problem = _problem(sizes)
    start = (np.arange(1_300) // 2).astype(np.int32)  # 650 nodes, two VMs each; three fit on any
    host = fewer_nodes(problem, start, _ones(problem), 600, _budget(4.0))
    assert host is not None
    assert is_viable(problem, host)
    assert _used(host) < 640
