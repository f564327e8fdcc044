"""Documents: what is written is read back the same; what is wrong is told with file, path, value and what is accepted."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from document_strategies import clusters, plans, refusal, trees
from entropy.formats import documents
from entropy.formats.files import read_bytes
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import RULE_TYPES

RULES: dict[str, dict[str, Any]] = {
    **{t: {"vms": "app=web"} for t in ("running", "sleeping", "ready", "killed", "root", "lonely")},
    **{t: {"vms": "app=web"} for t in ("noDelay", "sequence", "serialize", "sync")},
    **{t: {"nodes": ["n1", "rack=r2"]} for t in ("online", "offline", "quarantine")},
    **{t: {"vms": ["a", "b-*"], "nodes": "rack=r1"} for t in ("fence", "ban")},
    "spread": {"vms": "*", "across": "rack", "max": 2, "continuous": False},
    "gather": {"vms": "*", "across": "node", "continuous": True},
    "split": {"groups": ["app=a", ["x", "y"]]},
    "among": {"vms": "*", "groups": [["n1"], ["n2"]]},
    "splitAmong": {"vmGroups": ["a", ["b"]], "groups": ["rack=r1", "rack=r2"]},
    "maxOnline": {"nodes": "*", "max": 3},
    "runningCapacity": {"nodes": "rack=r1", "max": 0},
    "resourceCapacity": {"nodes": ["n1"], "resource": "gpu", "max": 1.5},
    "preserve": {"vms": "a", "resource": "cpu", "amount": 2},
    "overbook": {"nodes": "*", "resource": "cpu", "ratio": 1.5},
    "precedence": {"before": "a", "after": ["b"]},
    "deadline": {"vms": "a", "seconds": 60},
}  # fmt: skip


@given(clusters(), st.sampled_from(["json", "yaml"]))
def test_a_cluster_is_read_back_as_it_was_written(cluster: Cluster, syntax: documents.Syntax) -> None:
    assert documents.parse(documents.dump(cluster, syntax), Cluster, where=f"c.{syntax}") == cluster


@given(plans(), st.sampled_from(["json", "yaml"]))
def test_a_plan_is_read_back_as_it_was_written(plan: Plan, syntax: documents.Syntax) -> None:
    assert documents.parse(documents.dump(plan, syntax), Plan, where=f"p.{syntax}") == plan


@pytest.mark.parametrize("kind", RULE_TYPES)
def test_every_rule_is_read_back_as_it_was_written(kind: str) -> None:
    rule = {"type": kind, **RULES[kind]}
    tree = {"apiVersion": "entropy/v1", "kind": "Policy", "allowSuspend": True, "constraints": [rule, {**rule, "soft": True, "weight": 5}]}
    policy = documents.validate(tree, Policy)
    assert [statement.type for statement in policy.constraints] == [kind, kind]
    written = documents.to_tree(policy)
    assert documents.validate(written, Policy) == policy
    assert written["constraints"][1]["weight"] == 5


@given(clusters())
def test_the_digest_is_the_clusters_not_the_files(cluster: Cluster) -> None:
    digest = documents.digest(cluster)
    assert documents.digest(documents.parse(documents.dump(cluster, "yaml"), Cluster, where="c.yaml")) == digest
    other = Cluster(nodes=(*cluster.nodes, Node(name="one more", capacity={})), vms=cluster.vms)
    assert documents.digest(other) != digest


def test_defaults_and_whole_numbers_do_not_change_the_digest() -> None:
    short = b'{"apiVersion":"entropy/v1","kind":"Cluster","nodes":[{"name":"n","capacity":{"cpu":4}}],"vms":[]}'
    long = short.replace(b'{"cpu":4}', b'{"cpu":4.0},"maintenance":false,"labels":{},"state":"online"')
    assert documents.digest(documents.parse(short, Cluster)) == documents.digest(documents.parse(long, Cluster))


@pytest.mark.parametrize("name", ["c.json", "c.yaml", "c.yml", "c.json.gz", "c.yaml.gz", "c"])
def test_the_extension_names_the_syntax(tmp_path: Path, name: str) -> None:
    cluster = Cluster(nodes=(Node(name="n1", capacity={"cpu": 4.0}),), vms=(VM(name="v", node="n1", demand={"cpu": 0.5}),))
    path = tmp_path / name
    documents.write(cluster, str(path))
    raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    tree = yaml.safe_load(raw) if ".y" in name else orjson.loads(raw)
    assert tree["vms"] == [{"name": "v", "state": "running", "node": "n1", "demand": {"cpu": 0.5}}]
    assert documents.read(str(path), Cluster) == cluster
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "text",
    ["apiVersion: entropy/v1\nkind: Cluster\nnodes: []\nvms: []\n", '{"apiVersion":"entropy/v1","kind":"Cluster","nodes":[],"vms":[]}'],
)
def test_without_an_extension_the_content_tells_the_syntax(text: str) -> None:
    assert documents.parse(text.encode(), Cluster, where="-") == Cluster(nodes=(), vms=())


def test_thirty_thousand_vms_go_out_and_come_back() -> None:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 64.0, "memory": 262144.0}) for k in range(5000))
    vms = tuple(VM(name=f"v{k}", node=f"n{k % 5000}", demand={"cpu": k % 8 / 4, "memory": 2048.0}) for k in range(30_000))
    cluster = Cluster(nodes=nodes, vms=vms)
    assert documents.parse(documents.dump(cluster), Cluster) == cluster


@pytest.mark.parametrize("kind", sorted(documents.KINDS))
def test_each_kind_has_a_schema(kind: str) -> None:
    schema = documents.json_schema(kind)
    assert schema["properties"]["kind"] == {"const": kind}
    assert schema["title"] == f"entropy/v1 {kind}"
    assert schema["additionalProperties"] is False


# -- what is wrong -----------------------------------------------------------------------------------------------------

CLUSTER = {
    "apiVersion": "entropy/v1",
    "kind": "Cluster",
    "nodes": [{"name": "n1", "capacity": {"cpu": 4, "memory": 4096}}, {"name": "n2", "capacity": {"cpu": 4}}],
    "vms": [{"name": "web-1", "state": "running", "node": "n1", "demand": {"cpu": 1, "memory": 1024}}],
}
POLICY = {"apiVersion": "entropy/v1", "kind": "Policy", "constraints": [{"type": "spread", "vms": ["web-*"], "across": "node"}]}
PLAN = {
    "apiVersion": "entropy/v1",
    "kind": "Plan",
    "actions": [{"id": "a1", "type": "migrate", "vm": "web-1", "from": "n1", "to": "n2", "start": 0, "end": 1, "after": []}],
}
KINDS: dict[str, tuple[dict[str, Any], type[Any]]] = {
    "Cluster": (CLUSTER, Cluster),
    "Policy": (POLICY, Policy),
    "Plan": (PLAN, Plan),
}


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of ``tree`` with the item at ``path`` replaced."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def paths(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of ``tree``."""
    found = [here]
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        found += paths(item, (*here, key))
    return found


