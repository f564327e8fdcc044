"""BtrPlace's JSON instances: every view, attribute and constraint, what cannot be kept is told, what is wrong with its place."""

from __future__ import annotations

import copy
import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checked import assert_safe
from command_line import entropy
from document_strategies import refusal
from entropy.constraints.catalogue import OFFERED
from entropy.formats import btrplace, documents
from entropy.formats.convert import convert
from entropy.formats.load import Loaded, load
from entropy.model import rules
from entropy.model.cluster import VM, Cluster, MigrationProfile
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.planning.planner import PlanOptions, plan
from shared_data import shared

NOW = datetime(2026, 11, 22, 12, 0, 30)
MODEL: dict[str, Any] = {
    "mapping": {
        "readyVMs": [4],
        "offlineNodes": [2],
        "onlineNodes": {"1": {"runningVMs": [3], "sleepingVMs": [2]}, "0": {"runningVMs": [1, 0], "sleepingVMs": []}},
    },
    "attributes": {
        "nodes": {"1": {"rack": "r1"}},
        "vms": {
            "0": {"template": "small", "clone": True, "boot": 5, "weight": 2.0, "share": 0.25},
            "3": {"memUsed": 3000, "hotDirtySize": 96, "hotDirtyDuration": 2, "coldDirtyRate": 1.5},
        },
    },
    "views": [
        {"id": "shareableResource", "rcId": "cpu", "defCapacity": 8, "defConsumption": 1, "nodes": {"2": 16}, "vms": {"0": 2, "4": 3}},
        {"id": "shareableResource", "rcId": "mem", "defCapacity": 100, "defConsumption": 10, "nodes": {}, "vms": {}},
        {"id": "ns", "type": "vm", "map": {"web": 0, "db": 1, "gone": 9}},
        {"id": "ns", "type": "node", "map": {"@N0": 0}},
    ],
}


def document(*constraints: dict[str, Any], model: dict[str, Any] = MODEL, objective: str = "minimizeMTTR") -> bytes:
    return orjson.dumps({"model": model, "constraints": constraints, "objective": {"id": objective}})


def read(*constraints: dict[str, Any], **more: Any) -> Loaded:
    cluster, policy, warnings = btrplace.parse(document(*constraints, **more), where="i.json", now=NOW)
    return Loaded(cluster=cluster, policy=policy, warnings=warnings)


def rule(*constraints: dict[str, Any]) -> Any:
    """The rule that the last of ``constraints`` becomes."""
    policy = read(*constraints).policy
    assert policy is not None
    return policy.constraints[-1]


def changed(path: str, value: Any) -> bytes:
    """The instance with ``value`` at ``path``."""
    model = copy.deepcopy(MODEL)
    here: Any = model
    *steps, last = path.split(".")
    for step in steps:
        here = here[int(step)] if isinstance(here, list) else here[step]
    here[int(last) if isinstance(here, list) else last] = value
    return document(model=model)


# -- the cluster ---------------------------------------------------------------------------------------------------------


def test_who_is_where_and_what_each_is_called() -> None:
    cluster = read().cluster
    assert [(n.name, n.state) for n in cluster.nodes] == [("@N0", "online"), ("node#1", "online"), ("node#2", "offline")]
    assert [(v.name, v.state, v.node) for v in cluster.vms] == [
        ("web", "running", "@N0"),
        ("db", "running", "@N0"),
        ("vm#2", "sleeping", "node#1"),
        ("vm#3", "running", "node#1"),
        ("vm#4", "ready", None),
    ]


def test_views_give_capacities_and_demands_with_their_defaults() -> None:
    cluster = read().cluster
    assert [n.capacity for n in cluster.nodes] == [{"cpu": 8, "memory": 100}, {"cpu": 8, "memory": 100}, {"cpu": 16, "memory": 100}]
    assert [v.demand["cpu"] for v in cluster.vms] == [2, 1, 1, 1, 3]
    assert {v.demand["memory"] for v in cluster.vms} == {10}
    assert all(not v.consumption for v in cluster.vms)


