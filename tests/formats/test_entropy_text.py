"""Entropy's plain text, both ways: what it says is kept, what it cannot say is told, what is wrong is told with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from document_strategies import clusters, plain_clusters, refusal
from entropy.formats import entropy_text
from entropy.formats.convert import convert, policy_path
from entropy.formats.load import Loaded, load
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from shared_data import shared

SAMPLE = """\
#list of nodes
N1 2 4000 4096
N2 4 8000 8192 r7
N3 1 100 2048

#list of VMs
VM1 1 1000->2000 1024
VM2 2 0 2048 vj1
VM3 1 100 512->256 vj1 gold
VM4 1 0.5 128

#initial configuration
N1 VM1
N2 (VM2)\x20
(N3) (VM3)
FARM VM4
#end of configuration
whatever the original wrote here
"""


def test_a_configuration_is_read_as_it_stands() -> None:
    cluster, warnings = entropy_text.parse(SAMPLE.encode(), where="c.txt")
    assert warnings == ()
    assert cluster.nodes == (
        Node(name="N1", capacity={"cpu": 4000.0, "memory": 4096.0}, labels={"cpus": "2"}),
        Node(name="N2", capacity={"cpu": 8000.0, "memory": 8192.0}, labels={"cpus": "4", "column5": "r7"}),
        Node(name="N3", state="offline", capacity={"cpu": 100.0, "memory": 2048.0}, labels={"cpus": "1"}),
    )
    assert cluster.vms == (
        VM(name="VM1", node="N1", demand={"cpu": 2000.0, "memory": 1024.0}, consumption={"cpu": 1000.0}, labels={"cpus": "1"}),
        VM(name="VM2", state="sleeping", node="N2", demand={"cpu": 0.0, "memory": 2048.0}, labels={"cpus": "2", "vjob": "vj1"}),
        VM(
            name="VM3",
            state="sleeping",
            node="N3",
            demand={"cpu": 100.0, "memory": 256.0},
            consumption={"memory": 512.0},
            labels={"cpus": "1", "vjob": "vj1", "column6": "gold"},
        ),
        VM(name="VM4", state="ready", demand={"cpu": 0.5, "memory": 128.0}, labels={"cpus": "1"}),
    )


def test_the_source_of_a_plan_is_read_from_the_plans_own_file() -> None:
    plan = SAMPLE.replace("#end of configuration", "#Reconfiguration Plan")
    assert entropy_text.parse(plan.encode()) == entropy_text.parse(SAMPLE.encode())


def test_what_is_listed_and_stands_nowhere_is_left_out_and_told() -> None:
    text = SAMPLE.replace("FARM VM4", "FARM").replace("(N3) (VM3)", "")
    cluster, warnings = entropy_text.parse(text.encode(), where="c.txt")
    assert [n.name for n in cluster.nodes] == ["N1", "N2"]
    assert [v.name for v in cluster.vms] == ["VM1", "VM2"]
    assert warnings == (
        "c.txt: 1 of the 3 nodes listed have no place under '#initial configuration' and are left out: N3",
        "c.txt: 2 of the 4 VMs listed have no place under '#initial configuration' and are left out: VM3, VM4",
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("FARM VM4", "FARM VM4 VM1", 16, "VM VM1 is on FARM and, in line 13, on N1, in the line 'FARM VM4 VM1'"),
        ("N2 (VM2)", "N2 (VM2) VM1", 14, "VM VM1 is on N2 and, in line 13, on N1, in the line 'N2 (VM2) VM1'"),
        ("FARM VM4", "FARM VM9", 16, "'VM9' is no VM of this file, in the line 'FARM VM9' (accepted: VM1, VM2, VM3, VM4)"),
        ("N1 VM1", "N9 VM1", 13, "'N9' is no node of this file"),
        ("(N3) (VM3)", "(N3) VM3", 15, "VM VM3 runs on N3, which is offline"),
        ("(N3) (VM3)", "N1 VM3", 15, "node N1 has its line already: line 13"),
        ("FARM VM4", "FARM (VM4)", 16, "(VM4) waits, so it has no image"),
        ("N3 1 100", "N2 1 100", 4, "node N2 is listed already in line 3"),
        ("VM2 2 0", "VM1 2 0", 8, "VM VM1 is listed already in line 7"),
        ("VM2 2 0 2048 vj1", "VM2 2 0", 8, "a VM has at least 4 columns, this line has 3"),
        ("VM2 2 0 2048", "VM2 2 0 -5", 8, "the memory is '-5'"),
        ("VM2 2 0 2048", "VM2 2 nan 2048", 8, "the cpu is 'nan'"),
        ("VM2 2 0 2048", "VM2 2 inf 2048", 8, "the cpu is 'inf'"),
        ("VM2 2 0 2048", "VM2 2 1e99 2048", 8, "the cpu is '1e99'"),
        ("VM2 2 0 2048", "VM2 2 1_0 2048", 8, "the cpu is '1_0'"),
        ("VM2 2 0 2048", "VM2 2 4->x 2048", 8, "the cpu is 'x'"),
        ("VM2 2 0 2048", "VM2 2 ->4 2048", 8, "the cpu is ''"),
        ("VM2 2 0 2048", "VM2 two 0 2048", 8, "the number of CPUs 'two' is no count"),
        ("N3 1 100 2048", "N3 1 100 4GiB", 4, "the memory is '4GiB'"),
        ("N3 1 100 2048", "FARM 1 100 2048", 4, "'FARM' is no name of a node"),
        ("N3 1 100 2048", "(N3 1 100 2048", 4, "'(N3' is no name of a node"),
        ("#list of nodes", "N0 1 1 1\n#list of nodes", 1, "stands before any section"),
        ("N3 1 100 2048", "N3\udcff 1 100 2048", 4, "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, line: int, told: str) -> None:
    raw = SAMPLE.replace(old, new, 1).encode(errors="surrogateescape")
    with pytest.raises(InputError) as caught:
        entropy_text.parse(raw, where="c.txt")
    assert str(caught.value).startswith(f"c.txt:{line}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("section", ["#list of nodes", "#list of VMs", "#initial configuration"])
def test_a_missing_section_is_told(section: str) -> None:
    whole = SAMPLE.split("\n\n")
    rest = "\n".join(part for part in whole if not part.startswith(section))
    with pytest.raises(InputError, match=rf"c\.txt: has no section '{section}'"):
        entropy_text.parse(rest.encode(), where="c.txt")


@given(plain_clusters())
def test_what_is_written_is_read_back(cluster: Cluster) -> None:
    raw, warnings = entropy_text.dump(cluster)
    assert entropy_text.parse(raw) == (cluster, ())
    assert all(line.startswith(("the original reads whole numbers", "the original leaves an image")) for line in warnings)


@given(clusters())
def test_any_cluster_is_written_or_refused_and_keeps_who_is_where(cluster: Cluster) -> None:
    if told := refusal(lambda: entropy_text.dump(cluster)):
        assert "entropy-text" in told
        return
    raw, _ = entropy_text.dump(cluster)
    back, left_out = entropy_text.parse(raw)
    assert left_out == ()
    assert [(n.name, n.state, n.limit("cpu"), n.limit("memory")) for n in back.nodes] == [
        (n.name, n.state, n.limit("cpu"), n.limit("memory")) for n in cluster.nodes
    ]
    assert [(v.name, v.state, v.node, v.used("cpu"), v.demand["memory"]) for v in back.vms] == [
        (v.name, v.state, v.node, v.used("cpu"), v.demand.get("memory", 0.0)) for v in cluster.vms
    ]


@given(st.integers(0, len(SAMPLE)), st.text(max_size=8), st.integers(0, 8))
def test_whatever_the_file_holds_is_read_or_refused_in_a_sentence(at: int, text: str, cut: int) -> None:
    raw = (SAMPLE[:at] + text + SAMPLE[at + cut :]).encode(errors="surrogatepass")
    told = refusal(lambda: entropy_text.parse(raw, where="c.txt"))
    assert not told or told.startswith("c.txt:")


WEB = VM(name="web", node="n1", demand={"cpu": 1.0, "memory": 1024.0})
N1 = Node(name="n1", capacity={"cpu": 4.0, "memory": 4096.0})


@pytest.mark.parametrize(
    ("node", "vm", "told"),
    [
        (replace(N1, name="n 1"), replace(WEB, node="n 1"), "the name 'n 1' cannot be written as entropy-text"),
        (N1, replace(WEB, name="FARM"), "FARM stands for the VMs that wait"),
        (N1, replace(WEB, name="(web)"), "parentheses mark what sleeps"),
        (N1, replace(WEB, demand={"gpu": 1.0}), "no place for the resource 'gpu' that web demands"),
    ],
)
def test_what_would_be_misread_is_refused(node: Node, vm: VM, told: str) -> None:
    with pytest.raises(InputError) as caught:
        entropy_text.dump(Cluster(nodes=(node,), vms=(vm,)))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("node", "vm", "told"),
    [
        (replace(N1, labels={"rack": "r1"}), WEB, "labels are lost: n1"),
        (replace(N1, maintenance=True), WEB, "maintenance is lost: n1"),
        (replace(N1, overcommit={"cpu": 2.0}), WEB, "overcommit is written into the capacity: n1"),
        (replace(N1, capacity={"cpu": 4.0, "gpu": 1.0}), WEB, "further resources are lost: n1"),
        (N1, replace(WEB, migratable=False), "'migratable: false' is lost: web"),
        (N1, replace(WEB, demand={"cpu": 1.5}), "the original reads whole numbers only: web"),
        (replace(N1, state="offline"), replace(WEB, state="sleeping"), "the original leaves an image on an offline node out: web"),
    ],
)
def test_what_has_no_place_is_named(node: Node, vm: VM, told: str) -> None:
    _, warnings = entropy_text.dump(Cluster(nodes=(node,), vms=(vm,)))
    assert told in warnings


def test_thirty_thousand_vms() -> None:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 64.0, "memory": 9e9}, labels={"cpus": "64"}) for k in range(5000))
    vms = tuple(VM(name=f"v{k}", node=f"n{k % 5000}", demand={"cpu": 1.0, "memory": 2048.0}, labels={"cpus": "1"}) for k in range(30_000))
    raw, _ = entropy_text.dump(Cluster(nodes=nodes, vms=vms))
    assert entropy_text.parse(raw) == (Cluster(nodes=nodes, vms=vms), ())


# -- formats as commands see them ------------------------------------------------------------------------------------


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    for name in ("c.txt", "c", "c.conf"):
        (tmp_path / name).write_text(SAMPLE)
        assert len(load(str(tmp_path / name)).cluster.vms) == 4
    (tmp_path / "c.txt").write_text('{"apiVersion": "entropy/v1", "kind": "Cluster", "nodes": [], "vms": []}')
    assert load(str(tmp_path / "c.txt")).cluster == Cluster(nodes=(), vms=())


def test_a_named_format_is_believed(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(SAMPLE)
    assert len(load(str(tmp_path / "c.yaml"), "entropy-text").cluster.vms) == 4
    with pytest.raises(InputError, match=r"c\.yaml:7:1: is no YAML"):
        load(str(tmp_path / "c.yaml"))
    with pytest.raises(InputError, match="--input-format: 'xml' is no format that can be read"):
        load(str(tmp_path / "c.yaml"), "xml")


@pytest.mark.parametrize(
    ("out", "policy"),
    [
        ("c.json", "c.policy.json"),
        ("c.json.gz", "c.policy.json.gz"),
        ("a.b/c.v2.yaml", "a.b/c.v2.policy.yaml"),
        ("a.b/c", "a.b/c.policy"),
        (".c", ".c.policy"),
    ],
)
def test_rules_are_written_beside_the_cluster(out: str, policy: str) -> None:
    assert policy_path(out) == policy


def test_a_format_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(InputError, match=r"--to: 'xml' is no format that can be written \(accepted: entropy, entropy-text\)"):
        convert(Loaded(cluster=Cluster(nodes=(), vms=())), "xml", "c.json")


@pytest.mark.parametrize(
    "name", ["testActionDetection", "testLongCycle", "testSimpleDependencies", "testWithMigrations", "testWithStartups", "testWithStop"]
)
@pytest.mark.parametrize("side", ["src", "dst"])
def test_the_originals_own_files(name: str, side: str) -> None:
    cluster = load(str(shared(f"data/entropy-plans/{name}_{side}.txt"))).cluster
    raw, warnings = entropy_text.dump(cluster)
    assert warnings == ()
    assert entropy_text.parse(raw) == (cluster, ())


def test_a_vm_on_two_nodes() -> None:
    path = shared("data/entropy-plans/testWithResumes_dst.txt")
    with pytest.raises(InputError, match=r"testWithResumes_dst\.txt:28: VM VM9 is on N7 and, in line 22, on N1, in the line 'N7 VM9'"):
        load(str(path))