@pytest.mark.parametrize(
    ("path", "value", "place", "told"),
    [
        (("vms", 0, "demand", "memory"), -5, "vms[0] (web-1).demand.memory", "is -5 (accepted: a number of at least 0)"),
        (("vms", 0, "demand", "memory"), "4 GiB", "vms[0] (web-1).demand.memory", "a plain number (cpu in cores, memory in MiB, no unit)"),
        (("vms", 0, "demand", "cpu"), float("nan"), "vms[0] (web-1).demand.cpu", "is nan (accepted: a finite number)"),
        (("vms", 0, "demand", "cpu"), float("inf"), "vms[0] (web-1).demand.cpu", "a finite number"),
        (("vms", 0, "demand", "cpu"), True, "vms[0] (web-1).demand.cpu", "is True, not a number"),
        (("vms", 0, "node"), "n9", "vms[0] (web-1).node", "web-1 is on n9, which is no node of this cluster (accepted: n1, n2)"),
        (("vms", 0, "state"), "paused", "vms[0] (web-1).state", "is 'paused' (accepted: running, sleeping, ready)"),
        (("vms", 0, "state"), "ready", "vms[0] (web-1).node", "web-1 is ready, so it is on no node"),
        (("vms", 0, "name"), 7, "vms[0].name", "is 7, not text (accepted: text; put it in quotes)"),
        (("nodes", 1, "name"), "n1", "nodes[1] (n1).name", "the name n1 stands twice (nodes[0] and nodes[1])"),
        (("nodes", 0), {"name": "n1", "capacity": {}, "stat": "online"}, "nodes[0] (n1).stat", "is no known key"),
        (("nodes", 0), {"name": "n1"}, "nodes[0] (n1).capacity", "is missing"),
        (("nodes", 0, "capacity"), [4], "nodes[0] (n1).capacity", "[4]"),
        (("nodes",), None, "nodes", "is nothing, not a list"),
        (("nodes", 0), {"name": "n1", "capacity": {}, "maintenance": "off"}, "nodes[0] (n1).maintenance", "is 'off' (accepted: true or"),
        (("nodes", 0), {"name": "n1", "capacity": {}, "maintenance": 1}, "nodes[0] (n1).maintenance", "is 1 (accepted: true or false)"),
        (("apiVersion",), "entropy/v2", "apiVersion", "is 'entropy/v2' (accepted: entropy/v1)"),
        (("kind",), "Policy", "kind", "is Policy (accepted: Cluster)"),
        (("kind",), ["Cluster"], "kind", "is ['Cluster'] (accepted: Cluster, Policy, Plan)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_place(path: tuple[Any, ...], value: Any, place: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        documents.validate(changed(CLUSTER, path, value), Cluster, where="c.yaml")
    assert str(caught.value).startswith(f"c.yaml: {place}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [5, 5.0, True])
def test_a_number_is_no_time(value: float) -> None:
    with pytest.raises(InputError, match=r"observedAt: is .*, not a time"):
        documents.validate({**CLUSTER, "observedAt": value}, Cluster)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([["a2"], ["a1"]], "the actions a1, a2 wait for each other in a circle"),
        ([["a1"], []], "the actions a1 wait for each other in a circle"),
        ([["a7"], []], "action a1 waits for a7, which is no action of this plan"),
    ],
)
def test_a_plan_that_waits_for_itself_is_refused(after: list[list[str]], told: str) -> None:
    actions = [{"id": f"a{k + 1}", "type": "startup", "node": "n1", "after": waits} for k, waits in enumerate(after)]
    with pytest.raises(InputError, match=told):
        documents.validate({**PLAN, "actions": actions}, Plan, where="p.json")


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_whatever_stands_anywhere_is_read_or_refused_in_a_sentence(kind: str, data: st.DataObject) -> None:
    tree, cls = KINDS[kind]
    for _ in range(data.draw(st.integers(1, 3))):
        tree = changed(tree, data.draw(st.sampled_from(paths(tree))), data.draw(trees))
        if not isinstance(tree, (dict, list)):
            break
    told = refusal(lambda: documents.validate(tree, cls, where="x.yaml"))
    assert not told or told.startswith("x.yaml: ")
    assert len(told) < 4000


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(["json", "yaml"]), st.data())
def test_whatever_bytes_are_read_or_refused_in_a_sentence(kind: str, syntax: str, data: st.DataObject) -> None:
    tree, cls = KINDS[kind]
    raw = bytearray(yaml.safe_dump(tree).encode() if syntax == "yaml" else orjson.dumps(tree))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    told = refusal(lambda: documents.parse(bytes(raw), cls, where=f"x.{syntax}"))
    assert not told or told.startswith(f"x.{syntax}:")


@pytest.mark.parametrize("syntax", ["json", "yaml"])
@pytest.mark.parametrize("deep", [200, 600, 3_000, 200_000])
def test_deep_nesting_is_refused(syntax: str, deep: int) -> None:
    with pytest.raises(InputError):
        documents.parse(b'{"nodes": ' + b"[" * deep + b"]" * deep + b"}", Cluster, where=f"x.{syntax}")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"a": 1, "a": 2}', "x.json: the key 'a' stands twice"),
        (b'{"vms": [{"name": "w", "node": "n1", "node": "n2"}]}', "x.json: the key 'node' of 'w' stands twice"),
        (b'{"a": {"b": 1}, "c": [{"b": {}, "\\u0062": 2}]}', "x.json: the key 'b' stands twice"),
        (b"a: 1\nb: 2\na: 3\n", "x.yaml:3:1: is no YAML: the key 'a' stands twice"),
        (b"vms: [{name: w, node: n1, 'node': n2}]", "x.yaml:1:27: is no YAML: the key 'node' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(raw: bytes, told: str) -> None:
    """Readers would keep the last in silence."""
    with pytest.raises(InputError) as caught:
        documents.load_tree(raw, told[:6])
    assert str(caught.value).startswith(told)


def test_keys_and_colons_that_only_look_like_it_are_read() -> None:
    raw = b'{"a:b": "::\\u003a", "\\u003a": {"a": 1}, "c": {"a": ":"}}'
    assert documents.load_tree(raw, "x.json") == {"a:b": ":::", ":": {"a": 1}, "c": {"a": ":"}}
    merged = b"base: &b {a: 1, c: 2}\nmore: {<<: *b, a: 3}\n"
    assert documents.load_tree(merged, "x.yaml")["more"] == {"a": 3, "c": 2}


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json.gz"
    path.write_bytes(gzip.compress(b'{"a":') + gzip.compress(b" 1}"))
    assert read_bytes(str(path)) == b'{"a": 1}'


def test_aliases_that_stand_for_gigabytes_do_no_harm() -> None:
    lines = ["apiVersion: entropy/v1", "kind: Cluster", "vms: []", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    lines += ["nodes: *a11"]
    with pytest.raises(InputError) as caught:
        documents.parse("\n".join(lines).encode(), Cluster, where="bomb.yaml")
    assert len(str(caught.value)) < 1000


def test_nothing_is_executed_that_a_document_names() -> None:
    with pytest.raises(InputError, match=r"x\.yaml:1:"):
        documents.parse(b"!!python/object/apply:sys.exit [3]", Cluster, where="x.yaml")


def test_whole_seconds_given_as_integers_are_written() -> None:
    plan = Plan(actions=(Action(id="a", type="stop", vm="v", node="n", start=0, end=2),))
    assert documents.to_tree(plan)["actions"][0]["end"] == 2