def test_mem_stays_mem_beside_memory_and_other_names_are_kept() -> None:
    views = [{"id": "shareableResource", "rcId": rc, "defCapacity": 5} for rc in ("mem", "memory", "uCpu")]
    assert read(model=MODEL | {"views": views}).cluster.resources == ("memory", "mem", "uCpu")


def test_preserve_is_the_demand_and_current_use_the_consumption() -> None:
    found = read(
        {"id": "preserve", "vm": 0, "rc": "cpu", "amount": 5},
        {"id": "preserve", "vm": 0, "rc": "cpu", "amount": 3},
        {"id": "preserve", "vm": 1, "rc": "mem", "amount": 4, "continuous": False},
        {"id": "preserve", "vm": 3, "rc": "cpu", "amount": 1},
    )
    web, db, _, three, _ = found.cluster.vms
    assert (web.demand, web.consumption) == ({"cpu": 5, "memory": 10}, {"cpu": 2})
    assert (db.demand, db.consumption) == ({"cpu": 1, "memory": 4}, {"memory": 10})
    assert (three.demand, three.consumption) == ({"cpu": 1, "memory": 10}, {})
    assert found.policy is not None
    assert found.policy.constraints[2] == rules.Preserve(name="preserve #2", vms=("db",), resource="memory", amount=4)


def test_attributes_are_labels_and_migration_profiles() -> None:
    found = read()
    web, _, _, three, _ = found.cluster.vms
    assert web.labels == {"template": "small", "clone": "true", "boot": "5", "weight": "2", "share": "0.25"}
    assert three.labels == {}
    assert three.migration == MigrationProfile(memory_used=3000, hot_dirty_size=96, hot_dirty_duration=2, cold_dirty_rate=1.5)
    assert found.cluster.node_by_name["node#1"].labels == {"rack": "r1"}
    assert found.warnings[-1].endswith("not planned with (durations, making a VM anew): boot, clone, template")


def test_a_network_becomes_labels_and_the_rest_is_told() -> None:
    net = {
        "id": "net",
        "switches": [{"id": 0, "capacity": -1}, {"id": 1, "capacity": 1000}],
        "links": [
            {"id": 0, "capacity": 1000, "switch": 0, "physicalElement": {"id": 0, "type": "node"}},
            {"id": 1, "capacity": 500, "switch": 1, "physicalElement": {"id": 0, "type": "node"}},
            {"id": 2, "capacity": 10000, "switch": 0, "physicalElement": {"id": 1, "type": "switch"}},
        ],
        "routing": {"type": "default"},
    }
    found = read(model=MODEL | {"views": [*MODEL["views"], net]})
    assert found.cluster.nodes[0].labels == {"net.switch": "0,1", "net.capacity": "1000,500"}
    assert [text for text in found.warnings if "network" in text] == [
        "i.json: the network view is kept as labels of nodes (net.switch, net.capacity) and not planned with: 2 switches, "
        "2 links of nodes; 1 links between switches and default routing are left out"
    ]


def test_what_is_not_taken_over_is_told() -> None:
    model = copy.deepcopy(MODEL)
    model["views"] += [{"id": "energy"}]
    model["views"][0]["vms"]["7"] = 1
    model["attributes"]["vms"]["8"] = {"x": 1}
    model["extra"] = 1
    told = read({"id": "root", "vm": 0, "strength": 3}, model=model, objective="minimizeWatts").warnings
    for text in (
        "'extra' of model is not read",
        "names of vms that the mapping does not hold are left out: gone",
        "the resource cpu of VMs that the mapping does not hold is left out: 7",
        "the view 'energy' is no known one and is not read",
        "attributes of elements that the mapping does not hold are left out: VM 8",
        "the objective minimizeWatts is planned as repair: its meaning is not known",
        "the key 'strength' of 1 constraints is no known one and is not read",
    ):
        assert f"i.json: {text}" in told


@pytest.mark.parametrize(
    ("objective", "told"), [("minimizeMTTR", False), ("minimizeMigrations", True), ("minimizeMTTRMigrationScheduling", True)]
)
def test_objectives(objective: str, told: bool) -> None:
    found = read(objective=objective)
    assert found.policy is not None
    assert found.policy.objective == "repair"
    assert any(f"the objective {objective} is planned as repair" in text for text in found.warnings) == told


