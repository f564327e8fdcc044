"""The agent against hypervisors whose answers stand here: what it publishes, and what it never does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.errors import InputError, PlatformError
from entropy.platforms.ganglia.agent import Agent, main
from entropy.platforms.ganglia.agent_guests import Guest, HostFacts, Libvirt, Xen, run
from entropy.platforms.ganglia.agent_publish import Gmetric, Published, Reading, list_metrics, listed_name, parse_spoof
from entropy.platforms.ganglia.lists import join
from entropy.platforms.ganglia.xml import Metric

XL_LIST = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0   512     2     r-----      12.3
web-1                                        1  1024     2     -b----     100.5
db-1--incoming                               3   256     1     --p---       0.0
app-1--migratedaway                          4   256     1     ---s--      77.0
"""
XL_INFO = """\
host                   : xen1
nr_cpus                : 4
cpu_mhz                : 2100.0
total_memory           : 8191
xen_version            : 4.17.7
"""
NODEINFO = "CPU model:           x86_64\nCPU(s):              16\nCPU frequency:       2600 MHz\nMemory size:         5728460 KiB\n"
MEMSTATS = "total  :             24731700 KiB\nfree   :             22647556 KiB\n"
VERSION = "Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 7.2.22\n"
DOMSTATS = """\
Domain: 'vm2'
  state.state=5
  state.reason=5
  cpu.time=210000000
  balloon.current=65536
  vcpu.current=1

Domain: 'vm1'
  state.state=1
  state.reason=1
  cpu.time={time}
  cpu.user=170000000
  cpu.system={system}
  balloon.current=1048576
  balloon.maximum=2097152
  vcpu.current=2

Domain: 'vm3'
  state.state=5
  state.reason=0

Domain: 'vm4'
  state.state=3
  state.reason=2
  cpu.time=0
  balloon.current=65536
  vcpu.current=1
"""


class Commands:
    """A ``Runner`` that answers from a table of command prefixes and remembers what was asked."""

    def __init__(self, answers: dict[str, str | Callable[[], str]]) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]

    def __call__(self, command: Sequence[str]) -> str:
        line = shlex.join(command)
        self.asked.append(list(command))
        for start, answer in self.answers.items():
            if line.startswith(start):
                return answer() if callable(answer) else answer
        raise PlatformError(f"{line} failed (1): no such thing")

    @property
    def published(self) -> list[tuple[str, str, str]]:
        """(whose, name, value) in order; the node itself is ''."""
        found = []
        for command in self.asked:
            if command[0] == "gmetric":
                options = dict(zip(command[1::2], command[2::2], strict=True))
                found.append((options.get("--spoof", ""), options["--name"], options["--value"]))
        return found


def libvirt(**changed: str | Callable[[], str]) -> Commands:
    answers: dict[str, str | Callable[[], str]] = {
        "virsh --quiet nodeinfo": NODEINFO,
        "virsh --quiet nodememstats": MEMSTATS,
        "virsh --quiet version": VERSION,
        "virsh --quiet list": "vm2\n",
        "virsh --quiet domstats": DOMSTATS.format(time=10**9, system=10**8),
        "gmetric": "",
    }
    return Commands(answers | {f"virsh --quiet {key}": value for key, value in changed.items()})


def agent(commands: Commands, **more: object) -> Agent:
    warnings: list[str] = []
    made = Agent(Libvirt("", commands), Gmetric(commands), {"migration": "libvirt"}, warn=warnings.append, **more)  # type: ignore[arg-type]
    made.__dict__["warnings"] = warnings
    return made


# -- the hypervisors ----------------------------------------------------------------------------------------------


def test_xen() -> None:
    host, guests = Xen(Commands({"xl list": XL_LIST, "xl info": XL_INFO})).look()
    assert host == HostFacts(memory_kib=(8191 - 512) * 1024, cpus=4, mhz=2100.0, kind="xen-4.17.7")
    assert guests == (
        Guest("web-1", "running", 1 << 20, 2, 100.5),
        Guest("db-1", "running", 256 << 10, 1, None),
        Guest("app-1", "running", 256 << 10, 1, None),
    )


