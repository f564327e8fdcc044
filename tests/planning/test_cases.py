"""Cases that once went wrong, each with what was wrong; found by random clusters nastier than an operator's."""

from __future__ import annotations

import pytest

from checked import assert_safe
from entropy.model.cluster import VM, Cluster, Node, Power
from entropy.model.errors import InfeasibleError
from entropy.model.policy import Policy
from entropy.model.rules import Fence, Killed, Lonely, Offline, Online, Quarantine, Running, Sleeping, Split, Spread
from entropy.placement.budget import Budget
from entropy.planning.planner import PlanOptions, Result, plan
from entropy.verification.verify import verify


def _node(name: str, memory: float = 4096, **more: object) -> Node:
    return Node(name=name, capacity={"cpu": 4, "memory": memory}, **more)  # type: ignore[arg-type]


def _vm(name: str, node: str | None, memory: float = 1024, **more: object) -> VM:
    more.setdefault("state", "running" if node else "ready")
    return VM(name=name, node=node, demand={"cpu": 1, "memory": memory}, **more)  # type: ignore[arg-type]


def _planned(cluster: Cluster, policy: Policy | None = None, **options: object) -> Result:
    policy = policy or Policy()
    result = plan(cluster, policy, PlanOptions(work_limit=1.0, **options))  # type: ignore[arg-type]
    assert_safe(cluster, result.plan, policy)
    return result


def _summary(result: Result) -> tuple[str, int, float]:
    """Status, nodes in use at the end, moved memory."""
    summary = result.plan.summary
    assert summary is not None
    assert summary.nodes is not None
    assert summary.moved_memory is not None
    return result.plan.status, summary.nodes.after, summary.moved_memory.value


# -- almost nothing there -----------------------------------------------------------------------------------------


def test_vms_that_demand_nothing_share_a_node() -> None:
    """A problem without a single resource was an index error."""
    cluster = Cluster(nodes=(_node("a"), _node("b")), vms=tuple(VM(name=v, node=n, demand={}) for v, n in (("v", "a"), ("w", "b"))))
    assert _summary(_planned(cluster)) == ("optimal", 1, 0)


def test_no_node_and_a_vm_that_waits() -> None:
    """Bounds on the duration looked at the first node, and there was none."""
    assert _summary(_planned(Cluster(nodes=(), vms=(_vm("v", None),)))) == ("unchanged", 0, 0)


def test_no_node_and_a_vm_that_should_run() -> None:
    with pytest.raises(InfeasibleError, match="v may run on no node"):
        _planned(Cluster(nodes=(), vms=(_vm("v", None),)), Policy(constraints=(Running(vms="v"),)))


# -- rules ----------------------------------------------------------------------------------------------------------


def test_fence_to_nodes_that_no_label_names_is_void() -> None:
    """It forbade every node; the contract has it warned about and void, as verification does."""
    cluster = Cluster(nodes=(_node("a"), _node("b")), vms=(_vm("v", "a"), _vm("w", "b")))
    policy = Policy(constraints=(Fence(vms="*", nodes="rack=r9"),))
    result = plan(cluster, policy, PlanOptions(work_limit=1.0))
    assert not verify(cluster, result.plan, policy)  # the customers' checker does not know of void fences
    assert _summary(result) == ("optimal", 1, 1024)
    assert any("void" in warning for warning in result.warnings)


def test_a_label_that_no_node_has_is_told() -> None:
    """A slip of the pen made of a rule on racks one on nodes, and nobody heard of it."""
    cluster = Cluster(nodes=(_node("a", labels={"rack": "r1"}), _node("b")), vms=(_vm("v", "a"),))
    assert not _planned(cluster, Policy(constraints=(Spread(vms="v", across="rack"),))).warnings
    (warning,) = _planned(cluster, Policy(constraints=(Spread(vms="v", across="rak"),))).warnings
    assert warning == "constraints[0].across: no node has the label 'rak', so that each is a zone of its own"


# -- best effort ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [(Offline(nodes="a"), Online(nodes="a")), (Online(nodes="a"), Offline(nodes="a"))])
def test_best_effort_leaves_a_node_that_rules_fight_over_as_it_is(rules: tuple[Online | Offline, ...]) -> None:
    """It did what the first rule said, and the plan failed verification for the second."""
    for state in ("online", "offline"):
        cluster = Cluster(nodes=(_node("a", state=state), _node("b"), _node("c")), vms=(_vm("v", "b"), _vm("w", "c")))
        result = plan(cluster, Policy(constraints=rules), PlanOptions(work_limit=1.0, best_effort=True))
        assert [action.type for action in result.plan.actions] == ["migrate"]
        assert result.plan.summary is not None
        assert result.plan.summary.unsatisfied == ("one rule wants node a online, another offline",)


def test_best_effort_leaves_a_vm_that_rules_fight_over_as_it_is() -> None:
    cluster = Cluster(nodes=(_node("a"), _node("b")), vms=(_vm("v", "a"), _vm("w", "b")))
    policy = Policy(constraints=(Killed(vms="v"), Running(vms="v")))
    result = plan(cluster, policy, PlanOptions(work_limit=1.0, best_effort=True))
    assert [action.type for action in result.plan.actions] == ["migrate"]


