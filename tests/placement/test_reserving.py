"""Nodes set aside for VMs that must be alone: the cheapest, and enough of them."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Fence, Lonely, Split
from entropy.placement.reserving import reserved
from entropy.placement.viability import is_viable
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem, positions


def _vm(name: str, node: str | None, gib: int = 1, **more: object) -> VM:
    state = "running" if node else "ready"
    return VM(name=name, node=node, state=state, demand={"cpu": 1, "memory": gib * 1024}, **more)  # type: ignore[arg-type]


def _problem(vms: tuple[VM, ...], *rules: AnyRule, gib: int = 8) -> Problem:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 64, "memory": gib * 1024}) for k in range(4))
    return compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=rules))


def _allowed(problem: Problem, v: int) -> list[int]:
    return positions(problem.domains[problem.domain_of[v]]).tolist()


CROWD = (_vm("x", "n0", 4), _vm("y", "n1", 1), _vm("z", "n2", 2), _vm("w", "n3", 3))


def test_the_cheapest_node_is_set_aside_and_the_others_kept_off() -> None:
    """n1: 1 GiB leaves; where a is now, 4 would."""
    found = reserved(_problem((_vm("a", "n0", 1), *CROWD), Lonely(vms=("a",))))
    assert _allowed(found, 0) == [1]
    assert _allowed(found, 1) == [0, 2, 3]


def test_a_group_that_is_large_keeps_where_it_is() -> None:
    found = reserved(_problem((_vm("a", "n0", 4), *CROWD), Lonely(vms=("a",))))
    assert _allowed(found, 0) == [0]


def test_as_many_nodes_as_the_group_needs() -> None:
    found = reserved(_problem((_vm("a", "n0", 6), _vm("b", "n1", 5), *CROWD), Lonely(vms=("a", "b"))))
    assert _allowed(found, 0) == [0, 1]


def test_groups_have_nodes_of_their_own() -> None:
    found = reserved(_problem((_vm("a", "n1", 1), _vm("b", "n1", 1), *CROWD), Lonely(vms=("a",)), Lonely(vms=("b",))))
    assert sorted((_allowed(found, 0), _allowed(found, 1))) == [[1], [2]]
    assert _allowed(found, 2) == [0, 3]


def test_nothing_is_set_aside_for_who_is_alone_or_not_forced_to_be() -> None:
    alone = _problem((_vm("a", "n0", 1), _vm("y", "n1", 1), _vm("z", "n2", 1)), Lonely(vms=("a",)))
    assert reserved(alone) is alone
    for rule in (Lonely(vms=("a",), soft=True), Split(groups=(("a",), ("x",)))):
        other = _problem((_vm("a", "n0", 1), *CROWD), rule)
        assert reserved(other) is other


def test_held_vms_are_not_driven_off_and_fences_are_respected() -> None:
    crowd = (_vm("x", "n0", 5), _vm("y", "n1", 1, migratable=False), _vm("z", "n2", 2), _vm("w", "n3", 3))
    found = reserved(_problem((_vm("a", "n0", 1), *crowd), Lonely(vms=("a",)), Fence(vms=("a",), nodes=("n0", "n1", "n3"))))
    assert _allowed(found, 0) == [3]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whoever_stays_in_the_narrower_domains_is_alone(data: st.DataObject) -> None:
    vms = tuple(_vm(f"v{k}", data.draw(st.sampled_from(["n0", "n1", "n2", "n3", None]))) for k in range(6))
    rules = tuple(Lonely(vms=(f"v{k}",)) for k in range(data.draw(st.integers(1, 2))))
    problem = _problem(vms, *rules, gib=64)
    problem.goal[:] = 1
    found = reserved(problem)
    if found is problem:
        return
    given_nodes = [set(_allowed(found, v)) for v in range(len(rules))]
    settled = all(len(n) == 1 for n in given_nodes)  # every rule has a node: then all is said by domains
    for host in product(*(sorted(_allowed(found, v))[:2] for v in range(6))):
        assert not settled or is_viable(problem, np.array(host, dtype=np.int32))