def test_xen_images_are_sleeping_vms(tmp_path: Path) -> None:
    for name in ("batch-1.save", "batch-2", "web-1.save", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    _, guests = Xen(Commands({"xl list": XL_LIST, "xl info": XL_INFO}), tmp_path).look()
    assert [g.name for g in guests if g.state == "sleeping"] == ["batch-1", "batch-2"]
    with pytest.raises(PlatformError, match="cannot be listed"):
        Xen(Commands({"xl list": XL_LIST, "xl info": XL_INFO}), tmp_path / "gone").look()


@pytest.mark.parametrize(
    ("listing", "info"), [("", XL_INFO), (XL_LIST + "what is this\n", XL_INFO), (XL_LIST, ""), (XL_LIST, "nr_cpus: many\n")]
)
def test_an_answer_of_xl_that_cannot_be_read_publishes_nothing(listing: str, info: str) -> None:
    with pytest.raises(PlatformError, match="nothing is published"):
        Xen(Commands({"xl list": listing, "xl info": info})).look()


def test_libvirt() -> None:
    host, guests = Libvirt("", libvirt(), reserve_mib=1024).look()
    assert host == HostFacts(memory_kib=24731700 - (1 << 20), cpus=16, mhz=2600.0, kind="qemu-7.2.22")
    assert guests == (
        Guest("vm2", "sleeping", 65536, 1),
        Guest("vm1", "running", 1 << 20, 2, 1.0, 0.1),
        Guest("vm4", "running", 65536, 1, None),
    )


def test_libvirt_without_memory_statistics() -> None:
    commands = libvirt()
    del commands.answers["virsh --quiet nodememstats"]
    assert Libvirt("", commands).look()[0].memory_kib == 5728460


def test_libvirt_is_asked_where_the_uri_says() -> None:
    commands = Commands({})
    with pytest.raises(PlatformError):
        Libvirt("qemu+unix:///system?socket=/x", commands).look()
    assert commands.asked[0][:3] == ["virsh", "--connect", "qemu+unix:///system?socket=/x"]


# -- a round ------------------------------------------------------------------------------------------------------


def test_what_a_round_publishes() -> None:
    commands = libvirt()
    assert "2 running and 1 sleeping" in agent(commands).round()
    assert commands.published == [
        ("", "container.mem_total", "24731700"),
        ("", "container.cpu_num", "16"),
        ("", "container.type", "qemu-7.2.22"),
        ("", "container.driver.migration", "libvirt"),
        ("", "container.vms.check", commands.published[-2][2]),
        ("", "container.vms", "vm1 (vm2) vm4"),
    ]


def test_load_is_the_difference_of_two_rounds() -> None:
    now = iter([0.0, 10.0])
    times = iter([(10**9, 10**8), (11 * 10**9, 2 * 10**9 + 10**8)])
    commands = libvirt(domstats=lambda: DOMSTATS.format(**dict(zip(("time", "system"), next(times), strict=True))))
    made = agent(commands, guests_too=True, spoof="192.0.2.1:n1", clock=lambda: next(now))
    made.measure()
    made.round()
    assert [(name, value) for whose, name, value in commands.published if whose == "vm.vm1:vm1"] == [
        ("mem_total", "1048576"), ("cpu_num", "2"), ("cpu_user", "40.0"), ("cpu_nice", "0.0"), ("cpu_system", "10.0"),
    ]  # fmt: skip
    assert [(name, value) for whose, name, value in commands.published if whose == "vm.vm2:vm2"] == [
        ("mem_total", "65536"),
        ("cpu_num", "1"),
    ]
    assert not [whose for whose, _, _ in commands.published if "vm4" in whose], "a guest under way is told by the side where it runs"
    assert ("192.0.2.1:n1", "cpu_speed", "2600") in commands.published
    names = [name for _, name, _ in commands.published]
    assert max(k for k, name in enumerate(names) if not name.startswith("container")) < names.index("container.vms")


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 64))
def test_load_is_a_share(seconds: float, cpu: float, before: float, system: float, vcpus: int) -> None:
    load = Reading(seconds, cpu, system).load_since(Reading(1.0, before, 1.0), vcpus)
    assert (load is None) == (seconds <= 1.0 or cpu < before)
    assert load is None or (load.user >= 0 and load.system >= 0 and load.user + load.system <= 100.0001)


def test_a_hypervisor_that_fails_leaves_the_old_list_to_go_stale() -> None:
    for broken in ("domstats", "list", "nodeinfo", "version"):
        commands = libvirt()
        del commands.answers[f"virsh --quiet {broken}"]
        with pytest.raises(PlatformError):
            agent(commands).round()
        assert commands.published == [], broken


def test_a_gmetric_that_fails_is_an_error_that_names_the_metric() -> None:
    commands = libvirt()
    del commands.answers["gmetric"]
    with pytest.raises(PlatformError, match=r"container\.mem_total could not be published"):
        agent(commands).round()


def test_overrides_and_a_node_that_offers_nothing() -> None:
    commands = libvirt()
    agent(commands, memory_kib=2048, cpus=3, kind="kvm").round()
    assert [value for _, _, value in commands.published[:3]] == ["2048", "3", "kvm"]
    with pytest.raises(PlatformError, match="reserve-memory"):
        Agent(Libvirt("", libvirt(), reserve_mib=10**6), Gmetric(libvirt()), {}).round()


