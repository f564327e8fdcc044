"""Real daemons on loopback: gmond and gmetad carry a cluster, the agent publishes a node's VMs."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entropy.formats.documents import dump, parse
from entropy.model.cluster import Cluster
from entropy.model.errors import PlatformError
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.adapter import GangliaAdapter
from testbed.ganglia import GangliaBed, require_ganglia

pytestmark = pytest.mark.real


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[GangliaBed]:
    with GangliaBed(tmp_path) as started:
        yield started


def observe(port: int) -> Observation:
    return asyncio.run(GangliaAdapter.from_settings({"host": "127.0.0.1", "port": port}).observe())


def test_a_cluster_through_gmond_and_through_gmetad(tmp_path: Path) -> None:
    with GangliaBed(tmp_path, gmetad=True) as bed:
        bed.node("n1", "127.0.1.1", memory_kb=8183808, cpus=4, vms="web-1\nweb-2 (db-1)", cpu_mhz=2100, drivers={"run": "sshRun"})
        bed.node("N2", "127.0.1.2", memory_kb=4091904, cpus=2, vms="none", hypervisor="qemu-7.2", migration="libvirt")
        bed.vm("web-1", "127.0.2.1", memory_kb=524504, cpus=2, user=33.3, system=0.1)
        bed.vm("web-2", "127.0.2.2", memory_kb=1 << 20)
        bed.vm("db-1", "127.0.2.3", memory_kb=2 << 20, cpus=4, user=50)
        bed.settle()
        clusters = [observe(port) for port in (bed.gmond_port, bed.gmetad_port)]
    for seen in clusters:
        cluster = seen.cluster
        assert seen.warnings == ()
        assert {n.name: (n.capacity["cpu"], n.capacity["memory"]) for n in cluster.nodes} == {"n1": (4.0, 7992.0), "N2": (2.0, 3996.0)}
        assert cluster.node_by_name["n1"].labels == {
            "hypervisor": "xen-4.17", "driver.migration": "ssh", "driver.run": "sshRun", "cpuMHz": "2100", "address": "127.0.1.1",
            "ganglia.cluster": "testbed",
        }  # fmt: skip
        assert {v.name: (v.state, v.node, v.demand["cpu"], v.demand["memory"]) for v in cluster.vms} == {
            "web-1": ("running", "n1", 0.668, 524504 / 1024),
            "web-2": ("running", "n1", 0.0, 1024.0),
            "db-1": ("sleeping", "n1", 2.0, 2048.0),
        }
        assert parse(dump(cluster), Cluster) == cluster
        assert cluster.observed_at is not None
    assert [seen.cluster.name for seen in clusters] == ["testbed", "testbed-grid"]


def test_pitfall_1_a_value_that_gmond_cuts_off_is_refused(bed: GangliaBed) -> None:
    bed.node("n1", "127.0.1.1", memory_kb=1 << 20, cpus=1, vms="a" * 940)
    with pytest.raises(PlatformError, match="more than about 900 bytes"):
        observe(bed.gmond_port)


def test_pitfall_2_letters_beyond_ascii_are_refused(bed: GangliaBed) -> None:
    bed.node("n1", "127.0.1.1", memory_kb=1 << 20, cpus=1, hypervisor="xén")
    with pytest.raises(PlatformError, match="not well-formed"):
        observe(bed.gmond_port)


def test_pitfall_3_markup_is_right_from_gmond_and_refused_from_gmetad(tmp_path: Path) -> None:
    with GangliaBed(tmp_path, gmetad=True) as bed:
        bed.node("n1", "127.0.1.1", memory_kb=1 << 20, cpus=1, hypervisor="<b>&")
        bed.settle()
        assert observe(bed.gmond_port).cluster.nodes[0].labels["hypervisor"] == "<b>&"
        with pytest.raises(PlatformError, match="not well-formed"):
            observe(bed.gmetad_port)
        with pytest.raises(PlatformError, match="interactive port"):
            asyncio.run(GangliaAdapter.from_settings({"host": "127.0.0.1", "port": bed.query_port, "connectTimeout": 0.3}).observe())


def test_pitfalls_4_5_and_6(bed: GangliaBed) -> None:
    bed.node("n1", "127.0.1.1", memory_kb=99999999999, cpus=1)
    bed.node("n2", "127.0.1.2", memory_kb=1 << 20, cpus=1, vms="")
    seen = observe(bed.gmond_port)
    assert [(n.name, n.state) for n in seen.cluster.nodes] == [("n2", "online")]
    assert "99999999999" in " ".join(seen.warnings)


def test_pitfall_7_a_metric_outlives_its_dmax(bed: GangliaBed) -> None:
    bed.node("n1", "127.0.1.1", memory_kb=1 << 20, cpus=1)
    bed.push("n1", "127.0.1.1", "container.vms", "gone", dmax=1)
    bed.wait_for('NAME="container.vms" VAL="gone" TYPE="string" UNITS="" TN="2"')
    assert "container.vms was last published 2 s ago" in observe(bed.gmond_port).cluster.nodes[0].untouchable


# -- the agent ----------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def publish(bed: GangliaBed, fakes: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "entropy.platforms.ganglia.agent", "--once", "--gmetric-conf", str(bed.conf), *arguments]
    environment = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


VIRSH = """
import sys, time
command = next(a for a in sys.argv[1:] if a in ("nodeinfo", "nodememstats", "version", "list", "domstats"))
guests = open({names!r}).read().split()
if command == "nodeinfo":
    print("CPU(s):              64\\nCPU frequency:       2600 MHz\\nMemory size:         268435456 KiB")
