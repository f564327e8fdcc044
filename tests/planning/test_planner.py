"""Plans end to end: every one is safe, what is proven is true, and what is refused is said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checked import assert_safe
from entropy.model.cluster import VM, Cluster, Node, Power
from entropy.model.errors import InfeasibleError, InputError, NoPlanInTimeError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.rules import Ban, Fence, Killed, Offline, Online, Running, Sleeping, Spread
from entropy.planning.planner import PlanOptions, plan
from small_clusters import brute_force, clusters, policies

FULL = 4096.0


def _nodes(count: int, memory: float = FULL, **more: object) -> tuple[Node, ...]:
    return tuple(Node(name=f"n{k}", capacity={"cpu": 8, "memory": memory}, **more) for k in range(1, count + 1))  # type: ignore[arg-type]


def _vm(name: str, node: str | None, memory: float, cpu: float = 1, **more: object) -> VM:
    return VM(name=name, node=node, state="running" if node else "ready", demand={"cpu": cpu, "memory": memory}, **more)  # type: ignore[arg-type]


def _actions(made: Plan) -> list[str]:
    return [a.describe() for a in made.actions]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_plan_is_safe_and_every_proof_true(data: st.DataObject) -> None:
    cluster = data.draw(clusters())
    policy = data.draw(policies(cluster))
    best = brute_force(cluster, policy)
    try:
        made = plan(cluster, policy, PlanOptions(work_limit=20.0)).plan
    except InfeasibleError:
        if best is not None:  # then no order may exist: allowed only when every order was tried
            assert any(v.state == "running" for v in cluster.vms)
        return
    except NoPlanInTimeError:
        return
    assert best is not None
    assert_safe(cluster, made, policy)
    summary = made.summary
    assert summary is not None
    assert summary.moved_memory is not None
    assert summary.nodes is not None
    transitions = sum(v.demand["memory"] for v in cluster.vms if v.name in {a.vm for a in made.actions if a.type in ("suspend", "resume")})
    if policy.objective == "consolidate":
        assert (summary.nodes.lower_bound or 0) <= best.consolidate[0] <= summary.nodes.after
        if summary.nodes.after == best.consolidate[0]:
            assert (summary.moved_memory.lower_bound or 0) - transitions <= best.consolidate[1] + 1e-6
    else:
        assert (summary.moved_memory.lower_bound or 0) - transitions <= best.repair + 1e-6


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_viable_configuration_of_itself_is_a_target(data: st.DataObject) -> None:
    """From a viable cluster to any arrangement of it that fits: a safe plan that reaches it, or a refusal."""
    cluster = data.draw(clusters(viable=True))
    moved = tuple(
        VM(
            name=v.name,
            state=v.state,
            node=data.draw(st.sampled_from([n.name for n in cluster.nodes])) if v.node else None,
            demand=v.demand,
        )
        for v in cluster.vms
    )
    target = Cluster(nodes=cluster.nodes, vms=moved)
    try:
        made = plan(cluster, Policy(), target=target).plan
    except (InfeasibleError, NoPlanInTimeError):
        return
    assert_safe(cluster, made, Policy(), target)


def test_nothing_to_do_is_unchanged() -> None:
    made = plan(Cluster(nodes=_nodes(1), vms=(_vm("a", "n1", 1024),)), Policy())
    assert (made.plan.status, made.plan.actions) == ("unchanged", ())
    assert made.sentence == "Nothing to do; 1 nodes in use, proven the least."


def test_two_full_nodes_swap_through_a_third_by_target() -> None:
    nodes = _nodes(3)
    start = Cluster(nodes=nodes, vms=(_vm("a", "n1", 3000), _vm("b", "n2", 3000)))
    target = Cluster(nodes=nodes, vms=(_vm("a", "n2", 3000), _vm("b", "n1", 3000)))
    made = plan(start, Policy(), target=target).plan
    assert_safe(start, made, Policy(), target)
    assert len(made.actions) == 3  # one of them takes two hops
    assert made.summary is not None
    assert made.summary.moved_memory is not None
    assert (made.summary.moved_memory.value, made.summary.moved_memory.lower_bound) == (9000, 6000)
    assert made.status == "feasible"


def test_two_full_nodes_cannot_swap_alone() -> None:
    nodes = _nodes(2)
    start = Cluster(nodes=nodes, vms=(_vm("a", "n1", 3000), _vm("b", "n2", 3000)))
    target = Cluster(nodes=nodes, vms=(_vm("a", "n2", 3000), _vm("b", "n1", 3000)))
    with pytest.raises(InfeasibleError, match="no order of actions"):
        plan(start, Policy(), target=target)
    made = plan(start, Policy(allow_suspend=True), target=target).plan
    assert_safe(start, made, Policy(allow_suspend=True), target)
    assert sorted(a.type for a in made.actions) == ["migrate", "resume", "suspend"]


def test_a_target_that_overloads_nodes_names_them() -> None:
    nodes = _nodes(2)
    start = Cluster(nodes=nodes, vms=(_vm("a", "n1", 3000), _vm("b", "n2", 3000)))
    target = Cluster(nodes=nodes, vms=(_vm("a", "n1", 3000), _vm("b", "n1", 3000)))
    with pytest.raises(InfeasibleError, match=r"node n1 would be overloaded: memory 6000 MiB of 4096 MiB \(a, b\)"):
        plan(start, Policy(), target=target)


def test_a_target_that_breaks_the_policy_says_which_rule() -> None:
    nodes = _nodes(2)
    start = Cluster(nodes=nodes, vms=(_vm("a", "n1", 1000), _vm("b", "n2", 1000)))
    target = Cluster(nodes=nodes, vms=(_vm("a", "n1", 1000), _vm("b", "n1", 1000)))
    with pytest.raises(InfeasibleError, match='rule "apart": a, b would be in one zone'):
        plan(start, Policy(constraints=(Spread(name="apart", vms=("a", "b")),)), target=target)


def test_a_target_of_another_cluster_is_bad_input() -> None:
    start = Cluster(nodes=_nodes(1), vms=())
    with pytest.raises(InputError, match="VM x of the target"):
        plan(start, Policy(), target=Cluster(nodes=_nodes(1), vms=(_vm("x", "n1", 1),)))


def test_a_vm_missing_from_the_target_is_stopped_and_a_missing_node_keeps_its_state() -> None:
    start = Cluster(nodes=_nodes(2), vms=(_vm("a", "n1", 1000), _vm("b", "n2", 1000)))
    target = Cluster(nodes=_nodes(1), vms=(_vm("a", "n1", 1000),))
    made = plan(start, Policy(), target=target).plan
    assert_safe(start, made, Policy(), target)
    assert _actions(made) == ["stop b on n2"]


def test_a_target_starts_and_shuts_down_nodes_in_a_safe_order() -> None:
    on, off = _nodes(2)
    start = Cluster(nodes=(on, Node(name="n2", state="offline", capacity=off.capacity)), vms=(_vm("a", "n1", 1000),))
    target = Cluster(nodes=(Node(name="n1", state="offline", capacity=on.capacity), off), vms=(_vm("a", "n2", 1000),))
    made = plan(start, Policy(), target=target).plan
    assert_safe(start, made, Policy(), target)
    assert _actions(made) == ["start n2", "migrate a from n1 to n2", "shut down n1"]


def test_maintenance_drains_a_node_and_names_what_cannot_leave() -> None:
    nodes = (Node(name="n1", maintenance=True, capacity={"cpu": 8, "memory": FULL}), *_nodes(2)[1:])
    movable = Cluster(nodes=nodes, vms=(_vm("a", "n1", 1000),))
    assert _actions(plan(movable, Policy(objective="repair")).plan) == ["migrate a from n1 to n2"]
    stuck = Cluster(nodes=nodes, vms=(_vm("a", "n1", 1000, migratable=False),))
    with pytest.raises(InfeasibleError, match="VM a must leave n1 \\(under maintenance\\), but it is not migratable"):
        plan(stuck, Policy(objective="repair"))


def test_an_image_that_may_not_move_and_a_fence_elsewhere_are_a_conflict() -> None:
    nap = VM(name="nap", state="sleeping", node="n1", demand={"cpu": 1, "memory": 1000}, migratable=False)
    cluster = Cluster(nodes=_nodes(2), vms=(nap,))
    policy = Policy(constraints=(Running(vms=("nap",)), Fence(vms=("nap",), nodes=("n2",))))
    with pytest.raises(InfeasibleError, match=r"VM nap resumes only where its image lies, on n1 \(a rule forbids it\)"):
        plan(cluster, policy)
    assert plan(cluster, policy, PlanOptions(best_effort=True)).plan.actions == ()


def test_a_group_that_may_not_part_is_a_conflict() -> None:
    vms = (_vm("a", "n1", 1000, migratable=False), _vm("b", "n1", 1000, migratable=False))
    cluster, policy = Cluster(nodes=_nodes(2), vms=vms), Policy(constraints=(Spread(name="apart", vms=("a", "b")),))
    with pytest.raises(InfeasibleError, match='rule "apart": a, b may not leave their nodes, at most 1 may be in one zone'):
        plan(cluster, policy)
    made = plan(cluster, policy, PlanOptions(best_effort=True)).plan
    assert (made.actions, made.summary is not None and made.summary.satisfied) == ((), False)


def test_two_full_nodes_that_fences_want_swapped_cannot() -> None:
    """The only placement cannot be ordered, and that is proven; with leave to suspend it can."""
    cluster = Cluster(nodes=_nodes(2), vms=(_vm("a", "n1", 3000), _vm("b", "n2", 3000)))
    fences = (Fence(vms=("a",), nodes=("n2",)), Fence(vms=("b",), nodes=("n1",)))
    with pytest.raises(InfeasibleError, match=r"no order of actions leads to a viable configuration: .*a .*b "):
        plan(cluster, Policy(objective="repair", constraints=fences))
    policy = Policy(objective="repair", constraints=fences, allow_suspend=True)
    made = plan(cluster, policy).plan
    assert_safe(cluster, made, policy)
    assert sorted(a.type for a in made.actions) == ["migrate", "resume", "suspend"]


def test_best_effort_mends_the_rest_and_lists_what_it_cannot() -> None:
    """db is pinned on an overloaded node and cannot leave; n2's overload is mended all the same."""
    vms = (
        _vm("db", "n1", 5000),
        _vm("x", "n2", 3000),
        _vm("y", "n2", 2000),
    )
    cluster = Cluster(nodes=_nodes(3), vms=vms)
    policy = Policy(objective="repair", constraints=(Fence(vms=("db",), nodes=("n1",)),))
    with pytest.raises(InfeasibleError, match="VM db needs 5000 MiB of memory; n1 offers"):
        plan(cluster, policy)
    made = plan(cluster, policy, PlanOptions(best_effort=True)).plan
    assert _actions(made) == ["migrate y from n2 to n3"]
    assert made.summary is not None
    assert made.summary.satisfied is False
    assert "VM db needs 5000 MiB" in made.summary.unsatisfied[0]
    assert made.status == "feasible"


