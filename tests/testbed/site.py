"""A whole site on this machine: libvirt hosts with QEMU guests, Ganglia that watches them, and a distribution folder.

    with Site(tmp_path) as site:                                     # skips the test, saying why, where a part is missing
        site.place({"web-1": 1, "web-2": 2}, heavy=["web-2"])        # returns when Ganglia tells exactly this
        house = House(tmp_path / "prod", site, {"loop.interval": 1}) # entropy init, then config/entropy.properties
        house.launch("start")                                        # bin/controlLoop.sh start
        site.placed(), site.jobs()                                   # asked of libvirt
        site.hold(), site.hurry()                                    # migrations under way last minutes, or an instant
        site.events()                                                # what the libvirtds told: "web-2 Started Migrated on node1", ...

One gmond carries all hosts, spoofed by one ``entropy-ganglia-agent`` each, and a gmetad polls it, as on a real site; only the
capacities are given, since every host would tell this machine's.  What is ended was started here, and is ended by its id.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from entropy.control.lock import INSTANCE, holder_of
from entropy.formats import documents
from entropy.model.errors import PlatformError
from entropy.model.plan import Plan
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.adapter import GangliaAdapter
from testbed.ganglia import GangliaBed, require_ganglia
from testbed.libvirt import LibvirtTestbed, require, until

__all__ = ["PATIENCE", "House", "Site"]

PATIENCE = 150.0
"""Seconds: a limit of what is waited for, not an expectation; other jobs may hold all processors."""
_EVENT = re.compile(r"event 'lifecycle' for domain '?([^':]+)'?: (.+)")


class Site:
    """``count`` nodes of ``memory`` MiB and ``cpus`` processing units each, called node1, node2, ...; without guests at first."""

    def __init__(self, folder: Path, *, count: int = 3, memory: int = 384, cpus: int = 8) -> None:
        require_ganglia("gmond", "gmetric", "gmetad")
        require()
        self.folder, self.memory, self.cpus = folder, memory, cpus
        self.guests: set[str] = set()
        self._children: list[subprocess.Popen[bytes]] = []
        self._told: dict[str, int] = {}  # host -> how many of its events are old
        (folder / "ganglia").mkdir(parents=True)
        self.ganglia = GangliaBed(folder / "ganglia", gmetad=True).start()
        try:
            self.hosts = LibvirtTestbed(count)
            for host in self.hosts.hosts:
                self._witness(host)
                self._agent(host)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything."""
        for child in self._children:
            _end(child)
        if hasattr(self, "hosts"):
            self.hosts.close()
        self.ganglia.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- guests ----------------------------------------------------------------------------------------------------

    def place(self, guests: Mapping[str, int], heavy: Iterable[str] = (), memory: int = 64) -> None:
        """Exactly these guests, of ``memory`` MiB each, booted on their hosts; those that are ``heavy`` have 24 MiB to carry.

        Returns when Ganglia tells of all of them, with their loads, and of no other.
        """
        for guest in self.guests | set(guests):
            self.hosts.remove(guest)
        self.guests = set(guests)
        self._forget_events()
        for guest, host in guests.items():
            self.hosts.define(guest, on=host, memory=memory)
            self.hosts.start(guest)
        for guest in heavy:
            self.hosts.make_heavy(guest)
        wanted = {guest: self.hosts.name(host) for guest, host in guests.items()}
        boots = {f"{guest} Started Booted on {name}" for guest, name in wanted.items()}
        until(lambda: boots <= set(self.events()), f"the hosts to tell of {boots}", within=PATIENCE)
        until(lambda: self._shown() == wanted, f"Ganglia to tell of {wanted}", within=PATIENCE)
        self._forget_events()

    def observe(self) -> Observation:
        """The cluster as Ganglia tells it now."""
        return asyncio.run(GangliaAdapter.from_settings({"host": self.ganglia.address, "port": self.ganglia.gmetad_port}).observe())

    def _shown(self) -> dict[str, str | None]:
        """VM -> node; empty while anything is not clear."""
        try:
            seen = self.observe()
        except PlatformError:
            return {}
        return {} if seen.warnings else {vm.name: vm.node for vm in seen.cluster.vms}

    @contextmanager
    def without_power(self, host: int) -> Iterator[None]:
        """The host's power is cut, and comes back in the end."""
        self.hosts.kill_host(host)
        try:
            yield
        finally:
            self.hosts.start_host(host)
            self._witness(host)  # that before it ended with its connection

    # -- asked of libvirt ------------------------------------------------------------------------------------------

    def placed(self) -> dict[str, list[int]]:
        """Guest -> the hosts on which it is active: one, but for a migration under way."""
        return {guest: self.hosts.where(guest) for guest in sorted(self.guests)}

    def jobs(self) -> list[str]:
        """Guests that migrate right now, each with the host that tells so: a job at the source, an arrival at the destination."""
        import libvirt

        paused, none = libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_JOB_NONE
        return self._of_each(lambda domain: domain.state()[0] == paused or domain.jobInfo()[0] != none)

    def carrying(self) -> list[str]:
        """Guests whose memory flows right now."""
        return [found.partition(" ")[0] for found in self._of_each(_memory_flows)]

    def hold(self) -> None:
        """Slow every migration that is under way down, so that what was 24 MiB at its start lasts five minutes."""
        import libvirt_qemu  # libvirt itself counts in MiB/s

        slow = '{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 65536}}'
        self._of_each(lambda domain: _memory_flows(domain) and libvirt_qemu.qemuMonitorCommand(domain, slow, 0))

    def hurry(self) -> None:
        """Let every migration that is under way go as fast as it can."""
        self._of_each(lambda domain: _memory_flows(domain) and domain.migrateSetMaxSpeed(1000))

    def _of_each(self, question: Callable[[Any], object]) -> list[str]:
        """The active domains of which the answer is yes; one that has just gone, or is no source of a migration, says no."""
        import libvirt

        harmless = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
        found = []
        for host in self.hosts.alive:
            for domain in self.hosts.connection(host).listAllDomains(1):
                try:
                    if question(domain):
                        found.append(f"{domain.name()} on {self.hosts.name(host)}")
                except libvirt.libvirtError as error:
                    if error.get_error_code() not in harmless:
                        raise
        return found

    def beat(self) -> None:
        """Wait for the next heartbeat of every guest."""
        before = {guest: len(self.hosts.heartbeats(guest)) for guest in self.guests}
        until(lambda: all(len(self.hosts.heartbeats(g)) > n for g, n in before.items()), f"all of {before} to go on", within=PATIENCE)

    # -- what the hosts told ---------------------------------------------------------------------------------------

    def events(self) -> list[str]:
        """What each libvirtd has told since the guests were placed, host by host: ``web-1 Started Migrated on node2``."""
        names = [self.hosts.name(host) for host in self.hosts.hosts]
        return [event for name in names for event in self._events_of(name)[self._told.get(name, 0) :]]

    def _forget_events(self) -> None:
        self._told = {name: len(self._events_of(name)) for name in map(self.hosts.name, self.hosts.hosts)}

    def _events_of(self, name: str) -> list[str]:
        found = []
        for line in (self.folder / f"events-{name}.log").read_text(errors="replace").splitlines():
            if event := _EVENT.search(line):
                found.append(f"{event[1]} {event[2]} on {name}")
        return found

    # -- inside ----------------------------------------------------------------------------------------------------

    def _agent(self, host: int) -> None:
        hosts = self.hosts
        self._spawn(
            self.folder / f"agent-{hosts.name(host)}.log",
            sys.executable, "-m", "entropy.platforms.ganglia.agent", "--uri", hosts.uri(host), "--guests",
            "--spoof", f"{hosts.address(host)}:{hosts.name(host)}", "--gmetric-conf", str(self.ganglia.conf), "--driver", "libvirt",
            "--capacity-memory", str(self.memory), "--capacity-cpu", str(self.cpus), "--interval", "1",
        )  # fmt: skip

    def _witness(self, host: int) -> None:
        command = ("stdbuf", "-oL", "virsh", "-c", self.hosts.uri(host), "event", "--event", "lifecycle", "--loop")
        self._spawn(self.folder / f"events-{self.hosts.name(host)}.log", *command)

    def _spawn(self, output: Path, *command: str) -> None:
        with output.open("ab") as log:
            environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
            self._children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment))


