"""What is spelt out for speed says the same as pydantic would, field by field."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import given

from document_strategies import clusters, plans
from entropy.formats.trees import adapter, tree_of
from entropy.model.cluster import VM, Cluster, MigrationProfile, Node
from entropy.model.plan import Action, Plan


def by_pydantic(cls: type[Any], value: Any) -> Any:
    return adapter(cls).dump_python(value, by_alias=True, exclude_defaults=True, mode="json")


@given(clusters())
def test_vms_are_written_as_pydantic_would(cluster: Cluster) -> None:
    for tree, vm in zip(tree_of(cluster)["vms"], cluster.vms, strict=True):
        assert tree == {"state": vm.state} | by_pydantic(VM, vm)


def test_every_field_of_a_vm_is_written() -> None:
    vm = VM(
        name="v", state="running", node="n", demand={"cpu": 0.5, "memory": 1024.0}, consumption={"cpu": 1e15}, labels={"app": "a"},
        migratable=False, migration=MigrationProfile(memory_used=1.0, hot_dirty_size=0.25, hot_dirty_duration=2, cold_dirty_rate=0.0),
    )  # fmt: skip
    (tree,) = tree_of(Cluster(nodes=(Node(name="n", capacity={}),), vms=(vm,)))["vms"]
    assert set(tree) == {field.name for field in fields(VM)}
    assert tree == by_pydantic(VM, vm) | {"state": "running"}
    assert type(tree["demand"]["memory"]) is type(tree["consumption"]["cpu"]) is type(tree["migration"]["memoryUsed"]) is int


@given(plans())
def test_actions_are_written_as_pydantic_would(plan: Plan) -> None:
    for tree, action in zip(tree_of(plan)["actions"], plan.actions, strict=True):
        always = {"start": round(action.start, 3), "end": round(action.end, 3), "after": list(action.after)}
        assert tree == by_pydantic(Action, action) | always
