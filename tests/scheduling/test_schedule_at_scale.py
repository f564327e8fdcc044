"""What is treated in bulk, what is forgotten and what is taken apart in large plans, on small ones: limits are set low."""

from __future__ import annotations

import random

import pytest

from checked import assert_safe
from entropy.model.plan import Plan
from entropy.model.rules import Ban, Spread
from entropy.scheduling import dependencies, ordering, pivots
from entropy.scheduling.contention import divide
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.rooms import Books, stays
from entropy.scheduling.schedule import Unorderable, schedule
from entropy.scheduling.steps import Maker, changes
from scheduling_problems import Case, case

KNOT = {"a": ("n1", 4), "b": ("n2", 4)}
SWAP = {"a": "n2", "b": "n1"}


def in_bulk(asked: Case) -> set[str]:
    """The VMs that nobody orders."""
    books = Books(asked.problem, stays(asked.problem, asked.host))
    maker = Maker(asked.problem, books, DurationModel())
    division = divide(asked.problem, books, maker, changes(asked.problem, asked.host, maker))
    return {asked.problem.vm_name(v) for v in division.bulk.vm}


def test_only_what_is_contended_is_ordered() -> None:
    """n2 cannot take b before c has left it; a and d find room, and nobody waits for what they leave."""
    vms = {"a": ("n1", 1), "b": ("n1", 4), "c": ("n2", 4), "d": ("n3", 1)}
    asked = case({"n1": 6, "n2": 4, "n3": 6}, vms, {"a": "n3", "b": "n2", "c": "n3", "d": "n1"})
    assert in_bulk(asked) == {"a", "d"}
    assert [a.vm for a in asked.actions() if a.after] == ["b"]


def test_a_detour_waits_for_what_left_the_pivot_in_bulk() -> None:
    """a and b cannot pass each other but over n3, which x leaves for n4 without asking anyone."""
    asked = case({"n1": 4, "n2": 4, "n3": 4, "n4": 3}, KNOT | {"x": ("n3", 3)}, SWAP | {"x": "n4"})
    assert "x" in in_bulk(asked)
    actions = asked.actions()
    (hop,) = (a for a in actions if a.target == "n3")
    (x,) = (a for a in actions if a.vm == "x")
    assert hop.after == (x.id,)


def test_a_detour_waits_for_what_left_the_zone_in_bulk() -> None:
    """The same, with room on n3 from the beginning, but not for two of a group."""
    rule = Spread(vms=("a", "x"))
    asked = case(
        {"n1": 4, "n2": 4, "n3": 9, "n4": 3}, KNOT | {"x": ("n3", 3)}, SWAP | {"x": "n4"}, rules=[rule, Ban(vms=("b",), nodes=("n3",))]
    )
    assert "x" in in_bulk(asked)
    actions = asked.actions()
    (hop,) = (a for a in actions if a.target == "n3")
    (x,) = (a for a in actions if a.vm == "x")
    assert (hop.vm, hop.after) == ("a", (x.id,))


def test_a_node_is_shut_down_after_what_leaves_it_in_bulk() -> None:
    vms = {f"v{k}": ("n1", k) for k in range(1, 6)}
    actions = case({"n1": 99, "n2": 99}, vms, dict.fromkeys(vms, "n2"), offline=["n1"]).actions()
    assert sorted(actions[-1].after) == ["a1", "a2", "a3", "a4", "a5"]
    assert actions[-1].start == max(a.end for a in actions[:-1])


def crowd(seed: int, *, knots: int) -> Case:
    """Moves one after another on 12 nodes with little room, and ``knots`` pairs of nodes filled to the brim that swap a VM."""
    drawn = random.Random(seed)
    nodes: dict[str, float] = {f"n{n}": 8.0 for n in range(12)} | {"spare1": 6.0, "spare2": 6.0}
    free = dict(nodes)
    vms: dict[str, tuple[str, float]] = {}
    for k in range(60):
        node, size = drawn.choice(list(nodes)[:12]), float(drawn.randint(1, 3))
        if free[node] >= size:
            vms[f"v{k}"], free[node] = (node, size), free[node] - size
    at = {name: node for name, (node, _) in vms.items()}
    for _ in range(80):
        name, node = drawn.choice(list(at)), drawn.choice(list(nodes)[:12])
        if free[node] >= vms[name][1] and node != at[name]:
            free[node] -= vms[name][1]
            free[at[name]] += vms[name][1]
            at[name] = node
    for k in range(knots):
        nodes |= {f"l{k}": 5.0, f"r{k}": 5.0}
        vms |= {f"x{k}": (f"l{k}", 5.0), f"y{k}": (f"r{k}", 5.0)}
        at |= {f"x{k}": f"r{k}", f"y{k}": f"l{k}"}
    return case(nodes, vms, at)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_forgotten_costs_no_safety(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = crowd(seed, knots=3)
    exact = schedule(asked.problem, asked.host, DurationModel())
    monkeypatch.setattr(dependencies, "_WINDOW", 3)
    monkeypatch.setattr(dependencies, "_NEAR", 1)
    actions = schedule(asked.problem, asked.host, DurationModel())
    assert_safe(asked.cluster, Plan(actions=actions), asked.policy)
    assert len(actions) == len(exact)
    assert asked.reached(actions) == asked.wanted()


@pytest.mark.parametrize("seed", range(12))
def test_knots_of_a_large_component_are_released_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LARGE", "_WAITING"):
        monkeypatch.setattr(ordering, name, 1)
    for name in ("_ALL", "_LISTED", "_STALE"):
        monkeypatch.setattr(pivots, name, 3)
    asked = crowd(seed, knots=4)
    assert sum(a.target in ("spare1", "spare2") for a in asked.actions()) >= 4


def test_when_the_time_is_over_only_what_needs_no_search_is_ordered() -> None:
    plain = case({"n1": 4, "n2": 4, "n3": 4}, KNOT, {"a": "n2", "b": "n3"})
    assert len(schedule(plain.problem, plain.host, DurationModel(), lambda: 0.0)) == 2
    knotted = case({"n1": 4, "n2": 4, "n3": 4}, KNOT, SWAP)
    with pytest.raises(Unorderable, match=r"The time to look for one is over\.$") as caught:
        schedule(knotted.problem, knotted.host, DurationModel(), lambda: 0.0)
    assert not caught.value.proven
    assert {knotted.problem.vm_name(v) for v in caught.value.vms} == {"a", "b"}