def test_states_asked_by_rules() -> None:
    vms = (
        _vm("up", None, 1000),
        _vm("down", "n1", 1000),
        _vm("nap", "n1", 1000),
        VM(name="wake", state="sleeping", node="n2", demand={"cpu": 1, "memory": 1000}),
    )
    policy = Policy(
        objective="repair",
        constraints=(Running(vms=("up", "wake")), Killed(vms=("down",)), Sleeping(vms=("nap",))),
    )
    cluster = Cluster(nodes=_nodes(2), vms=vms)
    made = plan(cluster, policy).plan
    assert_safe(cluster, made, policy)
    assert sorted(a.type for a in made.actions) == ["resume", "run", "stop", "suspend"]


def test_nodes_asked_offline_and_online() -> None:
    spare = Node(name="spare", state="offline", capacity={"cpu": 8, "memory": FULL})
    cluster = Cluster(nodes=(*_nodes(1), spare), vms=(_vm("a", "n1", 1000),))
    policy = Policy(constraints=(Online(nodes=("spare",)), Offline(nodes=("n1",))))
    made = plan(cluster, policy).plan
    assert_safe(cluster, made, policy)
    assert _actions(made) == ["start spare", "migrate a from n1 to spare", "shut down n1"]


def test_an_offline_node_is_no_destination_unasked() -> None:
    spare = Node(name="spare", state="offline", capacity={"cpu": 8, "memory": FULL})
    cluster = Cluster(nodes=(*_nodes(1), spare), vms=(_vm("a", "n1", 3000), _vm("b", "n1", 3000)))
    with pytest.raises(InfeasibleError):
        plan(cluster, Policy(objective="repair"))


