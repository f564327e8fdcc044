"""Bad input of every kind: exit 2, one clear sentence with file and place, no traceback, nothing written."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import Outcome, entropy
from document_strategies import trees

CLUSTER = """\
apiVersion: entropy/v1
kind: Cluster
nodes:
  - {name: n1, state: online, capacity: {cpu: 4, memory: 4096}}
  - {name: n2, state: online, capacity: {cpu: 4, memory: 4096}}
vms:
  - {name: web-1, state: running, node: n1, demand: {cpu: 1, memory: 1024}}
  - {name: web-2, state: ready, demand: {cpu: 1, memory: 1024}}
"""
PLAN = """\
apiVersion: entropy/v1
kind: Plan
actions:
  - {id: a1, type: migrate, vm: web-1, from: n1, to: n2, start: 0, end: 10, after: []}
  - {id: a2, type: shutdown, node: n1, start: 10, end: 40, after: [a1]}
"""
POLICY = """\
apiVersion: entropy/v1
kind: Policy
constraints:
  - {type: spread, vms: ["web-*"], across: node}
"""
JSON = orjson.dumps(yaml.safe_load(CLUSTER))


def changed(text: str, old: str, new: str) -> bytes:
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(CLUSTER)
    Path("plan.yaml").write_text(PLAN)


def refused(ended: Outcome, place: str, told: str) -> None:
    """The outcome is a refusal that begins with its place."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith(f"entropy: {place}"), ended.err
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert not Path("out.json").exists()