def test_best_effort_does_not_shut_down_a_node_that_a_vm_cannot_leave() -> None:
    """The VM stayed, and its node was to be switched off under it."""
    cluster = Cluster(nodes=(_node("a"), _node("b"), _node("c")), vms=(_vm("v", "a", migratable=False), _vm("w", "b")))
    policy = Policy(constraints=(Offline(nodes=("a", "b")),))
    result = plan(cluster, policy, PlanOptions(work_limit=1.0, best_effort=True))
    assert [action.describe() for action in result.plan.actions] == ["migrate w from b to c", "shut down b"]


@pytest.mark.parametrize(
    ("state", "rule", "verb"), [("online", Offline(nodes="a"), "shut down"), ("offline", Online(nodes="a"), "started")]
)
def test_a_node_that_is_left_alone_is_not_switched(state: str, rule: Online | Offline, verb: str) -> None:
    """It was, and the plan failed verification."""
    nodes = (_node("a", state=state, untouchable="no news"), _node("b"), _node("c"))
    cluster = Cluster(nodes=nodes, vms=(_vm("v", "b"), _vm("w", "c")))
    told = f"node a cannot be {verb}: it is left alone: no news"
    with pytest.raises(InfeasibleError, match=told):
        _planned(cluster, Policy(constraints=(rule,)))
    result = plan(cluster, Policy(constraints=(rule,)), PlanOptions(work_limit=1.0, best_effort=True))
    assert [action.type for action in result.plan.actions] == ["migrate"]
    assert result.plan.summary is not None
    assert result.plan.summary.unsatisfied == (told,)


def test_best_effort_names_who_must_resume_where_his_image_lies_and_finds_no_room() -> None:
    """All that must run has no room together; who cannot go elsewhere is no exception."""
    cluster = Cluster(
        nodes=(Node(name="n1", capacity={"cpu": 2, "memory": 500}),),
        vms=(
            VM(name="a", state="running", node="n1", demand={"cpu": 1, "memory": 250}),
            VM(name="b", state="sleeping", node="n1", demand={"cpu": 0, "memory": 375}, migratable=False),
            VM(name="c", state="ready", demand={"cpu": 0, "memory": 125}),
        ),
    )
    result = plan(cluster, Policy(constraints=(Running(vms="*"),)), PlanOptions(work_limit=1.0, best_effort=True))
    assert [a.describe() for a in result.plan.actions] == ["run c on n1"]
    assert result.plan.summary is not None
    assert result.plan.summary.unsatisfied[-1] == "VM b is not started: no node has room for it"


def test_what_best_effort_sets_aside_for_those_that_cool_down_makes_no_bound_above_the_value() -> None:
    """Of a split pair on n1 one could leave if it did not cool down, but n2 has no room for it."""
    cluster = Cluster(
        nodes=tuple(Node(name=n, capacity={"cpu": 8, "memory": 4096}) for n in ("n1", "n2")),
        vms=(
            VM(name="a", state="running", node="n1", demand={"cpu": 1, "memory": 1024}),
            VM(name="b", state="running", node="n1", demand={"cpu": 1, "memory": 2048}),
            VM(name="c", state="running", node="n2", demand={"cpu": 1, "memory": 2560}, migratable=False),
        ),
    )
    policy = Policy(constraints=(Split(groups=(("a",), ("b", "c"))),))
    options = PlanOptions(work_limit=1.0, best_effort=True, held=frozenset("abc"))
    summary = plan(cluster, policy, options).plan.summary
    assert summary is not None
    assert summary.unsatisfied
    assert summary.nodes is not None
    assert (summary.nodes.lower_bound or 0) <= summary.nodes.after == 2


def test_best_effort_leaves_alone_what_cannot_be_ordered() -> None:
    """It gave up, though the full nodes whose VMs fences want swapped are but a corner of the cluster."""
    vms = (_vm("v", "a", 3000), _vm("w", "b", 3000), _vm("x", "c", 3000), _vm("y", "c", 1500))
    cluster = Cluster(nodes=tuple(_node(n) for n in "abcd"), vms=vms)
    fences = (Fence(vms="v", nodes="b"), Fence(vms="w", nodes="a"), Fence(vms="y", nodes=("c", "d")))
    result = plan(cluster, Policy(objective="repair", constraints=fences), PlanOptions(work_limit=1.0, best_effort=True))
    assert [action.describe() for action in result.plan.actions] == ["migrate y from c to d"]
    assert result.plan.summary is not None
    assert result.plan.summary.unsatisfied[0].startswith("VM v, w left as observed: No safe order: ")


# -- states ---------------------------------------------------------------------------------------------------------


