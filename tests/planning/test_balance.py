"""Plans that balance, from the documents to the figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.plan import Figure
from entropy.model.policy import Policy
from entropy.model.rules import Spread
from entropy.planning.planner import PlanOptions, Result, plan
from entropy.planning.weights import exchange_rate, resource_weights
from entropy.problem.compile import compile_problem

GIB = 1024.0


def nodes(*capacity: float, cpu: float = 8.0) -> tuple[Node, ...]:
    return tuple(Node(name=f"n{k}", capacity={"cpu": cpu, "memory": c * GIB}) for k, c in enumerate(capacity))


def vm(name: str, node: str, memory: float, cpu: float = 0.0, **more: bool) -> VM:
    return VM(name=name, node=node, demand={"cpu": cpu, "memory": memory * GIB}, **more)  # type: ignore[arg-type]


def balanced(cluster: Cluster, policy: Policy | None = None, seed: int = 0) -> Result:
    return plan(cluster, policy or Policy(objective="balance"), PlanOptions(work_limit=3, workers=1, seed=seed))


def figures(result: Result) -> tuple[Figure | None, float]:
    assert result.plan.summary is not None
    assert result.plan.summary.moved_memory is not None
    return result.plan.summary.balance, result.plan.summary.moved_memory.value / GIB


def test_a_full_node_shares_with_the_empty_ones() -> None:
    cluster = Cluster(nodes=nodes(16, 16, 16), vms=tuple(vm(f"v{k}", "n0", 4) for k in range(3)))
    result = balanced(cluster)
    assert figures(result) == (Figure(value=0.0, lower_bound=0.0), 8)
    assert result.plan.status == "optimal"
    assert result.sentence.endswith("; spread 0 %.")


def test_what_must_stay_sets_the_highest_level() -> None:
    cluster = Cluster(
        nodes=nodes(16, 16), vms=(vm("stays", "n0", 8, migratable=False), vm("a", "n0", 2), vm("b", "n0", 2), vm("c", "n0", 1))
    )
    result = balanced(cluster)
    assert figures(result) == (Figure(value=0.1875, lower_bound=0.1875), 5)
    assert result.sentence.endswith("; spread 18.8 %, proven the least.")
    assert result.plan.status == "optimal"


def test_an_image_that_sleeps_on_a_node_is_no_load() -> None:
    asleep = VM(name="asleep", state="sleeping", node="n0", demand={"cpu": 0.0, "memory": 8 * GIB})
    result = balanced(Cluster(nodes=nodes(16, 16), vms=(vm("a", "n0", 4), vm("b", "n1", 4), asleep)))
    assert figures(result) == (Figure(value=0.0, lower_bound=0.0), 0)
    assert result.plan.status == "unchanged"


def test_weights_say_which_resource_comes_first() -> None:
    """One VM more than the other node has: moving it evens out memory and unbalances cpu."""
    cluster = Cluster(nodes=nodes(16, 16), vms=(vm("a", "n0", 4, 0), vm("b", "n0", 4, 4), vm("c", "n1", 0, 4)))
    by_memory = balanced(cluster, Policy(objective="balance", weights={"memory": 1}))
    assert figures(by_memory) == (Figure(value=0.0, lower_bound=0.0), 4)
    by_cpu = balanced(cluster, Policy(objective="balance", weights={"cpu": 1}))
    assert by_cpu.plan.status == "unchanged"
    assert figures(by_cpu) == (Figure(value=0.0, lower_bound=0.0), 0)


def test_no_move_that_does_not_pay() -> None:
    """25 points of spread for 2 GiB: worth it at 100 MiB a point, not at 80."""
    cluster = Cluster(nodes=nodes(16, 16), vms=(vm("a", "n0", 4), vm("b", "n0", 2), vm("c", "n1", 2)))
    assert figures(balanced(cluster, Policy(objective="balance", trade_off=100.0, weights={"memory": 1})))[1] == 2
    kept = balanced(cluster, Policy(objective="balance", trade_off=80.0, weights={"memory": 1}))
    assert kept.plan.status == "unchanged"


def test_rules_come_first() -> None:
    cluster = Cluster(nodes=nodes(16, 16), vms=(vm("a", "n0", 4), vm("b", "n1", 4), vm("c", "n0", 4), vm("d", "n0", 4)))
    policy = Policy(objective="balance", constraints=(Spread(vms=("a", "b")),))
    balance, moved = figures(balanced(cluster, policy))
    assert (balance, moved) == (Figure(value=0.0, lower_bound=0.0), 4)


def test_a_weight_for_what_nobody_has_is_an_error() -> None:
    with pytest.raises(InputError, match=r"weights: names 'gpu', which no node and no VM has \(accepted: cpu, memory\)"):
        balanced(Cluster(nodes=nodes(8), vms=()), Policy(objective="balance", weights={"gpu": 1.0}))


def test_weights_and_rates_in_the_integers_of_the_search() -> None:
    cluster = Cluster(nodes=nodes(16), vms=(vm("a", "n0", 0.5, 1.0), vm("b", "n0", 2, 1.0)))
    problem = compile_problem(cluster, Policy())
    assert problem.resources == ("cpu", "memory")
    assert resource_weights(problem, Policy(weights={"memory": 0.25})).tolist() == [0, 250]
    assert exchange_rate(problem, Policy(), 1) is None
    assert exchange_rate(problem, Policy(trade_off=1024.0), 1) == (2, 1)  # memory is counted in halves of a GiB
    assert exchange_rate(problem, Policy(trade_off=1024.0), 1000) == (1, 500)
    assert exchange_rate(problem, Policy(trade_off=80.0), 10_000_000) == (1, 64_000_000)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_figures_are_those_of_the_plan(data: st.DataObject) -> None:
    """Spread recomputed from the documents and the actions, in shares and by hand."""
    capacity = data.draw(st.lists(st.sampled_from([8.0, 12.0, 16.0]), min_size=2, max_size=4))
    sizes = data.draw(st.lists(st.tuples(st.integers(0, len(capacity) - 1), st.sampled_from([1.0, 2.0, 3.0])), max_size=6))
    cluster = Cluster(nodes=nodes(*capacity), vms=tuple(vm(f"v{k}", f"n{n}", size) for k, (n, size) in enumerate(sizes)))
    if any(sum(s for n, s in sizes if n == k) > c for k, c in enumerate(capacity)):
        return
    result = balanced(cluster)
    at = {v.name: v.node for v in cluster.vms} | {a.vm: a.target for a in result.plan.actions if a.type == "migrate"}
    shares = [sum(v.demand["memory"] for v in cluster.vms if at[v.name] == node.name) / node.capacity["memory"] for node in cluster.nodes]
    balance, _ = figures(result)
    assert balance is not None
    assert balance.value == pytest.approx(max(shares) - min(shares), abs=2e-6)
    assert balance.lower_bound is not None
    assert balance.lower_bound <= balance.value