CLUSTERS = [
    ("c.json", b"", "c.json: is empty", ""),
    ("c.yaml", b"  \n\t\n", "c.yaml: is empty", ""),
    ("c.yaml", b"# nothing but a comment\n", "c.yaml: holds nothing", ""),
    ("c.json", JSON[:-20], "c.json:1:", "is no JSON"),
    ("c.json", JSON + b"}", "c.json:1:", "is no JSON"),
    ("c.yaml", CLUSTER.encode()[:-5], "c.yaml:", "is no YAML"),
    ("c.yaml", b"a: b: c", "c.yaml:1:5: is no YAML", ""),
    ("c.yaml", b"--- 1\n--- 2\n", "c.yaml:2:1: is no YAML", ""),
    ("c.json.gz", gzip.compress(JSON)[:-12], "c.json.gz: cannot be read: the compressed file is truncated", ""),
    ("c.json.gz", gzip.compress(JSON)[:5], "c.json.gz: cannot be read", ""),
    ("c.json.gz", b"\x1f\x8b" + os.urandom(40), "c.json.gz: cannot be read", ""),
    ("c.json", bytes(range(256)), "c.json", ""),
    ("c.yaml", bytes(range(256)), "c.yaml", ""),
    ("c", bytes(range(256)), "c", ""),
    ("c.yaml", CLUSTER.encode("utf-16-le"), "c.yaml", ""),
    ("c.json", JSON.decode().encode("utf-16"), "c.json", "is no JSON"),
    ("c.json", b"[1, 2]", "c.json: holds [1, 2], no document", ""),
    ("c.json", b'"text"', "c.json: holds 'text', no document", ""),
    ("c.json", b"{}", "c.json: apiVersion: is missing", "entropy/v1"),
    ("c.yaml", PLAN.encode(), "c.yaml: kind: is Plan (accepted: Cluster)", ""),
    ("c.yaml", changed(CLUSTER, "kind: Cluster", "kind: Cloud"), "c.yaml: kind: is 'Cloud'", "Cluster, Policy, Plan"),
    ("c.yaml", changed(CLUSTER, "entropy/v1", "entropy/v9"), "c.yaml: apiVersion: is 'entropy/v9'", "entropy/v1"),
    ("c.yaml", changed(CLUSTER, "node: n1", "node: n9"), "c.yaml: vms[0] (web-1).node: VM web-1 is on n9", "n1, n2"),
    ("c.yaml", changed(CLUSTER, "memory: 1024", "memory: -1024"), "c.yaml: vms[0] (web-1).demand.memory: is -1024", "at least 0"),
    ("c.yaml", changed(CLUSTER, "memory: 1024", "memory: .nan"), "c.yaml: vms[0] (web-1).demand.memory: is nan", "finite"),
    ("c.yaml", changed(CLUSTER, "cpu: 1,", "cpu: .inf,"), "c.yaml: vms[0] (web-1).demand.cpu: is inf", "finite"),
    ("c.yaml", changed(CLUSTER, "cpu: 1,", "cpu: -.inf,"), "c.yaml: vms[0] (web-1).demand.cpu: is -inf", ""),
    ("c.json", JSON.replace(b"1024", b"1e999", 1), "c.json", ""),
    ("c.yaml", changed(CLUSTER, "memory: 1024", f"memory: {10**400}"), "c.yaml: vms[0] (web-1).demand.memory: is ", ""),
    ("c.yaml", changed(CLUSTER, "memory: 1024", "memory: 4 GiB"), "c.yaml: vms[0] (web-1).demand.memory: is '4 GiB'", "no unit"),
    ("c.yaml", changed(CLUSTER, "cpu: 1,", "cpu: '1',"), "c.yaml: vms[0] (web-1).demand.cpu: is '1', not a number", ""),
    ("c.yaml", changed(CLUSTER, "cpu: 1,", "cpu: yes,"), "c.yaml: vms[0] (web-1).demand.cpu: is True, not a number", ""),
    ("c.yaml", changed(CLUSTER, "name: n2", "name: n1"), "c.yaml: nodes[1] (n1).name: the name n1 stands twice", ""),
    ("c.yaml", changed(CLUSTER, "name: web-2", "name: web-1"), "c.yaml: vms[1] (web-1).name: the name web-1 stands twice", ""),
    ("c.yaml", changed(CLUSTER, "name: n1, state", "name: n1, stat"), "c.yaml: nodes[0] (n1).stat: is no known key", "schema"),
    ("c.yaml", changed(CLUSTER, "online", "offline"), "c.yaml: vms[0] (web-1).node: VM web-1 runs on n1, which is offline", ""),
    ("c.yaml", changed(CLUSTER, "state: ready,", "state: ready, node: n1,"), "c.yaml: vms[1] (web-2).node: VM web-2 is ready", ""),
    ("c.yaml", changed(CLUSTER, "node: n1, ", ""), "c.yaml: vms[0] (web-1).node: VM web-1 is running but names no node", ""),
    ("c.yaml", changed(CLUSTER, "name: web-1", 'name: ""'), "c.yaml: vms[0].name: is ''", ""),
    ("c.yaml", changed(CLUSTER, "name: web-1", 'name: "a\\nb"'), "c.yaml: vms[0] (a\nb).name: is", ""),
    ("c.yaml", changed(CLUSTER, "name: web-1", "name: 7"), "c.yaml: vms[0].name: is 7, not text", "quotes"),
    ("c.json", b"[" * 100_000, "c.json:", "is no JSON"),
    ("c.yaml", b"- " * 100_000, "c.yaml: is no YAML: nested more than", ""),
    ("c.yaml", b"[" * 100_000, "c.yaml: is no YAML: nested more than", ""),
    ("c.yaml", b"!!python/object/apply:os.getcwd []", "c.yaml:1:1: is no YAML", ""),
    ("c.yaml", b"a: &a [*a]", "c.yaml", ""),
    ("c.yaml", b"? [a, b]\n: c\n", "c.yaml", ""),
    ("c.txt", b"#list of nodes\nN1 1 4\n", "c.txt", "no section"),
    ("c.txt", b"#list of nodes\nN1 1 4\n#list of VMs\n#initial configuration\nN1\n", "c.txt:2: a node has at least 4 columns", "'N1 1 4'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "place", "told"), CLUSTERS, ids=range(len(CLUSTERS)))
@pytest.mark.parametrize("command", ["plan {} -o out.json", "verify {} plan.yaml", "convert {} --to entropy -o out.json"])
def test_a_cluster_that_cannot_be_used(
    name: str, content: bytes, place: str, told: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(name).write_bytes(content)
    refused(entropy(command.format(name), capsys, monkeypatch), place, told)


PLANS = [
    (b"", "p.yaml: is empty", ""),
    (CLUSTER.encode(), "p.yaml: kind: is Cluster (accepted: Plan)", ""),
    (changed(PLAN, "after: []", "after: [a2]"), "p.yaml: actions[0] (a1).after: the actions a1, a2 wait for each other in a circle", ""),
    (changed(PLAN, "after: []", "after: [a1]"), "p.yaml: actions[0] (a1).after: the actions a1, a2 wait", ""),
    (changed(PLAN, "after: [a1]", "after: [a9]"), "p.yaml: actions[1] (a2).after[0]: action a2 waits for a9", ""),
    (changed(PLAN, "id: a2", "id: a1"), "p.yaml: actions[0] (a1).id: the id a1 stands twice", ""),
    (changed(PLAN, "type: migrate", "type: teleport"), "p.yaml: actions[0] (a1).type: is 'teleport'", "migrate, run, stop"),
    (changed(PLAN, "from: n1, ", ""), "p.yaml: actions[0] (a1).from: a migrate needs 'from'", "vm, from, to"),
    (changed(PLAN, "node: n1,", "node: n1, vm: web-1,"), "p.yaml: actions[1] (a2).vm: a shutdown has no 'vm'", ""),
    (changed(PLAN, "start: 0", "start: -1"), "p.yaml: actions[0] (a1).start: is -1", "at least 0"),
    (changed(PLAN, "start: 0", "start: .nan"), "p.yaml: actions[0] (a1).start: is nan", ""),
    (changed(PLAN, "start: 0", "begin: 0"), "p.yaml: actions[0] (a1).begin: is no known key", ""),
    (changed(PLAN, "vm: web-1", "vm: web-9"), "p.yaml: actions[0] (a1).vm: 'web-9' names no VM of the cluster", "web-1"),
    (changed(PLAN, "from: n1", "from: n9"), "p.yaml: actions[0] (a1).from: 'n9' names no node of the cluster", "n1"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "place", "told"), PLANS, ids=range(len(PLANS)))
def test_a_plan_that_cannot_be_used(
    content: bytes, place: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("p.yaml").write_bytes(content)
    refused(entropy("verify good.yaml p.yaml", capsys, monkeypatch), place, told)


POLICIES = [
    (b"", "r.yaml: is empty", ""),
    (CLUSTER.encode(), "r.yaml: kind: is Cluster (accepted: Policy)", ""),
    (changed(POLICY, "type: spread", "type: spred"), "r.yaml: constraints[0].type: is 'spred'", "running, sleeping"),
    (changed(POLICY, "type: spread, ", ""), "r.yaml: constraints[0]", "is missing"),
    (changed(POLICY, "across", "acros"), "r.yaml: constraints[0].", ""),
    (changed(POLICY, "across: node", "across: node, max: -1"), "r.yaml: constraints[0].max: is -1", ""),
    (changed(POLICY, "across: node", "across: node, max: 1.5"), "r.yaml: constraints[0].max: is 1.5", ""),
    (changed(POLICY, "across: node", "across: node, soft: maybe"), "r.yaml: constraints[0].soft: is 'maybe'", ""),
    (changed(POLICY, '["web-*"]', "7"), "r.yaml: constraints[0].vms", "is 7"),
    (changed(POLICY, "kind: Policy", "kind: Policy\nobjective: fast"), "r.yaml: objective: is 'fast'", "repair, consolidate, balance"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "place", "told"), POLICIES, ids=range(len(POLICIES)))
@pytest.mark.parametrize("command", ["plan good.yaml --policy r.yaml -o out.json", "verify good.yaml plan.yaml --policy r.yaml"])
def test_a_policy_that_cannot_be_used(
    content: bytes, place: str, told: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("r.yaml").write_bytes(content)
    refused(entropy(command, capsys, monkeypatch), place, told)


@pytest.mark.parametrize(
    "command", ["plan {} -o out.json", "verify good.yaml {}", "plan good.yaml --policy {}", "plan good.yaml --target {}"]
)
def test_a_file_that_cannot_be_read(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    for name, reason in (("missing.yaml", "No such file or directory"), ("folder", "Is a directory"), ("good.yaml/x", "Not a directory")):
        refused(entropy(command.format(name), capsys, monkeypatch), f"{name}: cannot be read: {reason}", "")
    refused(entropy(command.format("'a\0b'"), capsys, monkeypatch), "", "")


def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("nowhere/out.json", "."):
        refused(entropy(f"plan good.yaml -o {out}", capsys, monkeypatch), f"{out}: cannot be written", "")
        refused(entropy(f"convert good.yaml --to entropy -o {out}", capsys, monkeypatch), f"{out}: cannot be written", "")


def test_more_than_is_read_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entropy.formats.files.read_bytes.__defaults__", (1 << 20,))
    Path("bomb.json.gz").write_bytes(gzip.compress(b" " * (64 << 20)))
    refused(entropy("plan bomb.json.gz", capsys, monkeypatch), "bomb.json.gz: is larger than 1 MiB", "")


def test_bad_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused(entropy("plan -", capsys, monkeypatch, b""), "-: is empty", "")
    refused(entropy("plan -", capsys, monkeypatch, b"\xff\xfe\x00"), "-", "")


def paths(tree: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [here]
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        found += paths(item, (*here, key))
    return found


def replaced(tree: object, path: tuple[object, ...], value: object) -> object:
    if not path:
        return value
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)  # type: ignore[arg-type]
    made = {key: replaced(item, path[1:], value) if key == path[0] else item for key, item in pairs}
    return made if isinstance(tree, dict) else list(made.values())


MUTATED = [
    (CLUSTER, "verify x.yaml plan.yaml"),
    (PLAN, "verify good.yaml x.yaml"),
    (POLICY, "verify good.yaml plan.yaml --policy x.yaml"),
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(case=st.sampled_from(MUTATED), data=st.data())
def test_a_document_changed_anywhere_ends_in_an_answer_or_a_sentence(
    case: tuple[str, str], data: st.DataObject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, command = case
    tree = yaml.safe_load(text)
    tree = replaced(tree, data.draw(st.sampled_from(paths(tree))), data.draw(trees))
    Path("x.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    ended = entropy(command, capsys, monkeypatch)
    assert ended.code in (0, 2, 4), ended
    assert "Traceback" not in ended.err + ended.out
    assert ended.code != 2 or ended.err.startswith("entropy: ")


def test_what_a_format_cannot_hold_is_told_with_its_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c.yaml").write_bytes(changed(CLUSTER, "name: web-2", "name: web 2"))
    ended = entropy("convert c.yaml --to entropy-text -o out.json", capsys, monkeypatch)
    refused(ended, "c.yaml: vms[1].name: the name 'web 2' cannot be written as entropy-text", "a name without white space")
