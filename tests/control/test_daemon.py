"""The daemon as processes: start, status, stop, SIGTERM, SIGKILL, a second instance, apply, check, init and its launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entropy.control.lock import ACTING, INSTANCE, StateLock, holder_of
from simulated_world import cluster_of
from testbed.disk_world import DiskWorld, plugin

FOUR = cluster_of({"a": "n1", "b": "n2", "c": "n3", "d": "n3"})
CHAIN = cluster_of({f"v{k}": f"n{k % 4 + 1}" for k in range(8)}, capacity=12000)  # six moves onto one node, two at a time


class House:
    """A distribution folder around hypervisors on disk."""

    def __init__(self, folder: Path) -> None:
        self.home, self.environment = folder / "house", dict(os.environ)
        self.environment["PYTHONPATH"] = plugin(folder / "plugin")
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        self.environment.pop("ENTROPY_CONFIG", None)
        self.world = DiskWorld(folder / "world")

    def lay_out(self, cluster: object, seconds: float, **loop: object) -> None:
        DiskWorld.make(self.world.folder, cluster, seconds)  # type: ignore[arg-type]
        (self.home / "config").mkdir(parents=True, exist_ok=True)
        settings = {"interval": 0.5, "headroom": 0, "backOff": 1, **loop}
        (self.home / "config/entropy.yaml").write_text(
            json.dumps(
                {
                    "monitoring": {"adapter": "disk", "disk": {"folder": str(self.world.folder)}},
                    "drivers": {"default": "disk", "disk": {"folder": str(self.world.folder)}},
                    "loop": settings,
                    "execution": {"confirmPoll": 0.1, "confirmTimeout": 2, "maxParallelPerNode": 1},
                    "durations": {"migrate": str(seconds)},
                }
            )
        )

    def entropy(self, *arguments: str, code: int = 0) -> str:
        """Run a command in the folder; its output and messages together."""
        found = subprocess.run(
            [sys.executable, "-m", "entropy", *arguments], cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=120
        )
        text = found.stdout + found.stderr
        assert found.returncode == code, text
        assert "Traceback" not in text
        return text

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "entropy", *arguments], cwd=self.home, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def pid(self) -> int:
        holder = holder_of(self.home / "state" / INSTANCE)
        return holder.pid if holder else 0

    def status(self) -> dict[str, object]:
        return dict(json.loads(self.entropy("status", "--json")))

    @property
    def log(self) -> str:
        return (self.home / "logs/entropy.log").read_text()


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for an event of another process."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    it = House(tmp_path)
    yield it
    if pid := it.pid():
        os.kill(pid, signal.SIGKILL)


def test_from_start_to_stop(house: House) -> None:
    house.lay_out(FOUR, 0.3)
    assert house.entropy("status").startswith("Entropy is not running.")
    said = house.entropy("start")
    assert f"Entropy is running (pid {house.pid()})" in said
    refused = house.entropy("start", code=2)
    assert f"running already (entropy run, pid {house.pid()})" in refused
    assert f"in use by entropy run, pid {house.pid()}" in house.entropy("run", code=2)
    until(lambda: len(house.world.cluster().running_on) == 1, "the VMs are together")
    until(lambda: "is proven the least" in str(house.status()["sentence"]), "nothing to do")
    found = house.status()
    assert found["running"] is True
    assert found["cluster"] == {"nodes": 3, "vms": 4, "nodesInUse": 1}
    text = house.entropy("status")
    sentence = "Watching 3 nodes, 4 VMs. 1 node in use; 1 is proven the least while 2 VMs cool down. Nothing to do."
    assert text.splitlines()[0] == sentence
    assert "Entropy has stopped; nothing is under way." in house.entropy("stop")
    assert house.pid() == 0
    assert "Entropy is not running." in house.entropy("stop")
    assert house.entropy("status").startswith("Entropy is not running.")
    assert "Plan 1: 2 moves" in house.log
    assert "Plan 1: 2 of 2 done." in house.log
    assert house.log.rstrip().endswith("Entropy has stopped.")


def test_stopped_in_the_middle_it_returns_when_running_moves_are_done_and_none_is_started(house: House) -> None:
    house.lay_out(CHAIN, 2.0)
    house.entropy("start")
    until(house.world.under_way, "something moves")
    begun = len(house.world.operations())
    one, two = house.begin("stop"), house.begin("stop")
    for process in (one, two):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert house.world.under_way() == []
    assert len(house.world.operations()) <= begun + 1
    assert len(house.world.cluster().running_on) > 1  # it did stop in the middle
    assert house.pid() == 0
    assert "skipped" in house.log
    assert "it was cut off" not in house.entropy("status")


def test_sigterm_twice_is_as_once(house: House) -> None:
    house.lay_out(CHAIN, 2.0)
    process = house.begin("run")
    until(house.world.under_way, "something moves")
    process.send_signal(signal.SIGTERM)
    until(lambda: "Stopping: running actions finish" in house.log, "the first signal")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert house.world.under_way() == []
    assert "Stopping already" in output
    assert "Traceback" not in output


def test_killed_in_the_middle_stop_settles_by_observing_before_it_returns(house: House) -> None:
    house.lay_out(CHAIN, 6.0)
    house.entropy("start")
    until(house.world.under_way, "something moves")
    os.kill(house.pid(), signal.SIGKILL)
    until(lambda: house.pid() == 0, "it is dead")
    moving = house.world.under_way()
    assert moving
    assert "did not end by itself" in house.entropy("status")
    said = house.entropy("stop")
    assert house.world.under_way() == []
    for vm in moving:
        assert f"migrate {vm} " in said
    assert "it happened" in said
    assert "what it had left under way is settled" in said
    assert house.entropy("stop").strip() == "Entropy is not running."


def test_killed_in_the_middle_the_next_start_settles_and_goes_on(house: House) -> None:
    house.lay_out(CHAIN, 1.0)
    house.entropy("start")
    until(house.world.under_way, "something moves")
    os.kill(house.pid(), signal.SIGKILL)
    until(lambda: house.pid() == 0, "it is dead")
    house.entropy("start")
    until(lambda: len(house.world.cluster().running_on) == 1, "the VMs are together")
    house.entropy("stop")
    assert "Plan 1 was cut off" in house.log
    begun = [op["vm"] for op in house.world.operations()]
    assert len(begun) == len(set(begun)) == 6  # each VM moved once, the crash notwithstanding


def test_killed_with_monitoring_gone_stop_does_not_claim_a_coherent_cluster(house: House) -> None:
    house.lay_out(CHAIN, 2.0)
    house.entropy("start")
    until(house.world.under_way, "something moves")
    os.kill(house.pid(), signal.SIGKILL)
    until(lambda: house.pid() == 0, "it is dead")
    (house.world.folder / "broken").touch()
    assert "in doubt" in house.entropy("stop", code=4)
    (house.world.folder / "broken").unlink()
    assert "it happened" in house.entropy("stop")


def test_a_daemon_that_cannot_come_up_says_why(house: House) -> None:
    house.lay_out(FOUR, 1.0)
    config = house.home / "config/entropy.yaml"
    config.write_text(config.read_text().replace('"adapter": "disk"', '"adapter": "gangliaa"'))
    said = house.entropy("start", code=2)
    assert "'gangliaa' is no adapter" in said
    assert str(config) in said
    assert house.pid() == 0


def test_monitoring_that_comes_back_is_used_again(house: House) -> None:
    house.lay_out(FOUR, 0.2)
    (house.world.folder / "broken").touch()
    house.entropy("start")
    until(lambda: "Monitoring cannot be used" in str(house.status()["sentence"]), "it says so")
    assert house.world.operations() == []
    (house.world.folder / "broken").unlink()
    until(lambda: len(house.world.cluster().running_on) == 1, "the VMs are together")
    house.entropy("stop")


def test_a_dry_run_leaves_acting_to_apply_and_sighup_reads_the_policy_again(house: House) -> None:
    house.lay_out(FOUR, 0.2, reconfigure=False)
    house.entropy("start")
    until(lambda: "Dry run: a plan: 2 moves" in str(house.status()["sentence"]), "a decision")
    (house.home / "now.yaml").write_text(house.entropy("observe"))
    house.entropy("plan", "now.yaml", "-o", "plan.json", "--output-format", "json")
    assert "Plan 1: 2 of 2 done." in house.entropy("apply", "plan.json")
    assert len(house.world.cluster().running_on) == 1
    stale = house.entropy("apply", "plan.json", code=4)
    assert "a is running on n3 now" in stale
    policy = house.home / "config/policy.yaml"
    policy.write_text("apiVersion: entropy/v1\nkind: Policy\nconstraints:\n- {type: spread, vms: [a, b], across: node}\n")
    os.kill(house.pid(), signal.SIGHUP)
    until(lambda: "Read " in house.log and "1 rules" in house.log, "the policy is read")
    until(lambda: "Dry run: a plan" in str(house.status()["sentence"]), "the rule counts")
    policy.write_text("kind: nonsense\n")
    os.kill(house.pid(), signal.SIGHUP)
    until(lambda: "The policy stays as it was" in house.log, "a bad policy is refused")
    house.entropy("stop")


def test_status_tells_who_else_is_at_work_and_of_a_crash_only_when_nobody_is(house: House) -> None:
    house.lay_out(FOUR, 4.0)
    (house.home / "now.yaml").write_text(house.entropy("observe"))
    house.entropy("plan", "now.yaml", "-o", "plan.json", "--output-format", "json")
    apply = house.begin("apply", "plan.json")
    until(house.world.under_way, "something moves")
    apply.send_signal(signal.SIGKILL)
    apply.communicate()
    acting = house.home / "state" / ACTING
    with StateLock(acting, "entropy apply"):
        said = house.entropy("status").splitlines()[0]
    at_work = f"entropy apply (pid {os.getpid()}) is at work. Executing plan 1: 0 of 2 done, 1 running, no failure."
    assert said == f"Entropy is not running. {at_work}"
    with StateLock(acting, "entropy stop"):
        said = house.entropy("status").splitlines()[0]
    assert said == f"Entropy is not running. entropy stop (pid {os.getpid()}) makes certain what it had left under way."
    assert "It did not end by itself: 1 action in doubt" in house.entropy("status")
    house.entropy("stop")
    assert house.entropy("status").splitlines()[0] == "Entropy is not running."


def test_apply_is_refused_while_a_loop_acts_or_when_the_plan_is_not_safe_any_more(house: House) -> None:
    house.lay_out(FOUR, 0.2)
    (house.home / "now.yaml").write_text(house.entropy("observe"))
    house.entropy("plan", "now.yaml", "-o", "plan.json", "--output-format", "json")
    with StateLock(house.home / "state" / "acting.lock", "entropy run") if (house.home / "state").exists() else _made(house):
        assert "in use by entropy run" in house.entropy("apply", "plan.json", code=2)
    grown = json.loads((house.world.folder / "cluster.json").read_text())
    next(vm for vm in grown["vms"] if vm["name"] == "d")["demand"]["memory"] = 3000
    (house.world.folder / "cluster.json").write_text(json.dumps(grown))
    assert "not safe" in house.entropy("apply", "plan.json", code=4)
    assert house.world.operations() == []


def _made(house: House) -> StateLock:
    (house.home / "state").mkdir()
    return StateLock(house.home / "state" / "acting.lock", "entropy run")


def test_rounds_end_by_themselves_with_an_exit_code(house: House) -> None:
    house.lay_out(FOUR, 0.1)
    output = house.entropy("run", "--rounds", "2")
    assert "frees n1 and n2" in output
    assert "Nothing to do." in output
    (house.world.folder / "broken").touch()
    assert "Acting on nothing" in house.entropy("run", "--rounds", "1", code=2)


def test_check_answers_with_yes_no_and_how_to_mend_it(house: House) -> None:
    house.lay_out(FOUR, 0.1)
    text = house.entropy("check")
    assert text.splitlines()[0] == "Ready to start."
    assert "yes  cluster observed: 3 nodes, 4 VMs" in text
    assert "yes  disk hypervisors accept live migration: 3 nodes" in text
    (house.world.folder / "broken").touch()
    found = json.loads(house.entropy("check", "--json", code=4))
    assert found["ok"] is False
    assert {"question": "disk world reachable", "ok": False, "detail": "", "mend": "remove the file broken"} in found["answers"]


def test_init_lays_out_a_folder_whose_launcher_starts_and_stops(house: House) -> None:
    target = house.home / "site"
    house.home.mkdir()
    said = house.entropy("init", "site")
    assert f"made {target}/bin/controlLoop.sh" in said
    assert {p.name for p in target.iterdir()} == {"bin", "config", "logs", "vjobs"}
    properties = (target / "config/entropy.properties").read_text()
    assert [line for line in properties.splitlines() if line and not line.startswith("#")] == [
        "gmetad.host = localhost",
        "gmetad.port = 8651",
    ]
    (target / "config/entropy.properties").write_text(
        f"monitoring.adapter = disk\nmonitoring.disk.folder = {house.world.folder}\ndrivers.default = disk\n"
        f"drivers.disk.folder = {house.world.folder}\nloop.interval = 0.5\nexecution.confirmPoll = 0.1\n"
    )
    again = house.entropy("init", "site")
    assert f"kept {target}/config/entropy.properties as it is" in again
    assert "made " not in again
    DiskWorld.make(house.world.folder, FOUR, 0.2)

    def launcher(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [target / "bin/controlLoop.sh", *arguments], cwd="/", env=house.environment, capture_output=True, text=True, timeout=120
        )

    assert launcher().returncode == 2
    started = launcher("start")
    assert started.returncode == 0, started.stderr
    until(lambda: len(house.world.cluster().running_on) == 1, "the VMs are together")
    stopped = launcher("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "frees n1 and n2" in (target / "logs/entropy.log").read_text()
    unit = (target / "config/entropy.service").read_text()
    assert f"run -c {target}/config/entropy.properties" in unit
    assert "TimeoutStopSec=infinity" in unit