# -- the list -----------------------------------------------------------------------------------------------------


def test_pitfalls_1_and_4_a_long_list_is_split_and_its_leftovers_are_emptied() -> None:
    many = [Guest(f"customer-{k:03}-web", "running", 1, 1) for k in range(120)]
    long = list_metrics(many, 0, pytest.fail)
    assert [m.name for m in long] == ["container.vms.check", "container.vms", "container.vms.1", "container.vms.2"]
    assert all(len(m.value) <= 800 for m in long)
    short = list_metrics(many[:1], 3, pytest.fail)
    assert [(m.name, m.value) for m in short[1:]] == [
        ("container.vms", "customer-000-web"),
        ("container.vms.1", ""),
        ("container.vms.2", ""),
    ]
    assert list_metrics([], 0, pytest.fail)[1] == Published("container.vms", "")


def test_an_agent_remembers_how_long_its_last_list_was() -> None:
    blocks = [f"Domain: 'customer-{k:03}-web'\n  state.state=1\n" for k in range(120)]
    listings = iter(["\n".join(blocks), "\n".join(blocks[:1])])
    commands = libvirt(domstats=lambda: next(listings), list="")
    made = agent(commands)
    assert "in 3 parts" in made.round()
    commands.asked.clear()
    assert "in 1 part" in made.round()
    assert [(n, v) for _, n, v in commands.published if n.startswith("container.vms.") and n[-1].isdigit()] == [
        ("container.vms.1", ""),
        ("container.vms.2", ""),
    ]


@given(st.text(min_size=1, max_size=40))
def test_pitfall_2_no_name_damages_the_xml_and_none_is_dropped(name: str) -> None:
    told: list[str] = []
    listed = listed_name(name, told.append)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", listed)
    assert (listed == name) == (not told)
    metrics = list_metrics([Guest(name, "running", 1, 1)], 0, told.append)
    assert join({m.name: Metric(m.value, 0, 60, 0) for m in metrics}, none_is_empty=False).running == (
        () if name == "Domain-0" else (listed,)
    )


def test_a_refused_name_is_told_once_and_has_no_metrics_so_its_node_is_left_alone() -> None:
    commands = libvirt(domstats="Domain: 'my vm'\n  state.state=1\n  cpu.time=1\n  balloon.current=65536\n  vcpu.current=1\n", list="")
    made = agent(commands, guests_too=True)
    made.round()
    made.round()
    assert len(made.__dict__["warnings"]) == 1
    assert "'my vm'" in made.__dict__["warnings"][0]
    assert {whose for whose, _, _ in commands.published} == {""}
    assert any(name == "container.vms" and value.startswith("refused.") for _, name, value in commands.published)


@pytest.mark.parametrize("value", ['a"b', "a<b", "a&b", "é", "a\nb", "x" * 801])
def test_a_value_that_would_damage_the_xml_is_never_sent(value: str) -> None:
    commands = Commands({"gmetric": ""})
    with pytest.raises(PlatformError, match="would damage"):
        Gmetric(commands).send([Published("container.type", value)])
    assert commands.asked == []


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_pitfall_5_a_number_that_cannot_be_is_never_sent(value: str) -> None:
    with pytest.raises(PlatformError, match="would damage"):
        Gmetric(Commands({"gmetric": ""})).send([Published("mem_total", value, "float")])


# -- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--driver", "fly=x"], "--driver"),
        (["--driver", "a b"], "--driver"),
        (["--spoof", "node-7"], "IP:NAME"),
        (["--gmetric-conf", "/no/such/file"], "--gmetric-conf"),
    ],
)
def test_bad_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--once", "--hypervisor", "libvirt", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--interval", "0"], ["--interval", "nan"], ["--capacity-cpu", "0"], ["--type", "a\nb"], ["--nonsense"]]
)
def test_bad_options_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--once", *arguments])
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_program_that_is_missing_or_fails_is_a_sentence() -> None:
    with pytest.raises(PlatformError, match="not installed"):
        run(["no-such-program-here", "x"])
    with pytest.raises(PlatformError, match=r"failed \(3\): said so"):
        run(["sh", "-c", "echo said so >&2; exit 3"])


def test_spoof() -> None:
    assert parse_spoof("192.0.2.7:node-7") == "192.0.2.7:node-7"
    for wrong in ("", "a", "a:", ":b", "a:b c", "a:b:c"):
        with pytest.raises(InputError):
            parse_spoof(wrong)
