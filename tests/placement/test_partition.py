"""Parts of a problem: they mean what they meant in the whole, and independent ones add up."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Spread
from entropy.placement.budget import Budget
from entropy.placement.goals import Goals, Value, observed_hosts, value_of
from entropy.placement.neighbourhoods import View
from entropy.placement.partition import components, cuts, independent_parts
from entropy.placement.portfolio import place
from entropy.placement.restriction import Restrictor
from entropy.placement.viability import is_viable
from entropy.planning.conflicts import conflicts
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem
from small_clusters import clusters, policies


def _goals(problem: Problem, objective: str = "consolidate") -> Goals:
    ones = np.ones(len(problem.resources), dtype=np.int64)
    return Goals(objective=objective, node_cost=np.ones(problem.n_nodes, dtype=np.int64), resource_weight=ones)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_better_part_is_as_much_better_in_the_whole(data: st.DataObject) -> None:
    """Any rearrangement of a part: viable in the part means viable in the whole, and values change alike."""
    cluster = data.draw(clusters(viable=True))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    goals = _goals(problem)
    if conflicts(problem):  # refused before anything is placed
        return
    start = place(problem, goals, Budget(remaining=lambda: 60.0))
    if start.left_out:
        return
    nodes = np.array(sorted(data.draw(st.sets(st.integers(0, problem.n_nodes - 1), min_size=1))), dtype=np.int32)
    part = Restrictor(problem, goals).restrict(start.host, nodes)
    assert is_viable(part.problem, part.host)
    tried = part.host.copy()
    for v in range(part.free_vms):
        tried[v] = data.draw(st.integers(0, part.free_nodes - 1))
    whole = part.merged(tried, start.host)
    assert is_viable(part.problem, tried) == is_viable(problem, whole)
    small = [value_of(part.problem, part.goals, h) for h in (part.host, tried)]
    large = [value_of(problem, goals, h) for h in (start.host, whole)]
    assert _change(small) == _change(large)


def _change(values: list[Value]) -> tuple[int, ...]:
    return tuple(b - a for a, b in zip(*values, strict=True))


def _racks(racks: int, nodes: int, vms: int) -> Cluster:
    capacity = {"cpu": 8.0, "memory": 8192.0}
    hosts = [Node(name=f"r{r}n{k}", capacity=capacity, labels={"rack": f"r{r}"}) for r in range(racks) for k in range(nodes)]
    sizes = (512.0, 1024.0, 1536.0, 2048.0)
    machines = [
        VM(name=f"r{r}v{k}", node=f"r{r}n{k % nodes}", demand={"cpu": 0.5, "memory": sizes[(k * 7 + r) % 4]}, labels={"rack": f"r{r}"})
        for r in range(racks)
        for k in range(vms)
    ]
    return Cluster(nodes=tuple(hosts), vms=tuple(machines))


def test_fences_make_independent_parts_whose_bounds_add_up() -> None:
    cluster = _racks(3, 5, 9)
    fences = tuple(Fence(vms=f"rack=r{r}", nodes=f"rack=r{r}") for r in range(3))
    problem = compile_problem(cluster, Policy(constraints=fences))
    assert components(problem, observed_hosts(problem)).tolist() == [r for r in range(3) for _ in range(5)]
    parts = independent_parts(problem, _goals(problem))
    assert [p.free_nodes for p in parts] == [5, 5, 5]
    found = place(problem, _goals(problem), Budget(remaining=lambda: 60.0))
    alone = [place(p.problem, p.goals, Budget(remaining=lambda: 60.0)) for p in parts]
    assert found.outcome == "optimal"
    assert is_viable(problem, found.host)
    assert found.primary.value == found.primary.bound == sum(p.primary.value for p in alone)
    assert found.moved.value == sum(p.moved.value for p in alone)


def test_a_rule_across_the_fences_joins_the_parts() -> None:
    fences = tuple(Fence(vms=f"rack=r{r}", nodes=f"rack=r{r}") for r in range(3))
    policy = Policy(constraints=(*fences, Spread(vms=("r0v0", "r1v0"), across="rack")))
    problem = compile_problem(_racks(3, 5, 9), policy)
    assert components(problem, observed_hosts(problem)).tolist() == [0] * 10 + [1] * 5


def test_cuts_take_every_open_node_once_and_keep_moves_inside() -> None:
    problem = compile_problem(_racks(4, 10, 30), Policy())
    host = observed_hosts(problem)
    host[0], host[1] = 39, 25  # moved far: home and host are to stay in one part
    open_nodes = np.ones(problem.n_nodes, dtype=np.bool_)
    open_nodes[7] = False
    parts = cuts(View(problem, _goals(problem), host, open_nodes), 10, np.random.default_rng(1))
    assert sorted(np.concatenate(parts).tolist()) == [n for n in range(40) if n != 7]
    for pair in ({0, 39}, {1, 25}):
        assert any(pair <= set(p.tolist()) for p in parts)