class House:
    """A distribution folder made by ``entropy init``, whose ``config/entropy.properties`` points at ``site``.

    ``settings``: further keys of the file, as they are written there.
    """

    def __init__(self, folder: Path, site: Site, settings: Mapping[str, object] | None = None) -> None:
        self.home, self.site = folder, site
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("ENTROPY_")}
        self.entropy("init", str(folder))
        config = folder / "config/entropy.properties"
        text = config.read_text()
        text = text.replace("gmetad.host = localhost", f"gmetad.host = {site.ganglia.address}")
        text = text.replace("gmetad.port = 8651", f"gmetad.port = {site.ganglia.gmetad_port}")
        hosts = site.hosts
        keys: dict[str, object] = {f"drivers.libvirt.nodes.{hosts.name(h)}.uri": hosts.uri(h) for h in hosts.hosts}
        keys |= {f"drivers.libvirt.nodes.{hosts.name(h)}.migrateUri": hosts.migrate_uri(h) for h in hosts.hosts}
        keys |= {"loop.interval": 1, "execution.confirmPoll": 0.5, **(settings or {})}
        config.write_text(text + "".join(f"{key} = {value}\n" for key, value in keys.items()))

    # -- commands --------------------------------------------------------------------------------------------------

    def entropy(self, *arguments: str, code: int = 0) -> str:
        """A command in the folder; what it wrote, messages included."""
        return self._run([sys.executable, "-m", "entropy", *arguments], self.home if self.home.exists() else None, code)

    def launch(self, word: str, code: int = 0) -> str:
        """``bin/controlLoop.sh word``, from another folder."""
        return self._run([str(self.home / "bin/controlLoop.sh"), word], Path("/"), code)

    def begin(self, word: str) -> subprocess.Popen[str]:
        """``bin/controlLoop.sh word``, not waited for."""
        return subprocess.Popen(
            [self.home / "bin/controlLoop.sh", word], cwd="/", env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _run(self, command: list[str], folder: Path | None, code: int) -> str:
        done = subprocess.run(
            command, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        file = self.home / "logs/entropy.log"
        return file.read_text() if file.exists() else ""

    def waits(self, text: str) -> None:
        """Until the log holds ``text``."""
        until(lambda: text in self.log, f"{text!r} in the log", within=PATIENCE)

    def pid(self) -> int:
        """Of the running loop; 0 if there is none."""
        holder = holder_of(self.home / "state" / INSTANCE)
        return holder.pid if holder else 0

    def kill(self) -> None:
        """SIGKILL to the running loop, if there is one, and wait for its end."""
        if pid := self.pid():
            os.kill(pid, signal.SIGKILL)
            until(lambda: self.pid() != pid, "the killed loop to be gone")

    def status(self) -> dict[str, Any]:
        """``entropy status --json``."""
        return dict(json.loads(self.entropy("status", "--json")))

    def plans(self) -> list[tuple[int, str | None, Plan]]:
        """Number, last sentence (``None`` while it is open) and document of every plan in the journal."""
        rows = self._rows("SELECT number, outcome, document FROM plans ORDER BY number")
        return [(row["number"], row["outcome"], documents.parse(row["document"].encode(), Plan)) for row in rows]

    def actions(self, plan: int) -> list[dict[str, Any]]:
        """What the journal holds of a plan's actions, in the plan's order."""
        return self._rows("SELECT * FROM actions WHERE plan = ? ORDER BY position", plan)

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """With the database's own eyes, not with those of the program under test."""
        with closing(sqlite3.connect(f"file:{self.home / 'state/journal.sqlite'}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]


def _memory_flows(domain: Any) -> bool:
    return bool(domain.jobStats().get("memory_processed"))


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
