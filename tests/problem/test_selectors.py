"""Which VMs and nodes a selector means."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.selectors import Selector

CLUSTER = Cluster(
    nodes=(Node(name="n1", capacity={}, labels={"rack": "r1"}), Node(name="n2", capacity={}, labels={"rack": "r2"})),
    vms=tuple(
        VM(name=name, state="ready", demand={}, labels=labels)
        for name, labels in (
            ("web-1", {"app": "web", "tier": "front"}),
            ("web-2", {"app": "web"}),
            ("db", {"app": "db"}),
            ("app=web", {}),
            ("*", {}),
        )
    ),
)


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ("db", ["db"]),
        ("web-*", ["web-1", "web-2"]),
        ("app!=db", ["web-1", "web-2", "app=web", "*"]),
        ("app=db", ["db"]),
        ("app!=web,app!=db", ["app=web", "*"]),
        ("tier=front,app=web", ["web-1"]),
        ("tier!=front,tier=front", []),
        (("db", "web-*", "db"), ["db", "web-1", "web-2"]),
        ("app=web", ["app=web"]),  # a VM of that very name comes before the label
        ("*", ["*"]),
    ],
)
def test_selection(selection: str | tuple[str, ...], names: list[str]) -> None:
    assert [v.name for v in Selector(CLUSTER).vms(selection)] == names


def test_star_means_all() -> None:
    assert [n.name for n in Selector(CLUSTER).nodes("*")] == ["n1", "n2"]


def test_a_label_that_matches_nothing_warns_and_selects_nothing() -> None:
    pick = Selector(CLUSTER)
    assert pick.nodes("rack=r9", "constraints[0].nodes") == ()
    assert pick.warnings == ["constraints[0].nodes: 'rack=r9' matches no node; the rule is void"]


def test_a_selection_made_again_is_the_same_and_warns_again() -> None:
    pick = Selector(CLUSTER)
    assert pick.vms("app=db") == pick.vms("app=db") == pick.vms(("app=db",))
    assert [pick.nodes("rack=r1"), pick.vms("rack=r1")] == [(CLUSTER.nodes[0],), ()]
    assert [pick.nodes("rack=r9", f"constraints[{k}].nodes") for k in range(2)] == [(), ()]
    assert [text.partition(":")[0] for text in pick.warnings] == ["selector", "constraints[0].nodes", "constraints[1].nodes"]


@pytest.mark.parametrize("selection", ["gone", "gone-*", ("db", "gone")])
def test_a_name_or_glob_that_matches_nothing_is_an_error(selection: str | tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="names no VM of the cluster"):
        Selector(CLUSTER).vms(selection)


@pytest.mark.parametrize("selection", ["=web", "app=web,", "app=web,tier"])
def test_a_test_that_is_none_is_an_error(selection: str) -> None:
    with pytest.raises(InputError, match="no test on a label"):
        Selector(CLUSTER).vms(selection)


@given(st.lists(st.text("ab*[]?\U0010ffff", min_size=1, max_size=4), unique=True, min_size=1), st.text("ab*[]?", min_size=1, max_size=4))
def test_a_glob_finds_what_fits_in_the_order_of_the_document(names: list[str], pattern: str) -> None:
    cluster = Cluster(nodes=(), vms=tuple(VM(name=name, state="ready", demand={}) for name in names))
    wanted = [pattern] if pattern in names else names if pattern == "*" else [name for name in names if fnmatchcase(name, pattern)]
    assert [vm.name for vm in Selector(cluster, lenient=True).vms(pattern)] == wanted