elif command == "nodememstats":
    print("total  :             268435456 KiB")
elif command == "version":
    print("Running hypervisor: QEMU 7.2.22")
elif command == "list":
    print("\\n".join(g for g in guests if g.endswith("7")))
else:
    for g in guests:
        print(f"Domain: '{{g}}'\\n  state.state={{5 if g.endswith('7') else 1}}\\n  state.reason=1\\n"
              f"  cpu.time={{int(time.monotonic() * 1e9)}}\\n  balloon.current=1048576\\n  vcpu.current=2\\n")
"""


def test_more_than_80_vms_of_a_faked_libvirt_come_back_through_the_adapter(bed: GangliaBed, tmp_path: Path) -> None:
    names = [f"a-customer-with-a-name-{k:03}" for k in range(100)]
    (tmp_path / "names").write_text(" ".join(names))
    program(tmp_path, "virsh", VIRSH.format(names=str(tmp_path / "names")))
    done = publish(bed, tmp_path, "--guests", "--reserve-memory", "1024", "--spoof", "127.0.1.1:n1")
    assert (done.returncode, done.stdout) == (0, "entropy-ganglia-agent: published 90 running and 10 sleeping VMs in 4 parts\n"), done
    (tmp_path / "names").write_text("")  # nothing is on the second node
    done = publish(bed, tmp_path, "--spoof", "127.0.1.2:n2", "--driver", "ssh", "--driver", "run=sshRun")
    assert done.returncode == 0, done
    seen = observe(bed.gmond_port)
    assert seen.warnings == ()
    cluster = seen.cluster
    assert {n.name: n.capacity["memory"] for n in cluster.nodes} == {"n1": 262144.0 - 1024, "n2": 262144.0 - 512}
    assert {key: value for key, value in cluster.node_by_name["n2"].labels.items() if key.startswith("driver")} == {
        "driver.migration": "ssh",
        "driver.run": "sshRun",
    }
    assert [vm.name for vm in cluster.vms] == names
    assert {vm.node for vm in cluster.vms} == {"n1"}
    assert [vm.name for vm in cluster.vms if vm.state == "sleeping"] == [name for name in names if name.endswith("7")]
    assert {vm.demand["memory"] for vm in cluster.vms} == {1024.0}
    assert all(0 < vm.demand["cpu"] <= 2 for vm in cluster.vms)


def test_a_shorter_list_of_an_agent_that_was_started_anew(bed: GangliaBed, tmp_path: Path) -> None:
    (tmp_path / "names").write_text(" ".join(f"a-rather-long-name-{k}" for k in range(120)))
    program(tmp_path, "virsh", VIRSH.format(names=str(tmp_path / "names")))
    assert publish(bed, tmp_path, "--uri", "fake:///", "--spoof", "127.0.1.1:n1").returncode == 0
    assert "108 in all" in observe(bed.gmond_port).cluster.nodes[0].untouchable
    (tmp_path / "names").write_text("")
    assert publish(bed, tmp_path, "--uri", "fake:///", "--spoof", "127.0.1.1:n1").returncode == 0
    seen = observe(bed.gmond_port)
    assert (seen.cluster.nodes[0].untouchable, seen.cluster.vms) == ("", ())


XL = """
import sys
if sys.argv[1] == "info":
    print("nr_cpus                : 8\\ncpu_mhz                : 2100.0\\ntotal_memory           : 16384\\nxen_version            : 4.17.7")