def test_held_vms_stay_unless_driven_out() -> None:
    cluster = Cluster(nodes=_nodes(2), vms=(_vm("a", "n1", 1000), _vm("b", "n2", 500)))
    assert plan(cluster, Policy(), PlanOptions(held=frozenset({"a", "b"}))).plan.actions == ()
    assert _actions(plan(cluster, Policy(), PlanOptions(held=frozenset({"a"}))).plan) == ["migrate b from n2 to n1"]
    driven = Policy(constraints=(Ban(vms=("a",), nodes=("n1",)),))
    assert _actions(plan(cluster, driven, PlanOptions(held=frozenset({"a"}))).plan) == ["migrate a from n1 to n2"]


def test_an_untouchable_node_is_left_alone() -> None:
    mystery = Node(name="n2", capacity={"cpu": 8, "memory": FULL}, untouchable="it names a VM that nobody reports")
    cluster = Cluster(nodes=(*_nodes(1), mystery, _nodes(3)[2]), vms=(_vm("a", "n1", 1000), _vm("b", "n2", 500), _vm("c", "n3", 700)))
    made = plan(cluster, Policy()).plan
    assert_safe(cluster, made)
    assert _actions(made) == ["migrate c from n3 to n1"]


def test_what_only_a_cool_down_forbids_is_no_proof() -> None:
    cluster = Cluster(nodes=_nodes(2), vms=(_vm("a", "n1", 1000), _vm("b", "n2", 500)))
    summary = plan(cluster, Policy(), PlanOptions(held=frozenset({"a", "b"}))).plan.summary
    assert summary is not None
    assert summary.nodes is not None
    assert (summary.nodes.after, summary.nodes.lower_bound) == (2, 1)


