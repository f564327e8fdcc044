"""The loop on real parts: Ganglia in, live migrations of QEMU guests out.  What libvirt says is what counts.

Three libvirt hosts, an agent on each, gmond, gmetad, and the daemon of a distribution folder started by its launcher.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from checked import assert_safe
from entropy.formats import documents
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Plan
from testbed.ganglia import GangliaBed
from testbed.libvirt import until
from testbed.site import PATIENCE, House, Site

pytestmark = pytest.mark.real

TWO_EACH = {"app-1": 1, "app-2": 1, "db-1": 2, "db-2": 2, "web-1": 3, "web-2": 3}
TWO_TO_MOVE = {"app-1": 1, "app-2": 1, "big-1": 2, "big-2": 3}
BIG = ("big-1", "big-2")
ONE_SLOW_MOVE_AT_A_TIME = {"execution.maxParallel": 1, "drivers.libvirt.bandwidth": 1, "execution.timeoutMinimum": 600}
"""With 24 MiB to carry a migration lasts some 25 s, or as long as the test wants: see ``Site.hold`` and ``Site.hurry``."""

CHANGE_PLACES = """
apiVersion: entropy/v1
kind: Policy
constraints:
- {type: fence, vms: [big-1], nodes: [node2], continuous: false}
- {type: fence, vms: [big-2], nodes: [node1], continuous: false}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as built:
        yield built


