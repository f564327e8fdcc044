"""The heaviest closed set, against every subset; and the two ways of building its network, against each other."""

from __future__ import annotations

from itertools import combinations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from checked import outside_verdict
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import RunningCapacity
from entropy.verification import load as load_module
from entropy.verification.closure import heaviest_closure
from entropy.verification.load import Load
from entropy.verification.order import Order
from entropy.verification.verify import verify

weights = st.lists(st.integers(-6, 6), min_size=0, max_size=8)


@given(weight=weights, rng=st.randoms(use_true_random=False))
def test_heaviest_closure_is_the_best_of_all_subsets(weight: list[int], rng: Random) -> None:
    n = len(weight)
    needs = [[j for j in range(n) if j != i and rng.random() < 0.25] for i in range(n)]
    subsets = (set(s) for k in range(n + 1) for s in combinations(range(n), k))
    best = max(sum(weight[i] for i in s) for s in subsets if all(j in s for i in s for j in needs[i]))

    value, chosen = heaviest_closure(weight, needs)

    assert value == best == sum(weight[i] for i in chosen)
    assert all(j in chosen for i in chosen for j in needs[i])


def test_a_chain_as_long_as_a_plan() -> None:
    """100,000 items, each needing the one before: no recursion."""
    n = 100_000
    value, chosen = heaviest_closure([-1.0] + [0.0] * (n - 2) + [3.0], [[], *([k] for k in range(n - 1))])
    assert value == 2.0
    assert len(chosen) == n


@given(rng=st.randoms(use_true_random=False))
def test_sparse_and_dense_networks_agree(rng: Random) -> None:
    plan = _random_order(rng, 10)
    order = Order(plan)
    ids = [a.id for a in plan.actions]
    rises = {a: float(rng.randint(1, 5)) for a in ids if rng.random() < 0.5}
    falls = {a: float(rng.randint(1, 5)) for a in ids if a not in rises}
    for component in {order.component(a) for a in rises} - {None}:
        ups = {a: w for a, w in rises.items() if order.component(a) == component}
        downs = {a: w for a, w in falls.items() if order.component(a) == component}
        dense, _ = load_module._worst_part(component, ups, downs, order)
        sparse, _ = load_module._sparse(component, ups, downs, order)
        assert dense == sparse


def test_from_above_the_limit_every_arrival_is_tried() -> None:
    """9 of 8 at first; r may come once a (4) has gone, s needs nothing: s is what must not come."""
    plan = Plan(actions=(_idle("a"), _idle("r", "a"), _idle("s")))
    load = Load(start=9.0, rises={"r": 3.0}, falls={"a": 4.0})
    assert load.peak(8.0, Order(plan)) is None
    load.rise("s", 1.0)
    peak = load.peak(8.0, Order(plan))
    assert peak is not None
    assert (peak.value, peak.started, peak.pending) == (10.0, ("s",), ("a",))


def test_a_big_set_of_nodes_is_one_component() -> None:
    """300 arrivals and 300 departures, each waiting for two others: the sparse network decides, as the checker does."""
    n, rng = 600, Random(1)
    nodes = tuple(Node(name=x, capacity={"memory": 1e6}) for x in ("in", "out"))
    vms = tuple(VM(name=f"v{k}", node="in" if k % 2 else "out", demand={"memory": 1.0}) for k in range(n))
    actions = []
    for k in range(n):
        here, there = ("in", "out") if k % 2 else ("out", "in")
        after = tuple({f"a{rng.randrange(max(0, k - 40), k)}" for _ in range(2)}) if k else ()
        actions.append(Action(id=f"a{k}", type="migrate", vm=f"v{k}", source=here, target=there, start=float(k), end=k + 1.0, after=after))
    cluster, plan = Cluster(nodes=nodes, vms=vms), Plan(actions=tuple(actions))
    verdicts = []
    for most in (300, 309, 311, 313, 315, 320, 330, 350, 400, 600):
        policy = Policy(constraints=(RunningCapacity(nodes="in", max=most, continuous=True),))
        verdicts.append(not verify(cluster, plan, policy))
        theirs = outside_verdict(cluster, plan, policy)
        assert theirs is None or verdicts[-1] == (not theirs), most
    assert verdicts == sorted(verdicts)
    assert set(verdicts) == {False, True}


def _idle(name: str, *after: str) -> Action:
    return Action(id=name, type="startup", node="n", after=after)


def _random_order(rng: Random, n: int) -> Plan:
    names = [f"a{k}" for k in range(n)]
    return Plan(actions=tuple(_idle(a, *(b for b in names[:k] if rng.random() < 0.25)) for k, a in enumerate(names)))
