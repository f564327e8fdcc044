"""Ganeti's text files: every column, tags that become rules, what cannot be kept is told, what is wrong with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checked import assert_safe
from command_line import entropy
from document_strategies import refusal
from entropy.formats import documents, ganeti
from entropy.formats.convert import convert
from entropy.formats.load import Loaded, load
from entropy.model import rules
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.planning.planner import PlanOptions, plan
from shared_data import shared

GROUPS = "g1|uuid-1|preferred||\ng2|uuid-2|last_resort|x|net\n"
NODES = """\
n1|8192|512|4608|10000|7000|8|M|uuid-1|1|rack:r1,blue|N|0|2|1.5
n2|8192|0|8192|10000|10000|8|N|uuid-1|1|power:a,power:b
n3|8192|512|8192|10000|10000|8|Y|uuid-1
n4|?|?|?|?|?|?|N|uuid-2|1
n5|4096|0|1024|5000|5000|4|N|uuid-2|3||Y|3
"""
INSTANCES = """\
web|2048|1000|2|running|Y|n1|n2|drbd|service:web,gold|1|-|N
db|1024|2000|1|ERROR_up|N|n1||plain|service:db,service:web|1
ext|1024|500|1|running|Y|n2||ext|
off|512|300|1|ADMIN_down|Y|n2|n1|drbd||1
new|512|300|1|running|Y|n2||ext||1|-|Y
lost|256|10|1|running|Y|n3|n1|drbd||1
dead|256|10|1|ERROR_nodedown|Y|n2||ext||1
far|1024|10|1|running|Y|n5||rbd||1
"""
TAGS = "htools:iextags:service\nhtools:nlocation:power\nours\n"
POLICIES = "|1,1,1|1,1;2,2|ext|6.0|32.0\ng2|1,1,1|1,1;2,2|ext|1.0|32.0\n"
SAMPLE = "\n".join((GROUPS, NODES, INSTANCES, TAGS, POLICIES))


def read(text: str = SAMPLE) -> Loaded:
    cluster, policy, warnings = ganeti.parse(text.encode(), where="c.data")
    return Loaded(cluster=cluster, policy=policy, warnings=warnings)


def changed(old: str, new: str) -> str:
    assert old in SAMPLE
    return SAMPLE.replace(old, new, 1)


def test_nodes() -> None:
    n1, n2, n3, n4, n5 = read().cluster.nodes
    assert [n.state for n in (n1, n2, n3, n4, n5)] == ["online", "online", "offline", "offline", "online"]
    # n1: 8192 - 512 of its own; 4608 are free and 3072 used, so nothing is missing; 7000 MiB free disk and web's and db's
    assert n1.capacity == {"cpu": 8, "memory": 7680, "disk": 10000}
    # 6 vCPUs a cpu make 48, of which the node's own system has 2
    assert n1.overcommit == {"cpu": 5.75}
    assert n1.limit("cpu") == 46
    assert n1.labels == {"group": "g1", "role": "master", "cpuSpeed": "1.5", "rack": "r1", "tags": "rack:r1,blue"}
    # more is free than what ext leaves: what is recorded counts, not what is free
    assert n2.capacity == {"cpu": 8, "memory": 8192, "disk": 10000}
    assert n2.labels == {"group": "g1", "power": "a+b", "tags": "power:a,power:b"}
    assert n3.capacity == {"cpu": 8, "memory": 7680, "disk": 10000}
    assert n4.capacity == {"cpu": 0, "memory": 0, "disk": 0}
    # 4096 - 1024 free - 1024 of far: 2048 MiB that nobody accounts for
    assert n5.capacity == {"cpu": 4, "memory": 2048, "disk": 5000}
    assert n5.overcommit == {}
    assert n5.labels == {"group": "g2", "allocation": "last_resort", "spindles": "3"}


def test_instances() -> None:
    vms = read().cluster.vm_by_name
    assert {v.name: (v.state, v.node) for v in vms.values()} == {
        "web": ("running", "n1"),
        "db": ("running", "n1"),
        "ext": ("running", "n2"),
        "off": ("ready", None),
        "new": ("ready", None),
        "far": ("running", "n5"),
    }
    assert vms["web"].demand == {"cpu": 2, "memory": 2048, "disk": 1000}
    assert vms["ext"].demand == {"cpu": 1, "memory": 1024}
    assert [v.name for v in vms.values() if not v.migratable] == ["db"]
    assert vms["web"].labels == {
        "group": "g1", "diskTemplate": "drbd", "secondary": "n2", "service": "web", "tags": "service:web,gold",
    }  # fmt: skip
    assert vms["db"].labels == {
        "group": "g1", "diskTemplate": "plain", "status": "ERROR_up", "autoBalance": "no", "service": "db+web",
        "tags": "service:db,service:web",
    }  # fmt: skip
    assert vms["off"].labels == {"group": "g1", "diskTemplate": "drbd", "primary": "n2", "secondary": "n1", "status": "ADMIN_down"}
    assert vms["new"].labels == {"group": "g1", "diskTemplate": "ext", "primary": "n2", "forthcoming": "yes"}


def test_exclusion_tags_and_groups_become_rules() -> None:
    assert read().policy == Policy(
        constraints=(
            rules.Fence(name="group g1", vms="group=g1", nodes="group=g1"),
            rules.Fence(name="group g2", vms="group=g2", nodes="group=g2"),
            rules.Spread(name="service:web", vms=("web", "db")),
        )
    )


def test_one_group_and_no_exclusion_tags_make_no_policy() -> None:
    found = read("g|u|preferred|\n\nn1|1|0|1|1|1|1|N|u\n\n\n")
    assert found.policy is None
    assert found.cluster.nodes[0].overcommit == {"cpu": 4}
    assert found.warnings == ()


def test_a_group_whose_name_divides_selectors_is_listed_by_name() -> None:
    policy = read(SAMPLE.replace("g2|", "g,2|")).policy
    assert policy is not None
    assert policy.constraints[1] == rules.Fence(name="group g,2", vms=("far",), nodes=("n4", "n5"))


def test_what_is_not_taken_over_is_told() -> None:
    assert read(changed("n2|8192|0|8192|10000|10000|8|N", "n2|8192|0|4096|10000|7000|8|M")).warnings == (
        "c.data: instances on offline, dead or wrong nodes are left out, as nobody knows where they run: lost (n3), dead (n2)",
        "c.data: more than one node is marked as the master: n1, n2",
        "c.data: nodes miss resources that nothing in the file uses and that are not offered: n2 (3072 MiB memory, 1700 MiB disk), "
        "n5 (2048 MiB memory, 0 MiB disk)",
        "c.data: of the instance policies only the vCPU ratio is kept; sizes, disk templates and spindle ratios are not",
        "c.data: cluster tags that are not expressed as rules (the tags of nodes and instances are labels): htools:nlocation:power, ours",
        "c.data: the tags and networks of groups are not kept: g2",
        "c.data: before an instance with drbd disks moves to another node than its secondary (label secondary), its disk has to be "
        "replaced there: web",
        "c.data: exclusive storage: its spindles are kept as a label and not planned with: n5",
    )


def test_a_policy_among_the_tags_is_not_read_and_told() -> None:
    found = read("g|u|preferred|\n\nn1|1|0|1|1|1|1|N|u\n\n\n|1|2|ext|1.0|32.0\ng|1|2|ext|1.0|32.0\n")
    assert found.cluster.nodes[0].overcommit == {"cpu": 4}
    assert found.warnings == (
        "c.data: what stands among the cluster tags as a policy is not read, as htools does not (an empty line is missing): line 6, 7; "
        "vCPU ratio 4",
    )


def test_the_clusters_policy_holds_for_groups_without_one_and_no_cpus_offer_none() -> None:
    text = "g|u|preferred|\n\nn1|1|0|1|1|1|0|N|u\nn2|1|0|1|1|1|2|N|u|1||N|0|9\n\n\n\n|1|2|3|4.5|32.0\n"
    n1, n2 = read(text).cluster.nodes
    assert (n1.capacity["cpu"], n1.overcommit) == (0, {"cpu": 4.5})
    assert (n2.capacity["cpu"], n2.limit("cpu")) == (0, 0)  # its own system has all nine vCPUs


def test_carriage_returns_a_mark_of_byte_order_and_a_missing_end_of_line() -> None:
    text = "\ufeff" + SAMPLE.replace("\n", "\r\n").removesuffix("\r\n")
    assert read(text).cluster == read().cluster


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("g|u|preferred|\n\nn1|1|0|1|1|1|1|N|u\n", "c.data: is divided into 2 sections (accepted: 4 or 5: groups, nodes,"),
        (SAMPLE + "\nmore\n", "c.data:25: begins a sixth section (accepted: 5 sections"),
        (changed("g1|uuid-1|preferred||", "g1|uuid-1|preferred"), "c.data:1: a group has at least 4 columns, this line has 3, in the line"),
        (changed("last_resort", "never"), "c.data:2: the allocation policy is 'never'"),
        (changed("g2|uuid-2|last", "g1|uuid-2|last"), "c.data:2: group g1 is listed already in line 1"),
        (changed("|M|uuid-1", "|X|uuid-1"), "c.data:4: the role is 'X', in the line 'n1|8192|"),
        (changed("|M|uuid-1", "|M|uuid-9"), "c.data:4: 'uuid-9' is no group of this file"),
        (changed("n1|8192", "n1|8 GiB"), "c.data:4: the total memory is '8 GiB', in the line"),
        (changed("n1|8192", "n1|-1"), "c.data:4: the total memory is '-1'"),
        (changed("n1|8192", "n1|nan"), "c.data:4: the total memory is 'nan'"),
        (changed("n1|8192", "n1|8_192"), "c.data:4: the total memory is '8_192'"),
        (changed("n1|8192", "|8192"), "c.data:4: '' is no name of a node"),
        (changed("n2|8192", "n1|8192"), "c.data:5: node n1 is listed already in line 4"),
        (changed("|8|N|uuid-1|1|power", "|8"), "c.data:5: a node has at least 9 columns, this line has"),
        (changed("blue|N", "blue|maybe"), "c.data:4: exclusive storage is 'maybe'"),
        (changed("web|2048", "web|lots"), "c.data:10: the memory is 'lots'"),
        (changed("running|Y|n1", "walking|Y|n1"), "c.data:10: the status is 'walking'"),
        (changed("running|Y|n1", "running|y|n1"), "c.data:10: auto balance is 'y'"),
        (changed("|n1|n2|drbd", "|n9|n2|drbd"), "c.data:10: the primary node of web, 'n9', is no node of this file"),
        (changed("|n1|n2|drbd", "|n1|n9|drbd"), "c.data:10: the secondary node of web, 'n9', is no node of this file"),
        (changed("|n1|n2|drbd", "||n2|drbd"), "c.data:10: the primary node of web, '', is no node of this file"),
        (changed("|n1|n2|drbd", "|n1|n1|drbd"), "c.data:10: web has n1 as primary and secondary node"),
        (changed("|n1|n2|drbd", "|n1|n2|floppy"), "c.data:10: the disk template is 'floppy'"),
        (changed("|-|N\n", "|-|?\n"), "c.data:10: forthcoming is '?'"),
        (changed("db|1024", "web|1024"), "c.data:11: instance web is listed already in line 10"),
        (
            changed("ext|1024|500|1|running|Y|n2||ext|", "ext|1024|500|1|running|Y|n2||ext"),
            "c.data:12: an instance has at least 10 columns",
        ),
        (changed("|6.0|", "|much|"), "c.data:23: the vCPU ratio is 'much'"),
        (changed("|6.0|", "|0|"), "c.data:23: the vCPU ratio is 0"),
        (changed("g2|1,1,1", "g3|1,1,1"), "c.data:24: 'g3' is no group of this file"),
        (changed("|6.0|32.0", "|6.0"), "c.data:23: an instance policy has at least 6 columns"),
        (changed("rack:r1", "x" * 1100), "c.data:4: the tags are too long to be a label"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith(told)


def test_other_encodings_are_refused() -> None:
    with pytest.raises(InputError, match=r"c\.data:4: is not UTF-8 text"):
        ganeti.parse(SAMPLE.replace("rack", "räck").encode("latin-1"), where="c.data")


@given(st.integers(0, len(SAMPLE)), st.text(max_size=8), st.integers(0, 8))
def test_whatever_the_file_holds_is_read_or_refused_in_a_sentence(at: int, text: str, cut: int) -> None:
    raw = (SAMPLE[:at] + text + SAMPLE[at + cut :]).encode(errors="surrogatepass")
    told = refusal(lambda: documents.to_tree(ganeti.parse(raw, where="c.data")[0]))
    assert not told or told.startswith("c.data")


# -- as commands see them ------------------------------------------------------------------------------------------------


def test_the_content_tells_the_format_and_a_named_one_is_believed(tmp_path: Path) -> None:
    for name in ("c.data", "c", "c.txt"):
        (tmp_path / name).write_text(SAMPLE)
        assert load(str(tmp_path / name)).cluster == read().cluster
    (tmp_path / "c.yaml").write_text(SAMPLE)
    assert load(str(tmp_path / "c.yaml"), "ganeti").cluster == read().cluster
    with pytest.raises(InputError, match=r"c\.yaml:"):
        load(str(tmp_path / "c.yaml"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    out = str(tmp_path / "c.yaml")
    assert convert(read(), "entropy", out).write(out) == (out, str(tmp_path / "c.policy.yaml"))
    assert load(out).cluster == read().cluster
    assert documents.read(str(tmp_path / "c.policy.yaml"), Policy) == read().policy


def test_plan_obeys_the_exclusion_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.data").write_text(SAMPLE)
    ended = entropy("plan c.data -o plan.json", capsys, monkeypatch)
    assert ended.code == 0, ended
    assert "entropy: warning: c.data: cluster tags that are not expressed" in ended.err
    moved = documents.read("plan.json", Plan)
    assert [a.describe() for a in moved.actions] == ["migrate web from n1 to n2"]
    assert entropy("verify c.data plan.json", capsys, monkeypatch).code == 0


# -- htools' own test clusters -------------------------------------------------------------------------------------------

REFUSED = {
    "hroller-full": r":13: instance inst-00 is listed already in line 12",
    "invalid-node": r":6: the primary node of new-0, 'no-such-node', is no node of this file",
    "multiple-tags": r":12: instance new-1 is listed already in line 11",
}


def test_the_published_clusters_are_read_and_planned_or_refused() -> None:
    files = sorted(shared("data/ganeti").glob("*.data"))
    assert len(files) == 50
    for path in files:
        if path.stem in REFUSED:
            with pytest.raises(InputError, match=re.escape(str(path)) + REFUSED[path.stem]):
                load(str(path))
            continue
        found = load(str(path))
        assert not _overloaded(found), path
        result = plan(found.cluster, found.policy or Policy(), PlanOptions(work_limit=20))
        assert_safe(found.cluster, result.plan, found.policy)


def _overloaded(found: Loaded) -> list[str]:
    cluster = found.cluster
    return [
        node
        for node, vms in cluster.running_on.items()
        if any(sum(vm.demand.get(r, 0.0) for vm in vms) > cluster.node_by_name[node].limit(r) for r in cluster.resources)
    ]


@pytest.mark.parametrize(
    ("name", "nodes", "vms", "constraints", "told"),
    [
        ("missing-resources", 2, 0, 0, "node2 (1024 MiB memory, 95367 MiB disk)"),
        ("hbal-excl-tags", 2, 5, 1, "replaced there: dns1, dns2, ftp1, ftp2, admin"),
        ("hbal-split-insts", 8, 128, 2, "(128 in all)"),
        ("hbal-evac", 4, 4, 0, "inst-p1 (node-E), inst-p2 (node-E)"),
        ("multiple-master", 3, 0, 0, "more than one node is marked as the master: node-01-001, node-01-003"),
        ("hbal-migration-3", 4, 6, 0, "htools:migration:hv, htools:allowmigration:hv:old::hv:new"),
        ("hspace-bad-group", 4, 3, 2, "node-remain (64000 MiB memory, 0 MiB disk), node-drained (73000 MiB memory, 0 MiB disk)"),
    ],
)
def test_published_clusters_in_particular(name: str, nodes: int, vms: int, constraints: int, told: str) -> None:
    found = load(str(shared(f"data/ganeti/{name}.data")))
    assert (len(found.cluster.nodes), len(found.cluster.vms)) == (nodes, vms)
    assert len(found.policy.constraints if found.policy else ()) == constraints
    assert any(told in text for text in found.warnings), found.warnings
