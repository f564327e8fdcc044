"""Documents as arrays: exact amounts, domains, states, groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.policy import Policy
from entropy.model.rules import (
    Among,
    Ban,
    Fence,
    Gather,
    Lonely,
    MaxOnline,
    Offline,
    Overbook,
    Preserve,
    Ready,
    ResourceCapacity,
    Root,
    Running,
    RunningCapacity,
    Split,
    SplitAmong,
    Spread,
)
from entropy.problem.compile import compile_problem
from entropy.problem.problem import SOFT_SCALE, State
from entropy.problem.scaling import scale_of


def _cluster(**more: object) -> Cluster:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 4, "memory": 8192}, labels={"rack": f"r{k // 2}"}) for k in range(4))
    vms = (
        VM(name="a", node="n0", demand={"cpu": 0.1, "memory": 1024}),
        VM(name="b", node="n1", demand={"cpu": 0.2, "memory": 2048}, **more),  # type: ignore[arg-type]
        VM(name="c", state="ready", demand={"cpu": 0.3, "memory": 1024}),
    )
    return Cluster(nodes=nodes, vms=vms)


def test_amounts_are_exact_integers() -> None:
    problem = compile_problem(_cluster(), Policy())
    assert problem.resources == ("cpu", "memory")
    assert problem.demand[:, 0].tolist() == [1, 2, 3]  # tenths of a core
    assert problem.capacity[0].tolist() == [40, 8]  # memory in GiB, the common divisor


@given(st.lists(st.integers(0, 10**9).map(lambda k: k / 10**6), min_size=1, max_size=30), st.integers(1, 10**9).map(lambda k: k / 10**6))
def test_six_decimals_are_exact(amounts: list[float], capacity: float) -> None:
    scale = scale_of(np.array(amounts), np.array([capacity]))
    demand, limit = scale.demand(np.array(amounts)), int(scale.capacity(np.array([capacity]))[0])
    micro = [round(a * 10**6) for a in amounts]
    assert (int(demand.sum()) <= limit) == (sum(micro) <= round(capacity * 10**6))


def _fits(demands: list[float], capacity: float) -> bool:
    scale = scale_of(np.array(demands), np.array([capacity]))
    return bool(scale.demand(np.array(demands)).sum() <= scale.capacity(np.array([capacity]))[0])


@given(st.lists(st.integers(1, 2**24), min_size=1, max_size=40), st.integers(-1, 1))
def test_whole_kib_are_exact(kib: list[int], more: int) -> None:
    """As Ganglia reports memory; rounding up after six decimals said of a node exactly full that it was overloaded."""
    assert _fits([k / 1024 for k in kib], (sum(kib) + more) / 1024) == (more >= 0)


@given(st.integers(1, 500), st.sampled_from([1 / 3, 2 / 3, 1 / 7, 0.1 + 1e-9, 1e-7, 3.3333333]))
def test_what_fits_exactly_fits_however_many_decimals_it_has(count: int, each: float) -> None:
    assert _fits([each] * count, count * each)
    assert not _fits([each] * count, count * each - 1e-4)


def test_huge_amounts_do_not_overflow() -> None:
    amounts = np.full(1000, 3e12 + 0.5)
    scale = scale_of(amounts, np.array([1e15]))
    assert int(scale.demand(amounts).sum()) > 0
    limit = scale.capacity(np.full(5000, 1e30))
    assert int(limit[0]) >= int(scale.demand(amounts).sum())
    assert int(limit.sum()) > 0


def test_preserve_raises_the_demand_and_not_the_consumption() -> None:
    rule = Preserve(vms=("a",), resource="cpu", amount=2.0)
    problem = compile_problem(_cluster(), Policy(constraints=(rule,)))
    assert problem.demand[0, 0] / problem.scale[0] == 2.0
    assert problem.consumption[0, 0] / problem.scale[0] == pytest.approx(0.1)


def test_preserve_of_a_resource_that_no_document_names_makes_it_scarce() -> None:
    rule = Preserve(vms=("a",), resource="gpu", amount=1.0)
    problem = compile_problem(_cluster(), Policy(constraints=(rule,)))
    assert "gpu" in problem.resources
    assert not problem.capacity[:, problem.resources.index("gpu")].any()


def test_overbook_sets_the_capacity() -> None:
    problem = compile_problem(_cluster(), Policy(constraints=(Overbook(nodes=("n1",), resource="cpu", ratio=0.5),)))
    assert (problem.capacity[:, 0] / problem.scale[0]).tolist() == [4, 2, 4, 4]


def test_a_continuous_fence_binds_on_the_way_and_a_discrete_one_at_the_end_only() -> None:
    rules = (Fence(vms=("a",), nodes=("n0", "n1")), Fence(vms=("b",), nodes="rack=r1", continuous=False))
    problem = compile_problem(_cluster(), Policy(constraints=rules))
    assert problem.domains[problem.domain_of[0]].tolist() == [True, True, False, False]
    assert problem.domains[problem.path_of[0]].tolist() == [True, True, False, False]
    assert problem.domains[problem.domain_of[1]].tolist() == [False, False, True, True]
    assert problem.domains[problem.path_of[1]].tolist() == [True] * 4


def test_states_and_power() -> None:
    problem = compile_problem(_cluster(), Policy(constraints=(Running(vms=("c",)), Offline(nodes=("n3",)))))
    assert problem.goal.tolist() == [State.RUNNING] * 3
    assert problem.power.tolist() == [True, True, True, False]
    assert not problem.domains[problem.domain_of[0], 3]


def test_held_are_rooted_and_unmigratable_vms_and_those_cooling_down() -> None:
    problem = compile_problem(_cluster(migratable=False), Policy(constraints=(Root(vms=("a",)),)))
    assert problem.held.tolist() == [True, True, False]
    assert compile_problem(_cluster(), Policy(), held={"b", "c", "gone"}).held.tolist() == [False, True, False]


def test_zones_of_a_label_and_nodes_without_it() -> None:
    cluster = Cluster(nodes=(*_cluster().nodes, Node(name="alone", capacity={})), vms=_cluster().vms)
    (limit,) = compile_problem(cluster, Policy(constraints=(Spread(vms="*", across="rack"),))).limits
    assert limit.zone_of.tolist() == [0, 0, 1, 1, 2]


def test_a_rule_that_cannot_be_planned_for_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"constraints\[0\]\.type: is maxOnline"):
        compile_problem(_cluster(), Policy(constraints=(MaxOnline(max=2),)))


def test_capacities_of_sets_are_kept_on_the_way_where_that_is_asked() -> None:
    rules = tuple(RunningCapacity(nodes="*", max=9, continuous=asked) for asked in (True, False))
    assert [limit.continuous for limit in compile_problem(_cluster(), Policy(constraints=rules)).set_limits] == [True, False]


def test_gather_takes_the_zones_of_a_label_and_among_the_groups() -> None:
    rules = (Gather(vms=("a", "b"), across="rack"), Among(vms=("a",), groups=("rack=r1", ("n0", "n2"))))
    gathered, among = compile_problem(_cluster(), Policy(constraints=rules)).together
    assert (gathered.zone_start.tolist(), gathered.zone_nodes.tolist()) == ([0, 2, 4], [0, 1, 2, 3])
    assert (among.zone_start.tolist(), among.zone_nodes.tolist()) == ([0, 2, 4], [2, 3, 0, 2])
    assert (gathered.members.tolist(), among.members.tolist(), gathered.family, among.family) == ([0, 1], [0], -1, -1)


def test_split_among_makes_a_family_and_shares_the_zones() -> None:
    rules = tuple(SplitAmong(vm_groups=(("a",), ("b",)), groups=("rack=r0", "rack=r1")) for _ in range(2))
    groups = compile_problem(_cluster(), Policy(constraints=rules)).together
    assert [g.family for g in groups] == [0, 0, 1, 1]
    assert len({id(g.zone_nodes) for g in groups}) == 1


def test_a_continuous_group_that_is_kept_now_is_a_domain_on_the_way_too() -> None:
    """a and b are in rack r0: whoever migrates counts at both ends, so neither can ever leave it."""
    rule = Gather(vms=("a", "b"), across="rack", continuous=True)
    problem = compile_problem(_cluster(), Policy(constraints=(rule, Gather(vms=("a", "b"), across="node", continuous=True))))
    assert problem.domains[problem.domain_of[0]].tolist() == [True, True, False, False]
    assert problem.domains[problem.path_of[1]].tolist() == [True, True, False, False]
    (by_node,) = problem.together  # broken now: any node will do
    assert by_node.continuous
    assert by_node.zone_start.tolist() == [0, 1, 2, 3, 4]


def test_a_continuous_group_of_which_all_are_replaced_is_refused() -> None:
    rules = (Gather(vms=("a", "c"), across="rack", continuous=True), Ready(vms=("a",)), Running(vms=("c",)))
    with pytest.raises(InputError, match="others replace all VMs of a group"):
        compile_problem(_cluster(), Policy(constraints=rules))


def test_lonely_is_apart_from_everybody_and_split_from_the_other_groups() -> None:
    rules = (Lonely(vms=("b",)), Split(groups=(("a",), ("c",))))
    lonely, split = compile_problem(_cluster(), Policy(constraints=rules)).disjoint
    assert lonely.class_of.tolist() == [1, 0, 1]
    assert split.class_of.tolist() == [0, -1, 1]
    assert lonely.continuous
    assert split.continuous


def test_a_vm_of_two_split_groups_that_runs_is_a_contradiction() -> None:
    rules = (Split(name="apart", groups=(("a", "c"), ("a", "b", "c"))),)
    told = compile_problem(_cluster(), Policy(constraints=rules)).contradictions
    assert [(c.text, c.vm) for c in told] == [('rule "apart": VM a is in two of its groups, so it may run on no node', 0)]
    soft = compile_problem(_cluster(), Policy(constraints=(replace(rules[0], soft=True),)))
    assert not soft.contradictions


def test_capacities_of_sets_in_the_scale_of_the_resource() -> None:
    rules = (
        RunningCapacity(nodes=("n0", "n1"), max=1),
        ResourceCapacity(nodes="rack=r1", resource="cpu", max=0.5),
        ResourceCapacity(nodes="*", resource="memory", max=3000, soft=True, weight=2),
        ResourceCapacity(nodes="*", resource="gpu", max=0),
    )
    count, cpu, memory, gpu = compile_problem(_cluster(), Policy(constraints=rules)).set_limits
    assert (count.amount.tolist(), count.most, count.nodes.tolist(), count.weight) == ([1, 1, 1], 1, [0, 1], 0)
    assert (cpu.amount.tolist(), cpu.most, cpu.nodes.tolist()) == ([1, 2, 3], 5, [2, 3])
    cost = 2 * SOFT_SCALE  # a MiB above 3000
    assert (memory.amount.tolist(), memory.most, memory.weight) == ([1024 * cost, 2048 * cost, 1024 * cost], 3000 * cost, 1)
    assert (gpu.amount.tolist(), gpu.most) == ([0, 0, 0], 0)


def test_soft_rules_have_weights_in_thousandths_and_are_not_kept_on_the_way() -> None:
    rules = (
        Fence(vms=("a",), nodes=("n0",), soft=True, weight=2.5),
        Ban(vms=("a", "b"), nodes=("n1",), soft=True, weight=1e-9),
        Spread(vms="*", soft=True),
        Gather(vms="*", across="rack", continuous=True, soft=True),
        Lonely(vms=("a",), soft=True),
        Running(vms=("c",), soft=True),
    )
    problem = compile_problem(_cluster(), Policy(constraints=rules))
    fence, ban = problem.preferences
    assert (fence.members.tolist(), fence.mask.tolist(), fence.weight) == ([0], [True, False, False, False], 2500)
    assert (ban.members.tolist(), ban.mask.tolist(), ban.weight) == ([0, 1], [True, False, True, True], 1)
    weighed = (*problem.limits, *problem.together, *problem.disjoint)
    assert [rule.weight for rule in weighed] == [SOFT_SCALE] * 3
    assert not any(rule.continuous for rule in weighed)
    assert problem.domains[problem.domain_of].all()
    assert ["not weighed" in warning for warning in problem.warnings] == [True]
    assert problem.goal[2] == State.READY


def test_a_label_that_matches_nothing_is_a_warning_never_everything() -> None:
    problem = compile_problem(_cluster(), Policy(constraints=(Fence(vms="app=web", nodes="n0"),)))
    assert problem.domains[problem.domain_of].all()
    assert "matches no VM" in problem.warnings[0]


def test_unknown_names_are_errors_or_with_lenient_warnings() -> None:
    policy = Policy(constraints=(Fence(vms=("a", "gone"), nodes=("n0",)),))
    with pytest.raises(InputError, match=r"constraints\[0\]\.vms: 'gone' names no VM"):
        compile_problem(_cluster(), policy)
    assert "gone" in compile_problem(_cluster(), policy, lenient=True).warnings[0]