def test_an_instance_without_constraints_views_and_attributes() -> None:
    raw = orjson.dumps({"model": {"mapping": {"onlineNodes": {"0": {"runningVMs": [0]}}}}})
    cluster, policy, warnings = btrplace.parse(raw, now=NOW)
    assert [v.name for v in cluster.vms] == ["vm#0"]
    assert (policy, warnings) == (Policy(objective="repair"), ())


# -- the constraints -----------------------------------------------------------------------------------------------------

WEB, DB, N0, N1 = ("web",), ("db",), ("@N0",), ("node#1",)
BOTH, NODES = ("web", "db"), ("@N0", "node#1")


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"id": "running", "vm": 0}, rules.Running(vms=WEB)),
        ({"id": "running", "vms": [0, 1]}, rules.Running(vms=BOTH)),
        ({"id": "sleeping", "vm": 0, "continuous": False}, rules.Sleeping(vms=WEB)),
        ({"id": "ready", "vm": 0}, rules.Ready(vms=WEB)),
        ({"id": "killed", "vm": 0}, rules.Killed(vms=WEB)),
        ({"id": "online", "node": 0}, rules.Online(nodes=N0)),
        ({"id": "offline", "nodes": [0, 1]}, rules.Offline(nodes=NODES)),
        ({"id": "fence", "vm": 0, "nodes": [0, 1], "continuous": False}, rules.Fence(vms=WEB, nodes=NODES, continuous=False)),
        ({"id": "fence", "vm": 0, "nodes": [0, 1], "continuous": True}, rules.Fence(vms=WEB, nodes=NODES)),
        ({"id": "ban", "vm": 0, "nodes": [1], "continuous": False}, rules.Ban(vms=WEB, nodes=N1, continuous=False)),
        ({"id": "root", "vm": 0, "continuous": True}, rules.Root(vms=WEB)),
        ({"id": "spread", "vms": [0, 1], "continuous": False}, rules.Spread(vms=BOTH, continuous=False)),
        ({"id": "spread", "vms": [0, 1]}, rules.Spread(vms=BOTH)),
        ({"id": "gather", "vms": [0, 1], "continuous": True}, rules.Gather(vms=BOTH, continuous=True)),
        ({"id": "gather", "vms": [0, 1]}, rules.Gather(vms=BOTH, continuous=False)),
        ({"id": "lonely", "vms": [0, 1], "continuous": False}, rules.Lonely(vms=BOTH, continuous=False)),
        ({"id": "split", "parts": [[0], [1]], "continuous": True}, rules.Split(groups=(WEB, DB))),
        ({"id": "among", "vms": [0, 1], "parts": [[0], [1]], "continuous": True}, rules.Among(vms=BOTH, groups=(N0, N1), continuous=True)),
        (
            {"id": "splitAmong", "vParts": [[0], [1]], "pParts": [[0], [1]], "continuous": False},
            rules.SplitAmong(vm_groups=(WEB, DB), groups=(N0, N1)),
        ),
        ({"id": "quarantine", "node": 0, "continuous": True}, rules.Quarantine(nodes=N0)),
        ({"id": "maxOnline", "nodes": [0, 1], "amount": 1, "continuous": False}, rules.MaxOnline(nodes=NODES, max=1, continuous=False)),
        ({"id": "runningCapacity", "nodes": [0, 1], "amount": 3, "continuous": False}, rules.RunningCapacity(nodes=NODES, max=3)),
        (
            {"id": "resourceCapacity", "nodes": [0], "rc": "mem", "amount": 30, "continuous": True},
            rules.ResourceCapacity(nodes=N0, resource="memory", max=30, continuous=True),
        ),
        ({"id": "preserve", "vm": 0, "rc": "cpu", "amount": 7}, rules.Preserve(vms=WEB, resource="cpu", amount=7)),
        ({"id": "overbook", "node": 0, "rc": "cpu", "ratio": 1.5}, rules.Overbook(nodes=N0, resource="cpu", ratio=1.5)),
        ({"id": "noDelay", "vm": 0, "continuous": True}, rules.NoDelay(vms=WEB)),
        ({"id": "seq", "vms": [1, 0], "continuous": True}, rules.Sequence(vms=("db", "web"))),
        ({"id": "Sequence", "vms": [1, 0]}, rules.Sequence(vms=("db", "web"))),
        ({"id": "Precedence", "vm1": 0, "vm2": 1, "continuous": True}, rules.Precedence(before=WEB, after=DB)),
        ({"id": "precedence", "vm1": 0, "vm2": 1}, rules.Precedence(before=WEB, after=DB)),
        ({"id": "Serialize", "vms": [0, 1]}, rules.Serialize(vms=BOTH)),
        ({"id": "serialize", "vms": [0, 1]}, rules.Serialize(vms=BOTH)),
        ({"id": "Sync", "vms": [0, 1]}, rules.Sync(vms=BOTH)),
        ({"id": "Deadline", "vm": 0, "timestamp": "+01:02:03"}, rules.Deadline(vms=WEB, seconds=3723)),
        ({"id": "deadline", "vm": 0, "timestamp": "12:01:00"}, rules.Deadline(vms=WEB, seconds=30)),
        ({"id": "Deadline", "vm": 0, "timestamp": "12:00:00"}, rules.Deadline(vms=WEB, seconds=86370)),
    ],
    ids=lambda value: value["id"] if isinstance(value, dict) else "",
)
def test_every_constraint(constraint: dict[str, Any], expected: Any) -> None:
    found = rule(constraint)
    assert found.name == f"{constraint['id']} #0"
    assert replace(found, name="") == expected