def test_an_untouchable_node_under_maintenance_is_a_conflict_not_a_broken_plan() -> None:
    mystery = Node(name="n2", maintenance=True, capacity={"cpu": 8, "memory": FULL}, untouchable="it names a VM that nobody reports")
    cluster = Cluster(nodes=(*_nodes(1), mystery), vms=(_vm("b", "n2", 500),))
    with pytest.raises(InfeasibleError, match="VM b must leave n2 \\(under maintenance\\), but nothing may leave n2 for now"):
        plan(cluster, Policy())
    made = plan(cluster, Policy(), PlanOptions(best_effort=True)).plan
    assert made.actions == ()


def test_least_idle_power_when_every_node_states_its_power() -> None:
    hungry = Node(name="n1", capacity={"cpu": 8, "memory": FULL}, power=Power(idle=200, max=400))
    frugal = Node(name="n2", capacity={"cpu": 8, "memory": FULL}, power=Power(idle=90, max=200))
    cluster = Cluster(nodes=(hungry, frugal), vms=(_vm("a", "n1", 2000), _vm("b", "n2", 1000)))
    made = plan(cluster, Policy()).plan
    assert_safe(cluster, made)
    assert made.summary is not None
    assert made.summary.power is not None
    assert (made.summary.power.value, made.summary.power.lower_bound, made.status) == (90, 90, "optimal")


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_limits_that_are_none_are_refused(limit: float) -> None:
    with pytest.raises(InputError, match="time limit"):
        PlanOptions(time_limit=limit)


def test_an_empty_cluster_has_nothing_to_do() -> None:
    assert plan(Cluster(nodes=(), vms=()), Policy()).plan.status == "unchanged"
