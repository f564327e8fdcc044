"""What the agent learns on a node: the host, its guests, and the hypervisors that tell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from entropy.model.errors import PlatformError

__all__ = ["Guest", "HostFacts", "Hypervisor", "Libvirt", "Runner", "Xen", "run"]

Runner = Callable[[Sequence[str]], str]
"""Runs a command, given as a list of arguments, and returns its output; raises ``PlatformError``."""
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM on this node: memory in KiB, CPU seconds used since it started here (``None``: not to be told now)."""

    name: str
    state: Literal["running", "sleeping"]
    memory_kib: int
    vcpus: int
    cpu_seconds: float | None = None
    system_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The node: memory in KiB that its guests may have, CPUs, MHz (0: unknown), hypervisor and version."""

    memory_kib: int
    cpus: int
    mhz: float
    kind: str


class Hypervisor(Protocol):
    """Asked once a round."""

    driver: str
    """What ``container.driver.migration`` is called where nobody says otherwise."""

    def look(self) -> tuple[HostFacts, tuple[Guest, ...]]:
        """The node and all its guests.  Raises ``PlatformError``: a list that may be incomplete is never returned."""
        ...


def run(command: Sequence[str]) -> str:
    """A ``Runner`` for real."""
    shown = shlex.join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="surrogateescape",
            timeout=SECONDS, check=False, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError as problem:
        raise PlatformError(f"the program {command[0]} is not installed here (wanted for: {shown})") from problem
    except subprocess.TimeoutExpired as problem:
        raise PlatformError(f"{shown} did not end within {SECONDS:g} s") from problem
    except (OSError, ValueError) as problem:
        raise PlatformError(f"{shown} cannot be run: {problem}") from problem
    if done.returncode:
        raise PlatformError(
            f"{shown} failed ({done.returncode}): {' '.join((done.stderr or done.stdout).split())[:300] or 'no reason given'}"
        )
    return done.stdout


# -- Xen ----------------------------------------------------------------------------------------------------------

_XL_ROW = re.compile(r"(?P<name>.+?)\s+(?P<id>\d+)\s+(?P<memory>\d+)\s+(?P<vcpus>\d+)\s+(?P<state>\S+)\s+(?P<seconds>[\d.]+)\s*")
_UNDER_WAY = ("--incoming", "--migratedaway")


class Xen:
    """Asks ``xl``.  Domain-0's memory is taken off the node's; ``images`` is where ``xl save`` leaves sleeping VMs."""

    driver = "ssh"

    def __init__(self, runner: Runner = run, images: Path | None = None) -> None:
        self._run, self._images = runner, images

    def look(self) -> tuple[HostFacts, tuple[Guest, ...]]:
        rows = self._rows(self._run(["xl", "list"]))
        own = sum(int(row["memory"]) for row in rows if row["id"] == "0")
        info = _fields(self._run(["xl", "info"]), "xl info")
        memory = _whole(info, "total_memory", "xl info") - own
        host = HostFacts(
            memory_kib=memory * 1024,
            cpus=_whole(info, "nr_cpus", "xl info"),
            mhz=float(re.sub(r"[^\d.]", "", info.get("cpu_mhz", "")) or 0),
            kind=f"xen-{info['xen_version']}" if info.get("xen_version") else "xen",
        )
        running = [self._guest(row) for row in rows if row["id"] != "0"]
        names = {guest.name for guest in running}
        return host, (*running, *(guest for guest in self._sleeping() if guest.name not in names))

    @staticmethod
    def _rows(text: str) -> list[re.Match[str]]:
        found = []
        for line in text.splitlines():
            if not line.strip() or line.split()[:2] == ["Name", "ID"]:
                continue
            row = _XL_ROW.fullmatch(line)
            if row is None:
                raise PlatformError(f"xl list: cannot read the line {line[:120]!r}; nothing is published")
            found.append(row)
        if not any(row["id"] == "0" for row in found):
            raise PlatformError("xl list shows no Domain-0: is this a Xen host, and the agent root? nothing is published")
        return found

    @staticmethod
    def _guest(row: re.Match[str]) -> Guest:
        """While a VM migrates both hosts hold a domain of it, one with a suffix: both name the VM, so both are left alone."""
        name = row["name"]
        moving = next((end for end in _UNDER_WAY if name.endswith(end)), "")
        seconds = None if moving else float(row["seconds"])
        return Guest(name.removesuffix(moving), "running", int(row["memory"]) * 1024, int(row["vcpus"]), seconds)

    def _sleeping(self) -> list[Guest]:
        if self._images is None:
            return []
        try:
            files = sorted(path for path in self._images.iterdir() if path.is_file() and not path.name.startswith("."))
        except OSError as problem:
            raise PlatformError(f"the images in {self._images} cannot be listed: {problem.strerror or problem}") from problem
        return [Guest(path.name.removesuffix(".save"), "sleeping", 0, 0) for path in files]


# -- libvirt ------------------------------------------------------------------------------------------------------

_ACTIVE = {1, 2, 3, 4, 7}
"""virDomainState: running, blocked, paused, being shut down, suspended by its own power management."""
_PAUSED, _PAUSED_MIGRATION = 3, 2


class Libvirt:
    """Asks ``virsh``.  A guest that is shut off with a managed save image is asleep."""

    driver = "libvirt"

    def __init__(self, uri: str = "", runner: Runner = run, reserve_mib: int = 0) -> None:
        self._command = ["virsh", *(["--connect", uri] if uri else []), "--quiet"]
        self._run, self._reserve = runner, reserve_mib

    def _virsh(self, *arguments: str) -> str:
        return self._run([*self._command, *arguments])

    def look(self) -> tuple[HostFacts, tuple[Guest, ...]]:
        guests = self._guests()
        info = _fields(self._virsh("nodeinfo"), "virsh nodeinfo")
        host = HostFacts(
            memory_kib=max(0, self._memory(info) - self._reserve * 1024),
            cpus=_whole(info, "CPU(s)", "virsh nodeinfo"),
            mhz=float(re.sub(r"[^\d.]", "", info.get("CPU frequency", "")) or 0),
            kind=self._kind(),
        )
        return host, guests

    def _memory(self, info: Mapping[str, str]) -> int:
        try:
            return _whole(_fields(self._virsh("nodememstats"), "virsh nodememstats"), "total", "virsh nodememstats")
        except PlatformError:  # not every driver has it; where both are there, this one is right in containers too
            return _whole(info, "Memory size", "virsh nodeinfo")

    def _kind(self) -> str:
        running = _fields(self._virsh("version"), "virsh version").get("Running hypervisor", "")
        return "-".join(running.lower().split()) or "libvirt"

    def _guests(self) -> tuple[Guest, ...]:
        asleep = set(self._virsh("list", "--inactive", "--with-managed-save", "--name").split("\n"))
        found = []
        for block in self._virsh("domstats", "--nowait", "--state", "--cpu-total", "--balloon", "--vcpu").split("Domain: ")[1:]:
            title, _, rest = block.partition("\n")
            name = title.strip()[1:-1]
            values = dict(line.strip().split("=", 1) for line in rest.splitlines() if "=" in line)
            state, reason = int(values.get("state.state", 0)), int(values.get("state.reason", 0))
            if state not in _ACTIVE and name not in asleep:
                continue
            moving = (state, reason) == (_PAUSED, _PAUSED_MIGRATION)  # its figures are told by the side where it runs
            found.append(
                Guest(
                    name=name,
                    state="running" if state in _ACTIVE else "sleeping",
                    memory_kib=int(values.get("balloon.current") or values.get("balloon.maximum") or 0),
                    vcpus=int(values.get("vcpu.current") or values.get("vcpu.maximum") or 0),
                    cpu_seconds=int(values["cpu.time"]) / 1e9 if state in _ACTIVE and "cpu.time" in values and not moving else None,
                    system_seconds=int(values.get("cpu.system", 0)) / 1e9,
                )
            )
        return tuple(found)


def _fields(text: str, where: str) -> dict[str, str]:
    found = {key.strip(): value.strip() for line in text.splitlines() if (parts := line.partition(":"))[1] for key, _, value in [parts]}
    if not found:
        raise PlatformError(f"{where} told nothing; nothing is published")
    return found


def _whole(info: Mapping[str, str], key: str, where: str) -> int:
    match = re.match(r"\d+", info.get(key, ""))
    if match is None:
        raise PlatformError(f"{where} tells no {key} ({info.get(key, 'missing')!r}); nothing is published")
    return int(match[0])