def test_every_rule_of_ours_has_a_constraint() -> None:
    ours = {"seq" if kind == "sequence" else kind for kind in rules.RULE_TYPES}
    assert ours <= {kind if kind != "sequence" else "seq" for kind in btrplace.CONSTRAINTS}


def test_a_deadline_at_a_time_of_day_says_what_it_was_taken_as() -> None:
    told = read({"id": "Deadline", "vm": 0, "timestamp": "13:00:30"}).warnings
    assert "i.json: Deadline #0: 13:00:30 is taken as 3,600 s from now (12:00:30)" in told


def large_model(nodes: int) -> dict[str, Any]:
    online = {str(k): {"runningVMs": [k], "sleepingVMs": []} for k in range(nodes)}
    return {"mapping": {"readyVMs": [], "offlineNodes": [], "onlineNodes": online}, "attributes": {}, "views": []}


def test_sets_of_nodes_that_many_constraints_name_become_labels() -> None:
    left, right, middle = list(range(10)), list(range(10, 20)), list(range(5, 15))
    found = read(
        {"id": "among", "vms": [0, 1], "parts": [left, right]},
        {"id": "among", "vms": [2, 3], "parts": [left, right]},
        {"id": "fence", "vm": 4, "nodes": left[::-1]},
        {"id": "fence", "vm": 5, "nodes": left[::-1]},
        {"id": "fence", "vm": 6, "nodes": middle},
        {"id": "fence", "vm": 7, "nodes": middle},
        {"id": "fence", "vm": 8, "nodes": list(range(2, 12))},
        {"id": "maxOnline", "nodes": [*left, *right], "amount": 20},
        {"id": "maxOnline", "nodes": [*left, *right], "amount": 19},
        model=large_model(20),
    )
    assert found.policy is not None
    asked = found.policy.constraints
    assert isinstance(asked[0], rules.Among)
    assert isinstance(asked[1], rules.Among)
    assert asked[0].groups == asked[1].groups == ("set-1=1", "set-1=2")
    assert [r.nodes for r in asked[2:6] if isinstance(r, rules.Fence)] == ["set-1=1", "set-1=1", "set-2=1", "set-2=1"]
    assert isinstance(asked[6], rules.Fence)
    assert asked[6].nodes == tuple(f"node#{k}" for k in range(2, 12))
    assert [r.nodes for r in asked if isinstance(r, rules.MaxOnline)] == ["*", "*"]
    labels = [n.labels for n in found.cluster.nodes]
    assert labels[0] == {"set-1": "1"}
    assert labels[5] == {"set-1": "1", "set-2": "1"}
    assert labels[19] == {"set-1": "2"}