def test_a_vm_that_never_ran_is_started_to_be_suspended() -> None:
    """Nobody had thought of a node for it: a ValueError."""
    vms = (_vm("v", None, 3000), _vm("w", "a", 2000))
    cluster = Cluster(nodes=(_node("a"), _node("b"), _node("c", maintenance=True, memory=9999)), vms=vms)
    policy = Policy(constraints=(Sleeping(vms="v"),))
    result = _planned(cluster, policy)
    assert [action.describe() for action in result.plan.actions] == ["run v on b", "suspend v on b"]
    assert _summary(result) == ("optimal", 1, 3000)
    with pytest.raises(InfeasibleError, match="VM v has to be started to be suspended"):
        _planned(cluster, Policy(constraints=(Sleeping(vms="v"), Fence(vms="v", nodes="c"))))


@pytest.mark.parametrize(
    ("node", "rules", "told"),
    [
        ({"state": "offline"}, (Running(vms="v"),), "VM v cannot be resumed: its image lies on a, which is off and is not to be started"),
        ({"state": "offline"}, (Killed(vms="v"),), "VM v cannot be stopped: its image lies on a, which is off and is not to be started"),
        ({"untouchable": "no news"}, (Killed(vms="v"),), "VM v cannot be stopped: its image lies on a, which is left alone: no news"),
        ({}, (Running(vms="v"), Quarantine(nodes="a")), "VM v cannot be resumed: its image lies on a, which nothing may enter or leave"),
    ],
)
def test_an_image_that_cannot_be_reached(node: dict[str, object], rules: tuple[Running | Killed | Quarantine, ...], told: str) -> None:
    """That no node was tried with success proved nothing, so it was exit 5; and best effort gave everything up."""
    vms = (_vm("v", "a", state="sleeping"), _vm("w", "b", 3000), _vm("x", "b", 1500))
    cluster = Cluster(nodes=(_node("a", **node), _node("b"), _node("c")), vms=vms)
    policy = Policy(objective="repair", constraints=rules)
    with pytest.raises(InfeasibleError, match=told):
        plan(cluster, policy)
    result = plan(cluster, policy, PlanOptions(work_limit=1.0, best_effort=True))
    assert [action.describe() for action in result.plan.actions] == ["migrate x from b to c"]
    assert result.plan.summary is not None
    assert result.plan.summary.unsatisfied == (told,)


def test_a_vm_that_is_not_migratable_resumes_where_its_image_lies() -> None:
    """Placement put it where most room was left, and was called optimal; the order then had to refuse."""
    vms = (_vm("v", "a", state="sleeping", migratable=False), _vm("w", "a", 3500))
    cluster = Cluster(nodes=(_node("a"), _node("b")), vms=vms)
    result = _planned(cluster, Policy(objective="repair", constraints=(Running(vms="v"),)))
    assert [action.describe() for action in result.plan.actions] == ["migrate w from a to b", "resume v on a"]


# -- bounds ---------------------------------------------------------------------------------------------------------


def test_nodes_that_draw_nothing_prove_nothing_about_moves() -> None:
    """With idle power 0 everywhere "at most 0 nodes" was taken for a fact, and then every move for unavoidable."""
    free = Power(idle=0, max=100)
    nodes = tuple(_node(f"n{k}", memory=8, power=free) for k in range(4))
    sizes = ((1, 1, 5), (1, 2, 3), (3, 2, 1), (2, 3, 3), (0, 1, 4), (1, 0, 3), (1, 3, 5), (0, 0, 2))  # node, cpu, memory
    vms = tuple(VM(name=f"v{k}", node=f"n{n}", demand={"cpu": c, "memory": m}) for k, (n, c, m) in enumerate(sizes))
    assert _summary(_planned(Cluster(nodes=nodes, vms=vms)))[::2] == ("optimal", 8)


def test_bounds_of_a_round_with_cool_downs_know_what_best_effort_leaves_alone() -> None:
    """The VM that is not started was counted in the bound on nodes, which then stood above the value: the plan was withheld."""
    vms = (_vm("v", "a", 3000), _vm("big", None, 9000))
    cluster = Cluster(nodes=(_node("a"), _node("b")), vms=vms)
    policy = Policy(constraints=(Running(vms="big"),))
    result = plan(cluster, policy, PlanOptions(work_limit=1.0, best_effort=True, held=frozenset({"v"})))
    assert _summary(result) == ("unchanged", 1, 0)


# -- limits ---------------------------------------------------------------------------------------------------------


def test_trades_count_as_work() -> None:
    """A work limit did not limit them: small clusters took half a minute."""
    budget = Budget(remaining=lambda: float("inf"), work=1.0)
    over = budget.share(0.5)
    asked = 0
    while not over():
        asked += 1
        assert asked < 1000
    assert budget.work == pytest.approx(0.5, abs=0.05)


def test_soft_rules_that_take_all_the_time_do_not_hide_that_nothing_needs_to_move() -> None:
    cluster = Cluster(nodes=tuple(_node(f"n{k}") for k in range(4)), vms=tuple(_vm(f"v{k}", f"n{k % 4}") for k in range(12)))
    apart = tuple(Lonely(vms=(f"v{k}",), soft=True, weight=[0.001, 1e6][k % 2]) for k in range(12))
    for objective in ("repair", "consolidate", "balance"):
        policy = Policy(objective=objective, constraints=apart)  # type: ignore[arg-type]
        result = plan(cluster, policy, PlanOptions(work_limit=0.001))
        assert_safe(cluster, result.plan, policy)