@pytest.fixture
def lay_out(site: Site, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes distribution folders.  Neither a loop nor a migration outlives the test."""
    made: list[House] = []

    def lay_out(settings: Mapping[str, object] | None = None) -> House:
        made.append(House(tmp_path / f"entropy-{len(made)}", site, settings))
        return made[-1]

    yield lay_out
    for house in made:
        house.kill()
    until(lambda: site.hurry() or not site.jobs(), "migrations to end", within=PATIENCE)


def together(site: Site) -> bool:
    """Does every guest run once, and all on one node?"""
    return {tuple(hosts) for hosts in site.placed().values()} in ({(host,)} for host in site.hosts.hosts)


def assert_coherent(site: Site) -> None:
    """Nothing is under way, and every guest runs exactly once.  To be asked at the very moment that something returned."""
    assert site.jobs() == []
    once = dict.fromkeys(sorted(site.guests), 1)
    assert {vm: len(hosts) for vm, hosts in site.placed().items()} == once
    assert {vm: len(site.hosts.defined(vm)) for vm in sorted(site.guests)} == once


def assert_uninterrupted(site: Site) -> None:
    """The hosts told of migrations and of nothing else: no guest was booted, stopped, reset or lost; and all go on."""
    told = {event.split(" ", 1)[1].rpartition(" on ")[0] for event in site.events()}
    migration = {"Started Migrated", "Resumed Migrated", "Suspended Migrated", "Stopped Migrated", "Defined Added", "Undefined Removed"}
    assert told <= migration, site.events()
    site.beat()
    for vm in site.guests.intersection(BIG):
        assert set(site.hosts.heartbeats(vm).partition("m")[2]) == {"m"}  # it still has in memory what it had


def arrivals(site: Site) -> list[str]:
    """Which guests have been brought anywhere, by the hosts' own account: once for every migration that began."""
    return sorted(event.partition(" ")[0] for event in site.events() if " Started Migrated " in event)


def cluster(site: Site, host: Mapping[str, str], memory: int = 64) -> Cluster:
    """As it was laid out, from the test's own knowledge."""
    nodes = (Node(name=site.hosts.name(h), capacity={"cpu": site.cpus, "memory": site.memory}) for h in site.hosts.hosts)
    vms = (VM(name=vm, node=node, demand={"cpu": 0, "memory": memory}) for vm, node in host.items())
    return Cluster(nodes=tuple(nodes), vms=tuple(vms))


def assert_accounts(house: House, guests: Mapping[str, int], memory: int = 64, lost: str = "") -> None:
    """The journal is settled and tells what the hosts tell; every plan was safe on the cluster that those before it left.

    ``lost``: the guest whose migration could not but fail.
    """
    site, begun = house.site, []
    host = {vm: site.hosts.name(h) for vm, h in guests.items()}
    for number, outcome, plan in house.plans():
        assert_safe(cluster(site, host, memory), Plan(actions=plan.actions))
        assert outcome is not None
        actions = sorted(house.actions(number), key=lambda row: row["intended"] or 0)
        for row in actions:
            begun += [row["vm"]] if row["attempt"] else []
            if row["state"] == "done":
                assert (row["type"], row["driver"], row["attempt"]) == ("migrate", "libvirt", 1)
                host[row["vm"]] = row["target"]
            else:
                assert row["state"] == ("failed" if row["vm"] == lost else "skipped")
    assert sorted(begun) == arrivals(site)
    there = {vm: [node] for vm, node in sorted(host.items()) if vm != lost}
    assert {vm: [site.hosts.name(h) for h in hosts] for vm, hosts in site.placed().items() if vm != lost} == there


def test_a_spoofed_cluster_becomes_a_document_that_plans(tmp_path: Path) -> None:
    with GangliaBed(tmp_path, gmetad=True) as ganglia:
        ganglia.node("n1", "127.0.1.1", memory_kb=8 << 20, cpus=8, vms="web-1 (old-1)", cpu_mhz=2100)
        ganglia.node("n2", "127.0.1.2", memory_kb=8 << 20, cpus=8, vms="web-2", migration="libvirt")
        for number, name in enumerate(("web-1", "web-2", "old-1")):
            ganglia.vm(name, f"127.0.2.{number}", memory_kb=2 << 20, cpus=2, user=40, system=2.5)
        ganglia.settle()
        config = tmp_path / "entropy.properties"
        config.write_text(f"gmetad.host = {ganglia.address}\ngmetad.port = {ganglia.gmetad_port}\n")
        seen = tmp_path / "seen.yaml"
        seen.write_text(run("observe", "-c", str(config), folder=tmp_path))
    observed = documents.read(str(seen), Cluster)
    assert (observed.name, [node.name for node in observed.nodes]) == ("testbed-grid", ["n1", "n2"])
    assert [(vm.name, vm.state, vm.node, dict(vm.demand)) for vm in observed.vms] == [
        ("old-1", "sleeping", "n1", {"cpu": 0.85, "memory": 2048.0}),
        ("web-1", "running", "n1", {"cpu": 0.85, "memory": 2048.0}),
        ("web-2", "running", "n2", {"cpu": 0.85, "memory": 2048.0}),
    ]
    plan = documents.parse(run("plan", str(seen), folder=tmp_path).encode(), Plan)
    assert (len(plan.actions), plan.status) == (1, "optimal")
    assert_safe(observed, plan)


def run(*arguments: str, folder: Path) -> str:
    """A command's output; it has nothing to complain of."""
    done = subprocess.run([sys.executable, "-m", "entropy", *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_from_start_to_stop_the_guests_move_together(site: Site, lay_out: Callable[..., House]) -> None:
    site.place(TWO_EACH)
    house = lay_out()
    assert "Ready to start" in house.launch("check")
    started = house.launch("start")
    assert f"Entropy is running (pid {house.pid()})" in started
    until(lambda: together(site), "the guests to be together", within=PATIENCE)
    house.waits("Nothing to do.")
    sentence = "Watching 3 nodes, 6 VMs. 1 node in use; 1 is proven the least while 4 VMs cool down. Nothing to do."
    assert house.launch("status").splitlines()[0] == sentence
    assert_coherent(site)
    found = house.status()
    until(lambda: house.status()["round"] >= found["round"] + 5, "five more rounds", within=PATIENCE)
    later = house.status()
    assert (later["plan"], later["sentence"], later["cluster"]) == (1, sentence, {"nodes": 3, "vms": 6, "nodesInUse": 1})
    assert len(arrivals(site)) == len(set(arrivals(site))) == 4  # each was moved once, and no more for nothing
    assert "nothing is under way" in house.launch("stop")
    assert house.pid() == 0
    assert house.launch("status").startswith("Entropy is not running.\n")
    assert_coherent(site)
    assert_uninterrupted(site)
    assert_accounts(house, TWO_EACH)
    assert "ERROR" not in house.log
    assert "WARNING" not in house.log


def in_the_middle(house: House) -> str:
    """Start the loop, and wait until one of two guests is on its way and much is still to be carried; its name."""
    house.site.place(TWO_TO_MOVE, heavy=BIG)
    house.launch("start")
    until(house.site.carrying, "a migration", within=PATIENCE)
    house.site.hold()
    (moving,) = house.site.carrying()
    return moving


@pytest.mark.slow
def test_stopped_in_the_middle_of_a_plan(site: Site, lay_out: Callable[..., House]) -> None:
    house = lay_out(ONE_SLOW_MOVE_AT_A_TIME)
    moving = in_the_middle(house)
    stops = [house.begin("stop"), house.begin("stop")]
    house.waits("Stopping already")  # both have asked
    assert house.launch("status").startswith("Stopping: Executing plan 1: 0 of 2 done, 1 running, no failure.")
    assert site.carrying() == [moving]
    assert [stop.poll() for stop in stops] == [None, None]  # a migration runs, so neither has returned
    site.hurry()
    for stop in stops:
        said, _ = stop.communicate(timeout=PATIENCE)
        assert_coherent(site)
        assert (stop.returncode, said.splitlines()[-1]) == (0, "Entropy has stopped; nothing is under way."), said
    assert house.pid() == 0
    assert house.launch("stop").strip() == "Entropy is not running."
    assert [(row["vm"], row["state"]) for row in house.actions(1)] == [(moving, "done"), (other(moving), "skipped")]
    assert arrivals(site) == [moving]
    assert_uninterrupted(site)
    assert_accounts(house, TWO_TO_MOVE)


def other(vm: str) -> str:
    return next(big for big in BIG if big != vm)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_migration_then_stopped(site: Site, lay_out: Callable[..., House]) -> None:
    house = lay_out(ONE_SLOW_MOVE_AT_A_TIME)
    moving = in_the_middle(house)
    house.kill()
    assert "1 action in doubt" in house.launch("status")
    stop = house.begin("stop")
    assert stop.stdout is not None
    first = stop.stdout.readline()
    assert f"migrate {moving} " in first
    assert "waiting, its hypervisor is at work on it" in first
    assert site.carrying() == [moving]
    assert stop.poll() is None
    site.hurry()
    said, _ = stop.communicate(timeout=PATIENCE)
    assert_coherent(site)
    assert stop.returncode == 0, said
    assert f"it happened, {moving} runs on node1" in said
    assert "Entropy was not running; what it had left under way is settled." in said
    assert house.launch("stop").strip() == "Entropy is not running."
    assert arrivals(site) == [moving]
    assert_uninterrupted(site)
    assert_accounts(house, TWO_TO_MOVE)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_migration_then_started_again(site: Site, lay_out: Callable[..., House]) -> None:
    house = lay_out(ONE_SLOW_MOVE_AT_A_TIME)
    moving = in_the_middle(house)
    house.kill()
    house.launch("start")
    house.waits(f"migrate {moving} from")
    assert house.status()["phase"] == "settling"
    assert site.carrying() == [moving]
    until(lambda: site.hurry() or together(site), "the guests to be together", within=PATIENCE)
    house.waits("Nothing to do.")
    assert_coherent(site)
    house.launch("stop")
    assert_coherent(site)
    assert "Plan 1 was cut off: 1 of 2 done, 1 skipped." in house.log
    assert arrivals(site) == sorted(BIG)  # each was brought over once, the crash notwithstanding
    assert_uninterrupted(site)
    assert_accounts(house, TWO_TO_MOVE)


@pytest.mark.slow
def test_killed_in_the_second_hop_of_a_move_around_full_nodes(site: Site, lay_out: Callable[..., House]) -> None:
    """Two guests change places over a third node.  The new process knows neither node of the second hop as the guest's home."""
    guests = {"app-1": 1, "big-1": 1, "app-2": 2, "big-2": 2}  # of a size that makes both nodes full
    house = lay_out(ONE_SLOW_MOVE_AT_A_TIME)
    (house.home / "config/policy.yaml").write_text(CHANGE_PLACES)
    site.place(guests, heavy=BIG, memory=192)
    house.launch("start")
    house.waits("Plan 1 mends it: 3 moves")

    def second_hop() -> list[str]:
        if any(row["source"] == "node3" and row["state"] == "intended" for row in house.actions(1)):
            return site.carrying()
        site.hurry()
        return []

    until(second_hop, "a guest to leave the third node", within=PATIENCE)
    site.hold()
    (moving,) = site.carrying()
    house.kill()
    until(lambda: "named by another node too" in str(site.observe().warnings), "Ganglia to tell of it on both nodes", within=PATIENCE)
    stop = house.begin("stop")
    assert stop.stdout is not None
    assert "waiting, its hypervisor is at work on it" in stop.stdout.readline()
    assert site.carrying() == [moving]
    assert stop.poll() is None
    site.hurry()
    said, _ = stop.communicate(timeout=PATIENCE)
    assert_coherent(site)
    assert stop.returncode == 0, said
    assert "Plan 1 was cut off: 3 of 3 done." in said
    assert site.placed() == {"app-1": [1], "app-2": [2], "big-1": [2], "big-2": [1]}
    assert arrivals(site) == sorted([moving, *BIG])
    assert_uninterrupted(site)
    assert_accounts(house, guests, memory=192)


@pytest.mark.slow
def test_a_host_loses_its_power_in_the_middle_of_a_migration_from_it(site: Site, lay_out: Callable[..., House]) -> None:
    """Ganglia goes on telling of a dead host for 80 s; the loop learns it from the hypervisors."""
    limits = {"execution.timeoutMinimum": 25, "execution.timeoutFactor": 1, "execution.confirmTimeout": 5}
    house = lay_out({"drivers.libvirt.bandwidth": 1, "drivers.libvirt.answerTimeout": 3, **limits})
    site.place(TWO_TO_MOVE, heavy=BIG)
    house.launch("start")
    until(lambda: set(site.carrying()) == set(BIG), "both migrations", within=PATIENCE)
    site.hold()
    with site.without_power(3):
        site.hurry()
        house.waits("Plan 1: 1 of 2 done, 1 failed: migrate big-2 from node3 to node1: node node3: cannot connect to qemu")
        round_ = house.status()["round"]
        until(lambda: house.status()["round"] > round_, "the loop to go on", within=PATIENCE)
        said = house.launch("stop")
        assert said.endswith("Entropy has stopped; nothing is under way.\n")
        assert (site.jobs(), site.placed()) == ([], {"app-1": [1], "app-2": [1], "big-1": [1], "big-2": []})
        assert_accounts(house, TWO_TO_MOVE, lost="big-2")
        assert "big-2 Resumed Migrated on node1" not in site.events()  # what had arrived of it was thrown away, not run
        site.guests.discard("big-2")  # it is lost: nothing can be carried from a host without power
        site.beat()