# -- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"{", "i.json:1:2: is no JSON"),
        (document()[:-40], "i.json:1:"),
        (b"[]", "i.json: is [], not an object"),
        (b"{}", "i.json: model: is missing (accepted: a JSON object)"),
        (b'{"origin": {}, "actions": []}', "i.json: is a BtrPlace plan"),
        (b'{"model": {}}', "i.json: model.mapping: is missing"),
        (b'{"model": {"mapping": {}}}', "i.json: model.mapping.onlineNodes: is missing"),
        (changed("mapping.onlineNodes", {"x": {}}), "model.mapping.onlineNodes.x: 'x' is no id"),
        (changed("mapping.onlineNodes.1.runningVMs", 3), "model.mapping.onlineNodes.1.runningVMs: is 3 (accepted: a list)"),
        (
            changed("mapping.onlineNodes.1.runningVMs", [3, 0]),
            "model.mapping.onlineNodes.0.runningVMs[1]: VM 0 is running on node 1 already",
        ),
        (changed("mapping.onlineNodes.1.runningVMs", ["a"]), "model.mapping.onlineNodes.1.runningVMs[0]: is 'a' (accepted: the id of a VM"),
        (changed("mapping.readyVMs", [3]), "model.mapping.readyVMs[0]: VM 3 is running on node 1 already"),
        (changed("mapping.offlineNodes", [1]), "model.mapping.offlineNodes[0]: is 1 (accepted: the id of a node, once)"),
        (changed("views.0.rcId", 3), "model.views[0].rcId: is 3 (accepted: text)"),
        (changed("views.0.rcId", "mem"), "model.views[1].rcId: 'mem' stands in two views"),
        (changed("views.0.nodes", {"0": -1}), "model.views[0].nodes.0: is -1 (accepted: a number from 0 to 1e15)"),
        (changed("views.0.vms", {"0": "5"}), "model.views[0].vms.0: is '5' (accepted: a number from 0 to 1e15)"),
        (changed("views.0.vms", {"zero": 5}), "model.views[0].vms.zero: 'zero' is no id"),
        (changed("views.0.defCapacity", True), "model.views[0].defCapacity: is True"),
        (changed("views.2.type", "rack"), "model.views[2].type: is 'rack' (accepted: vm, node)"),
        (changed("views.2.map", {"a": 0, "b": 0}), "model.views[2].map.b: vm 0 is called a already"),
        (changed("views.2.map", {"vm#1": 0}), "model.views: vms 0 and 1 are both called vm#1"),
        (changed("views.2.map", {"a\nb": 0}), "model.views[2].map.'a\\nb': is no name of a vm"),
        (changed("views.2.map", {"a": "zero"}), "model.views[2].map.a: is 'zero' (accepted: an id)"),
        (changed("views.3", "ns"), "model.views[3]: is 'ns', not an object"),
        (changed("attributes.vms", {"0": {"x": [1]}}), "model.attributes.vms.0.x: is [1] (accepted: text, a number, true or false)"),
        (changed("attributes.vms", {"0": {"x": None}}), "model.attributes.vms.0.x: is null"),
        (changed("attributes.vms", {"0": {"memUsed": "1 GiB"}}), "model.attributes.vms.0.memUsed: is '1 GiB'"),
        (orjson.dumps({"model": MODEL, "constraints": [], "objective": 3}), "objective: is 3 (accepted: a JSON object)"),
        (orjson.dumps({"model": MODEL, "constraints": {}}), "constraints: is {} (accepted: a list)"),
    ],
)
def test_a_broken_document_is_refused_with_its_place(raw: bytes, told: str) -> None:
    with pytest.raises(InputError) as caught:
        btrplace.parse(raw, where="i.json", now=NOW)
    assert told in str(caught.value)
    assert str(caught.value).startswith("i.json")


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        ({"id": "lazyNode", "node": 0}, "constraints[1].id: is 'lazyNode', which is no constraint that can be read (accepted: running,"),
        ({"vm": 0}, "constraints[1].id: is missing"),
        ({"id": "fence", "vm": 0}, "constraints[1]: names no node (accepted: node: an id, or nodes: a list of ids)"),
        ({"id": "fence", "nodes": [0]}, "constraints[1]: names no VM (accepted: vm: an id, or vms: a list of ids)"),
        ({"id": "fence", "vm": 17, "nodes": [0]}, "constraints[1].vm: is 17 (accepted: the id of a VM of the mapping)"),
        ({"id": "fence", "vm": 0, "nodes": [0, 9]}, "constraints[1].nodes[1]: is 9 (accepted: the id of a node of the mapping)"),
        ({"id": "spread", "vms": [0, "web"]}, "constraints[1].vms[1]: is 'web'"),
        ({"id": "spread", "vms": [0, [1]]}, "constraints[1].vms[1]: is [1]"),
        ({"id": "spread", "vms": [True]}, "constraints[1].vms[0]: is True"),
        ({"id": "spread", "vms": 0}, "constraints[1].vms: is 0 (accepted: a list)"),
        ({"id": "spread", "vms": [0], "continuous": "yes"}, "constraints[1].continuous: is 'yes' (accepted: true or false)"),
        ({"id": "split", "parts": [[0], 1]}, "constraints[1].parts[1]: is 1 (accepted: a list of ids of VMs)"),
        ({"id": "among", "vms": [0], "parts": [[0], [7]]}, "constraints[1].parts[1][0]: is 7"),
        ({"id": "preserve", "vm": 0, "rc": "gpu", "amount": 1}, "constraints[1].rc: is 'gpu' (accepted: cpu, mem)"),
        ({"id": "preserve", "vm": 0, "rc": "cpu", "amount": -1}, "constraints[1].amount: is -1"),
        ({"id": "preserve", "vm": 0, "rc": "cpu"}, "constraints[1].amount: is missing"),
        ({"id": "maxOnline", "nodes": [0], "amount": 1.5}, "constraints[1].amount: is 1.5 (accepted: a whole number of at least 0)"),
        ({"id": "overbook", "node": 0, "rc": "cpu", "ratio": 0}, "constraints[1].ratio: is 0.0 (accepted: a number above 0)"),
        ({"id": "Deadline", "vm": 0, "timestamp": "noon"}, "constraints[1].timestamp: is 'noon' (accepted: +hh:mm:ss from now"),
        ({"id": "Deadline", "vm": 0, "timestamp": "24:00:00"}, "constraints[1].timestamp: is '24:00:00'"),
        ({"id": "Precedence", "vm1": 0}, "constraints[1].vm2: is missing"),
    ],
    ids=lambda value: str(value.get("id")) if isinstance(value, dict) else "",
)
def test_a_broken_constraint_is_refused_with_its_place(constraint: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        read({"id": "online", "node": 0}, constraint)
    assert str(caught.value).startswith(f"i.json: {told}")


KEYS = st.sampled_from(["0", "1", "id", "type", "map", "nodes", "vms", "rcId"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)
PLACES = (
    "mapping", "mapping.onlineNodes", "mapping.onlineNodes.0", "mapping.readyVMs", "attributes", "attributes.vms", "views", "views.0",
    "views.1.nodes", "views.2",
)  # fmt: skip


@given(ANYTHING, st.sampled_from(PLACES))
def test_whatever_stands_there_is_read_or_refused_in_a_sentence(value: Any, path: str) -> None:
    told = refusal(lambda: btrplace.parse(changed(path, value), where="i.json", now=NOW))
    assert not told or told.startswith("i.json")


# -- as commands see them ------------------------------------------------------------------------------------------------


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    for name, raw in (("i.json", document()), ("i.json.gz", gzip.compress(document())), ("i", document()), ("i.yaml", document())):
        (tmp_path / name).write_bytes(raw)
        found = load(str(tmp_path / name))
        assert len(found.cluster.vms) == 5
        assert found.policy is not None


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    loaded = read(
        {"id": "spread", "vms": [0, 1]}, {"id": "split", "parts": [[0], [1]]}, {"id": "preserve", "vm": 0, "rc": "mem", "amount": 20}
    )
    out = str(tmp_path / "c.json.gz")
    assert convert(loaded, "entropy", out).write(out) == (out, str(tmp_path / "c.policy.json.gz"))
    assert load(out) == Loaded(cluster=loaded.cluster)
    assert documents.read(str(tmp_path / "c.policy.json.gz"), Policy) == loaded.policy


def test_plan_obeys_the_rules_of_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("i.json").write_bytes(document({"id": "spread", "vms": [0, 1], "continuous": True}, {"id": "root", "vm": 1}))
    Path("other.yaml").write_text("{apiVersion: entropy/v1, kind: Policy, objective: repair, constraints: [{type: root, vms: [web]}]}")
    assert entropy("plan i.json -o plan.json", capsys, monkeypatch).code == 0
    moved = documents.read("plan.json", Plan)
    assert [(a.type, a.vm) for a in moved.actions] == [("migrate", "web")]
    assert entropy("verify i.json plan.json", capsys, monkeypatch).code == 0
    assert entropy("verify i.json plan.json --policy other.yaml", capsys, monkeypatch).code == 4
    assert entropy("plan i.json --policy other.yaml -o plan.json", capsys, monkeypatch).code == 0
    assert documents.read("plan.json", Plan).actions == ()


def test_convert_to_standard_output_says_that_the_rules_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("i.json").write_bytes(document({"id": "root", "vm": 1}))
    ended = entropy("convert i.json --to entropy -o -", capsys, monkeypatch)
    assert ended.code == 0
    assert "the rules of i.json are not written" in ended.err
    assert documents.parse(ended.out.encode(), type(read().cluster)) == read().cluster


def test_a_rule_that_cannot_be_planned_for_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("i.json").write_bytes(document({"id": "online", "node": 0}, {"id": "Deadline", "vm": 0, "timestamp": "+00:01:00"}))
    if "deadline" in OFFERED:
        pytest.skip("every rule is planned for")
    ended = entropy("plan i.json", capsys, monkeypatch)
    assert ended.code == 2
    assert "entropy: i.json: constraints[1].type: is deadline, which this version cannot plan for" in ended.err
    assert entropy("convert i.json --to entropy -o c.json", capsys, monkeypatch).code == 0
    ended = entropy("plan c.json --policy c.policy.json", capsys, monkeypatch)
    assert "entropy: c.policy.json: constraints[1].type: is deadline" in ended.err


# -- the published instances ---------------------------------------------------------------------------------------------

PUBLISHED = {
    "issue-131-0": (4, 96, 0, 62, 0),
    "issue-131-2": (8, 136, 0, 65, 0),
    "issue-131-4": (8, 139, 0, 82, 0),
    "li-r3-c0": (5000, 15000, 0, 6362, 3),
    "li-r3-c66": (5000, 15000, 0, 8610, 3),
    "li-r5-c33": (5000, 25000, 0, 9405, 126),
    "nr-r4-c33": (5000, 20000, 1014, 12486, 0),
    "nr-r6-c0": (5000, 30000, 1496, 11496, 0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_instances(name: str) -> None:
    found = load(str(shared(f"data/btrplace/{name}.json.gz")))
    nodes, vms, waiting, constraints, overloaded = PUBLISHED[name]
    cluster, policy = found.cluster, found.policy
    assert policy is not None
    assert (len(cluster.nodes), len(cluster.vms)) == (nodes, vms)
    assert sum(vm.state == "ready" for vm in cluster.vms) == waiting
    assert (policy.objective, len(policy.constraints)) == ("repair", constraints)
    assert _overloaded(cluster, VM.used) == 0
    assert _overloaded(cluster, lambda vm, resource: vm.demand[resource]) == overloaded


def _overloaded(cluster: Cluster, amount: Callable[[VM, str], float]) -> int:
    """How many nodes are above a limit."""
    return sum(
        any(sum(amount(vm, r) for vm in vms) > cluster.node_by_name[node].limit(r) for r in cluster.resources)
        for node, vms in cluster.running_on.items()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_instances_are_planned_or_refused_by_name(name: str) -> None:
    found = load(str(shared(f"data/btrplace/{name}.json.gz")))
    assert found.policy is not None
    missing = sorted({rule.type for rule in found.policy.constraints} - set(OFFERED))
    if missing:
        with pytest.raises(InputError, match=f"is ({'|'.join(missing)}), which this version cannot plan for"):
            plan(found.cluster, found.policy, PlanOptions(work_limit=1))
        return
    result = plan(found.cluster, found.policy, PlanOptions(time_limit=60))
    assert_safe(found.cluster, result.plan, found.policy)