else:
    print("Name                                        ID   Mem VCPUs\\tState\\tTime(s)")
    print("Domain-0                                     0  1024     2     r-----      12.3")
    print("web-1                                        1  1024     2     -b----     100.5")
    print("a strange name                               2   512     1     -b----       0.5")
"""


def test_a_faked_xen(bed: GangliaBed, tmp_path: Path) -> None:
    program(tmp_path, "xl", XL)
    done = publish(bed, tmp_path, "--guests", "--spoof", "127.0.1.1:n1")
    assert done.returncode == 0, done
    assert "'a strange name' cannot be published" in done.stderr
    seen = observe(bed.gmond_port)
    node = seen.cluster.nodes[0]
    assert (node.capacity, node.labels["hypervisor"]) == ({"cpu": 8.0, "memory": 15360.0}, "xen-4.17.7")
    assert "refused." in node.untouchable
    assert [(vm.name, vm.demand) for vm in seen.cluster.vms] == [("web-1", {"cpu": 0.0, "memory": 1024.0})]


def test_a_real_virsh(bed: GangliaBed, tmp_path: Path) -> None:
    if shutil.which("virsh") is None:
        pytest.skip("virsh missing: apt-get install libvirt-clients libvirt-daemon")
    done = publish(bed, tmp_path, "--uri", "test:///default", "--spoof", "127.0.1.1:n1", "--reserve-memory", "0")
    assert done.returncode == 0, done
    node = observe(bed.gmond_port).cluster.nodes[0]
    assert node.capacity == {"cpu": 16.0, "memory": 3072.0}
    assert node.labels["hypervisor"].startswith("test-")
    assert "it runs test" in node.untouchable


def test_nothing_is_published_when_the_hypervisor_cannot_be_asked(bed: GangliaBed, tmp_path: Path) -> None:
    program(tmp_path, "xl", "import sys; sys.exit('xl: cannot open the hypervisor')")
    done = publish(bed, tmp_path, "--hypervisor", "xen", "--spoof", "127.0.1.1:n1")
    assert done.returncode == 2
    assert "cannot open the hypervisor" in done.stderr
    assert "Traceback" not in done.stderr
    assert b"<HOST " not in bed.xml()


def test_the_agent_runs_until_it_is_told_to_stop(bed: GangliaBed, tmp_path: Path) -> None:
    program(tmp_path, "xl", XL)
    command = [sys.executable, "-m", "entropy.platforms.ganglia.agent", "--interval", "0.2", "--gmetric-conf", str(bed.conf)]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    agent = subprocess.Popen([*command, "--spoof", "127.0.1.1:n1", "--guests"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        bed.wait_for('"container.vms"')
        bed.wait_for("cpu_system")
    finally:
        agent.terminate()
        said = agent.communicate(timeout=30)[1]
    assert agent.returncode == 0
    assert said.count("published 2 running") == 1, "a line where something changes, not one a round"


def test_missing_programs_skip_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.ganglia._program", lambda _name: "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install ganglia-monitor gmetad"):
        require_ganglia()
