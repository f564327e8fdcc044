"""Zones chosen for groups before placing: allowed, different within a family, and where most memory is already."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Among, AnyRule, Fence, Gather, SplitAmong
from entropy.placement.anchoring import Anchoring
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem, positions


def _node(name: str, rack: str, gib: float = 8, **more: object) -> Node:
    return Node(name=name, capacity={"cpu": 8, "memory": gib * 1024}, labels={"rack": rack}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str, gib: float, app: str = "x") -> VM:
    return VM(name=name, node=node, demand={"cpu": 1, "memory": gib * 1024}, labels={"app": app})


def _racks(*vms: VM, gib: float = 8) -> Cluster:
    """Racks r0 (n0, n1), r1 (n2, n3) and r2 (n4, n5)."""
    return Cluster(nodes=tuple(_node(f"n{k}", f"r{k // 2}", gib) for k in range(6)), vms=vms)


def _compiled(cluster: Cluster, *rules: AnyRule) -> Problem:
    return compile_problem(cluster, Policy(constraints=rules))


def test_a_group_goes_where_most_of_its_memory_is() -> None:
    problem = _compiled(_racks(_vm("a", "n0", 1), _vm("b", "n2", 3), _vm("c", "n4", 1)), Gather(vms="*", across="rack"))
    anchoring = Anchoring(problem)
    assert anchoring.zones == (1,)
    narrowed = anchoring.problem()
    assert [positions(narrowed.domains[row]).tolist() for row in narrowed.domain_of] == [[2, 3]] * 3
    assert narrowed.may_stay.tolist() == [False, True, False]


def test_a_group_that_is_together_stays_even_where_it_is_crowded() -> None:
    problem = _compiled(_racks(_vm("a", "n0", 7), _vm("b", "n0", 7), _vm("z", "n1", 7, app="y")), Gather(vms="app=x", across="rack"))
    assert Anchoring(problem).zones == (0,)


def test_a_zone_without_room_or_with_nodes_too_small_is_not_chosen() -> None:
    """r0 holds most of the memory and is full; on r1 no node is large enough for a."""
    nodes = (_node("n0", "r0"), _node("n1", "r1", 4), _node("n2", "r1", 4), _node("n3", "r2"))
    vms = (_vm("a", "n3", 5), _vm("b", "n0", 2), _vm("full", "n0", 6, app="y"))
    problem = _compiled(Cluster(nodes=nodes, vms=vms), Fence(vms=("full",), nodes=("n0",)), Gather(vms="app=x", across="rack"))
    assert Anchoring(problem).zones == (2,)


def test_groups_see_what_others_take() -> None:
    """Two groups of 12 GiB start; a rack has 16: each takes one of its own."""
    vms = tuple(VM(name=f"{g}{k}", state="ready", demand={"memory": 6 * 1024}, labels={"app": g}) for g in "xy" for k in range(2))
    rules = (Gather(vms="app=x", across="rack"), Gather(vms="app=y", across="rack"))
    problem = compile_problem(_racks(*vms), Policy(constraints=rules))
    problem.goal[:] = 1
    zones = Anchoring(problem).zones
    assert len(set(zones)) == 2


def test_a_family_is_matched_as_a_whole() -> None:
    """Both parties are in r0; x may only run in r0 or r1, y only in r0: x gives way."""
    rules = (
        SplitAmong(vm_groups=("app=x", "app=y"), groups=("rack=r0", "rack=r1", "rack=r2")),
        Fence(vms="app=x", nodes=("rack=r0", "rack=r1")),
        Fence(vms="app=y", nodes="rack=r0"),
    )
    problem = _compiled(_racks(_vm("a", "n0", 4), _vm("b", "n1", 1, app="y")), *rules)
    assert Anchoring(problem).zones == (1, 0)


def test_a_group_within_another_shares_its_zone() -> None:
    """a and b on one node, a and c in one group of racks: the node has to be in the group."""
    rules = (Among(vms=("a", "c"), groups=(("rack=r0", "rack=r1"), "rack=r2")), Gather(vms=("a", "b"), across="node"))
    problem = _compiled(_racks(_vm("a", "n0", 1), _vm("b", "n5", 6), _vm("c", "n2", 1)), *rules)
    anchoring = Anchoring(problem)
    narrowed = anchoring.problem()
    common = narrowed.domains[narrowed.domain_of[0]]
    assert positions(common).tolist() == [anchoring.zones[1]]
    assert (common & narrowed.domains[narrowed.domain_of[2]]).any()


def test_who_stays_gives_way_to_a_group_that_has_no_other_choice() -> None:
    rules = (Gather(vms=("a", "b"), across="node"), Among(vms=("b",), groups=(("n3",), ("n5",))))
    assert Anchoring(_compiled(_racks(_vm("a", "n0", 1), _vm("b", "n0", 1)), *rules)).zones == (3, 0)


def test_otherwise_is_the_next_best_zone_until_there_is_none() -> None:
    problem = _compiled(_racks(_vm("a", "n0", 1), _vm("b", "n2", 3), _vm("c", "n3", 1)), Gather(vms="*", across="rack"))
    anchoring = Anchoring(problem)
    seen = [anchoring.zones[0]]
    while anchoring.otherwise(np.array([0], dtype=np.int32)):
        seen.append(anchoring.zones[0])
    assert seen == [1, 0, 2]
    assert anchoring.zones == (2,)  # as it was: nothing better is left


def test_who_is_not_in_a_group_makes_one_in_the_way_move() -> None:
    vms = (_vm("a", "n0", 4), _vm("b", "n0", 2), _vm("z", "n4", 7, app="y"))
    problem = _compiled(_racks(*vms), Gather(vms="app=x", across="rack"), Fence(vms=("z",), nodes="rack=r0"))
    anchoring = Anchoring(problem)
    assert anchoring.zones == (0,)
    assert anchoring.otherwise(np.array([2], dtype=np.int32))
    assert anchoring.zones != (0,)


def test_no_zone_for_a_group_that_no_zone_can_take() -> None:
    problem = _compiled(_racks(_vm("a", "n0", 6), _vm("b", "n2", 6), _vm("c", "n4", 6)), Gather(vms="*", across="rack"))
    anchoring = Anchoring(problem)
    assert anchoring.zones == (-1,)
    assert not anchoring.problem().domains[anchoring.problem().domain_of].any()
    assert not anchoring.otherwise(np.array([0], dtype=np.int32))


def test_nothing_to_gather_is_the_same_problem() -> None:
    problem = _compiled(_racks(_vm("a", "n0", 6)), Gather(vms="*", across="rack", soft=True))
    assert Anchoring(problem).problem() is problem


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whoever_stays_in_the_narrower_domains_is_together(data: st.DataObject) -> None:
    """Every assignment within the narrowed domains keeps every group's rule, whatever else it breaks."""
    cluster = _racks(*(_vm(f"v{k}", f"n{data.draw(st.integers(0, 5))}", 1) for k in range(5)), gib=64)
    names = st.lists(st.sampled_from([v.name for v in cluster.vms]), min_size=1, max_size=3, unique=True).map(tuple)
    groups = st.lists(
        st.lists(st.sampled_from([n.name for n in cluster.nodes]), min_size=1, max_size=3, unique=True).map(tuple), min_size=1, max_size=3
    )
    rules: list[AnyRule] = [Among(vms=data.draw(names), groups=tuple(data.draw(groups))) for _ in range(data.draw(st.integers(0, 2)))]
    if data.draw(st.booleans()):
        rules.append(SplitAmong(vm_groups=(data.draw(names), data.draw(names)), groups=tuple(data.draw(groups))))
    problem = _compiled(cluster, *rules)
    anchoring = Anchoring(problem)
    for _ in range(3):
        narrowed = anchoring.problem()
        if -1 not in anchoring.zones:
            choices = [positions(narrowed.domains[row]).tolist() for row in narrowed.domain_of]
            assert all(choices)
            for host in product(*(c[:2] for c in choices)):
                assert is_viable(problem, np.array(host, dtype=np.int32))
        if not anchoring.otherwise(np.array([0], dtype=np.int32)):
            break
