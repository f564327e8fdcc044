"""Plans under every placement rule: safe, soft rules hardly broken; what is called optimal is, what is refused cannot be had."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checked import assert_safe
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InfeasibleError, InputError, NoPlanInTimeError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.rules import (
    Among,
    AnyRule,
    Ban,
    Fence,
    Gather,
    Lonely,
    ResourceCapacity,
    RunningCapacity,
    Split,
    SplitAmong,
    Spread,
)
from entropy.planning.planner import PlanOptions, plan
from small_clusters import GROUPS, PLAIN, brute_force, clusters, excess_of, policies

OPTIONS = PlanOptions(work_limit=20.0)


def _ends(cluster: Cluster, made: Plan) -> dict[str, str]:
    """VM -> node, of those that run at the end."""
    place = {v.name: v.node for v in cluster.vms if v.state == "running" and v.node}
    for action in made.actions:
        if action.type in ("migrate", "resume", "run"):
            place[str(action.vm)] = str(action.target or action.node)
        elif action.type in ("stop", "suspend"):
            place.pop(str(action.vm), None)
    return place


@pytest.mark.parametrize("kinds", [PLAIN + GROUPS, GROUPS], ids=["all", "groups"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_plan_is_safe_and_every_proof_true(kinds: tuple[str, ...], data: st.DataObject) -> None:
    cluster = data.draw(clusters(vms=5))
    policy = data.draw(policies(cluster, kinds=kinds, soft=True))
    best = brute_force(cluster, policy)
    try:
        made = plan(cluster, policy, OPTIONS).plan
    except InfeasibleError as error:
        refused = str(error)
    except NoPlanInTimeError:
        return
    else:
        refused = ""
    if refused:
        assert best is None or "no order of actions" in refused
        return
    assert best is not None
    assert_safe(cluster, made, policy)
    summary, place = made.summary, _ends(cluster, made)
    assert summary is not None
    assert summary.nodes is not None
    demand = {v.name: v.demand for v in cluster.vms}
    soft = sum(
        r.weight * excess_of(r, cluster, demand)(place)
        for r in policy.constraints
        if r.soft and r.type not in ("preserve", "running", "ready")
    )
    if any(rule.soft for rule in policy.constraints):
        assert summary.soft_violation is not None
        assert summary.soft_violation.value == pytest.approx(soft)
        assert summary.soft_violation.lower_bound is not None
        assert summary.soft_violation.lower_bound <= best.soft + 1e-6
    assert soft >= best.soft - 1e-6
    if made.status == "optimal":
        assert soft == pytest.approx(best.soft)
        if policy.objective == "consolidate":
            assert summary.nodes.after == best.consolidate[0]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_groups_that_are_kept_at_every_instant(data: st.DataObject) -> None:
    """Continuous gather, among and splitAmong: kept now, they never break; broken now, VMs enter only where they are gathered."""
    cluster = data.draw(clusters(vms=5))
    drawn = data.draw(policies(cluster, kinds=("gather", "among", "splitAmong", "lonely", "split", "fence", "ready")))
    kept = tuple(replace(r, continuous=True) if isinstance(r, Gather | Among | SplitAmong) else r for r in drawn.constraints)
    policy = replace(drawn, constraints=kept)
    try:
        made = plan(cluster, policy, OPTIONS).plan
    except (InfeasibleError, NoPlanInTimeError):
        return
    except InputError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "others replace all VMs" in refused
        return
    assert_safe(cluster, made, policy)


# -- by hand --------------------------------------------------------------------------------------------------------------


def _node(name: str, gib: float = 8, **more: object) -> Node:
    return Node(name=name, capacity={"cpu": 8, "memory": gib * 1024}, labels={"rack": f"r{(int(name[1:]) - 1) // 2}"}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str, gib: float = 1, **labels: str) -> VM:
    return VM(name=name, node=node, demand={"cpu": 1, "memory": gib * 1024}, labels=labels)


def _planned(cluster: Cluster, *rules: AnyRule, objective: str = "repair") -> Plan:
    policy = Policy(objective=objective, constraints=rules)  # type: ignore[arg-type]
    made = plan(cluster, policy, OPTIONS).plan
    assert_safe(cluster, made, policy)
    return made


def _moves(made: Plan) -> list[str]:
    return sorted(a.describe() for a in made.actions)


def _cluster(*vms: VM, nodes: int = 4) -> Cluster:
    return Cluster(nodes=tuple(_node(f"n{k + 1}") for k in range(nodes)), vms=vms)


def test_gather_moves_the_cheaper_ones() -> None:
    made = _planned(_cluster(_vm("a", "n1", 3), _vm("b", "n2", 1), _vm("c", "n3", 1)), Gather(vms="*", across="node"))
    assert _moves(made) == ["migrate b from n2 to n1", "migrate c from n3 to n1"]
    assert made.status == "optimal"


def test_lonely_drives_out_the_others_and_who_comes_waits_for_them() -> None:
    """Two lonely VMs may share a node; they can only go where someone leaves first."""
    nodes = (_node("n1", 8), _node("n2", 8), _node("n3", 4))
    vms = (_vm("l1", "n1", 5), _vm("l2", "n1", 5), _vm("x", "n2", 2), _vm("y", "n3", 2))
    made = _planned(Cluster(nodes=nodes, vms=vms), Lonely(vms=("l1", "l2")))
    leaves, enters = (next(a for a in made.actions if a.vm in names) for names in (("x",), ("l1", "l2")))
    assert leaves.id in enters.after
    assert leaves.target == "n3"


def test_split_keeps_groups_apart_and_others_do_not_care() -> None:
    made = _planned(_cluster(_vm("a", "n1", 1), _vm("b", "n1", 2), _vm("z", "n1", 4)), Split(groups=(("a",), ("b",))))
    assert [a.vm for a in made.actions] == ["a"]
    assert made.status == "optimal"


def test_split_among_gives_each_party_a_rack_of_its_own() -> None:
    rule = SplitAmong(vm_groups=("app=x", "app=y"), groups=("rack=r0", "rack=r1"))
    vms = (_vm("x1", "n1", 2, app="x"), _vm("x2", "n3", 1, app="x"), _vm("y1", "n2", 1, app="y"), _vm("y2", "n4", 2, app="y"))
    made = _planned(_cluster(*vms), rule)
    assert sorted(str(a.vm) for a in made.actions) == ["x2", "y1"]


def test_capacities_of_sets() -> None:
    vms = tuple(_vm(f"v{k}", "n1", k + 1) for k in range(3))
    made = _planned(
        _cluster(*vms), RunningCapacity(nodes=("n1", "n2"), max=2), ResourceCapacity(nodes=("n1",), resource="memory", max=4096)
    )
    assert _moves(made) in (["migrate v1 from n1 to n3"], ["migrate v1 from n1 to n4"])  # 2 GiB leave 4 GiB of 2 VMs


def test_soft_rules_are_weighed_against_each_other_before_moved_memory() -> None:
    """Keep a and b together (5) although the spread (2) wants them apart."""
    rules = (Gather(vms=("a", "b"), across="node", soft=True, weight=5), Spread(vms=("a", "b"), soft=True, weight=2))
    result = plan(_cluster(_vm("a", "n1"), _vm("b", "n2", 2)), Policy(objective="repair", constraints=rules), OPTIONS)
    assert _moves(result.plan) == ["migrate a from n1 to n2"]
    summary = result.plan.summary
    assert summary is not None
    assert summary.soft_violation is not None
    assert (summary.soft_violation.value, summary.soft_violation.lower_bound, result.plan.status) == (2, 2, "optimal")
    assert not result.warnings


def test_a_soft_fence_gives_way_to_capacity_and_a_soft_ban_to_a_fence() -> None:
    vms = (_vm("a", "n1", 6), _vm("b", "n2", 6))
    made = _planned(
        _cluster(*vms),
        Fence(vms="*", nodes=("n1",), soft=True),
        Ban(vms=("b",), nodes=("n2",), soft=True),
        Fence(vms=("b",), nodes=("n2",)),
    )
    assert made.actions == ()


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ((Gather(name="one rack", vms="*", across="rack"), Spread(vms="*", across="rack")), "no configuration"),
        ((Split(name="apart", groups=(("a", "b"), ("b",))),), 'rule "apart": VM b is in two of its groups'),
        ((Gather(name="one", vms="*"), Fence(vms=("a",), nodes=("n1",)), Fence(vms=("b",), nodes=("n2",))), 'rule "one": a, b'),
        ((RunningCapacity(name="few", nodes="*", max=1),), "no configuration"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(rules: tuple[AnyRule, ...], why: str) -> None:
    with pytest.raises(InfeasibleError, match="no configuration") as refused:
        plan(_cluster(_vm("a", "n1"), _vm("b", "n3")), Policy(objective="repair", constraints=rules), OPTIONS)
    assert why in str(refused.value)


def test_what_is_held_and_breaks_a_rule_is_named() -> None:
    vms = (replace(_vm("a", "n1"), migratable=False), replace(_vm("b", "n1"), migratable=False), replace(_vm("c", "n3"), migratable=False))
    rules = (
        Lonely(name="alone", vms=("a",)),
        Gather(name="near", vms=("b", "c"), across="rack"),
        RunningCapacity(name="few", nodes=("n1",), max=1),
    )
    with pytest.raises(InfeasibleError) as refused:
        plan(_cluster(*vms), Policy(objective="repair", constraints=rules), OPTIONS)
    text = str(refused.value)
    assert 'rule "alone": a, b may not leave and run on one node, n1' in text
    assert 'rule "near": b on n1, c on n3 may not leave and run apart' in text
    assert 'rule "few": 2 VMs may not leave and run on n1, at most 1 may' in text


def test_a_target_that_breaks_a_rule_is_refused() -> None:
    now = _cluster(_vm("a", "n1"), _vm("b", "n3"))
    target = _cluster(_vm("a", "n1"), _vm("b", "n1"))
    with pytest.raises(InfeasibleError, match='rule "alone": a, b would run on one node, n1'):
        plan(now, Policy(constraints=(Lonely(name="alone", vms=("a",)),)), OPTIONS, target)


def test_best_effort_mends_what_it_can_beside_a_rule_that_held_vms_break() -> None:
    vms = (replace(_vm("a", "n1"), migratable=False), replace(_vm("b", "n1"), migratable=False), _vm("c", "n3", 6), _vm("d", "n3", 6))
    result = plan(
        _cluster(*vms), Policy(objective="repair", constraints=(Lonely(name="alone", vms=("a",)),)), replace(OPTIONS, best_effort=True)
    )
    assert len(result.plan.actions) == 1
    assert result.plan.summary is not None
    assert any("alone" in text for text in result.plan.summary.unsatisfied)
