"""What the agent publishes: metrics, checked, through gmetric."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from entropy.model.errors import InputError, PlatformError
from entropy.platforms.ganglia.agent_guests import Guest, HostFacts, Runner
from entropy.platforms.ganglia.lists import CHECK, PART_BYTES, check_value, part_name, split

__all__ = ["Gmetric", "Load", "Published", "Reading", "guest_metrics", "list_metrics", "listed_name", "node_metrics"]

Type = Literal["string", "uint16", "uint32", "float", "double"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[A-Za-z0-9_.:+/() -]*", re.ASCII)
_UINT32 = 2**32


@dataclass(frozen=True, slots=True)
class Published:
    """One metric as it goes to gmetric."""

    name: str
    value: str
    type: Type = "string"
    units: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """Shares of a guest's CPUs, in per cent."""

    user: float
    system: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A guest's CPU seconds at one instant (seconds of any monotonic clock)."""

    at: float
    cpu: float
    system: float

    def load_since(self, before: Reading, vcpus: int) -> Load | None:
        """Between two readings; ``None`` when the guest has been started anew, or no time has passed."""
        seconds, cpu, system = self.at - before.at, self.cpu - before.cpu, max(0.0, self.system - before.system)
        if seconds <= 0 or cpu < 0 or vcpus < 1:
            return None
        total = min(100.0, 100 * cpu / (seconds * vcpus))
        part = min(total, 100 * system / (seconds * vcpus))
        return Load(user=total - part, system=part)


def listed_name(name: str, warn: Callable[[str], None]) -> str:
    """The name in the list.  One that Ganglia would damage is replaced, with a warning, by a name that nobody reports: the
    manager then leaves this node alone, where it would take it for emptier than it is if the VM were left out."""
    if _NAME.fullmatch(name):
        return name
    stand_in = f"refused.{crc32(name.encode('utf-8', 'surrogateescape')):08x}"
    warn(
        f"the VM {name!a} cannot be published under its name (accepted: at most 128 of A-Z a-z 0-9 _ . -); it is listed as "
        f"{stand_in}, which makes this node untouchable: rename the VM"
    )
    return stand_in


def list_metrics(guests: Iterable[Guest], before: int, warn: Callable[[str], None]) -> tuple[Published, ...]:
    """The list of guests as metrics; ``before`` is how many parts the last list had: what is left over of it is emptied.

    The check is first: a reader that sees it and not yet all of its parts knows.
    """
    words = {(name := listed_name(g.name, warn)): f"({name})" if g.state == "sleeping" else name for g in sorted(guests, key=_order)}
    parts = split(words.values(), PART_BYTES)
    emptied = [""] * max(0, before - len(parts))
    return (
        Published(CHECK, check_value(parts)),
        *(Published(part_name(k), part) for k, part in enumerate([*parts, *emptied])),
    )


def _order(guest: Guest) -> tuple[str, bool]:
    return guest.name, guest.state == "running"  # of one name, the running one stands


def node_metrics(host: HostFacts, drivers: dict[str, str], *, speed: bool) -> tuple[Published, ...]:
    """The node's own metrics; ``speed`` too where no gmond of its own tells its ``cpu_speed``."""
    found = [
        Published("container.mem_total", str(host.memory_kib), "uint32" if host.memory_kib < _UINT32 else "double", "KB"),
        Published("container.cpu_num", str(host.cpus), "uint16", "CPUs"),
        Published("container.type", host.kind),
        *(Published(f"container.driver.{operation}", driver) for operation, driver in drivers.items()),
    ]
    if speed and host.mhz:
        found.append(Published("cpu_speed", f"{host.mhz:.0f}", "uint32", "MHz"))
    return tuple(found)


def guest_metrics(guest: Guest, load: Load | None) -> tuple[Published, ...]:
    """What a gmond inside the guest would tell; nothing of the load when it is not known."""
    if guest.memory_kib < 1 or guest.vcpus < 1:
        return ()
    found = [
        Published("mem_total", str(guest.memory_kib), "float", "KB"),
        Published("cpu_num", str(guest.vcpus), "uint16", "CPUs"),
    ]
    if load is not None:
        shares = (("cpu_user", load.user), ("cpu_nice", 0.0), ("cpu_system", load.system))
        found += [Published(name, f"{share:.1f}", "float", "%") for name, share in shares]
    return tuple(found)


class Gmetric:
    """Publishes through the ``gmetric`` program.  ``tmax``: seconds between two rounds at most."""

    def __init__(self, runner: Runner, *, conf: str = "", tmax: int = 60, program: str = "gmetric") -> None:
        self._run, self._tmax = runner, tmax
        self._command = [program, *(["--conf", conf] if conf else [])]

    def send(self, metrics: Sequence[Published], spoof: str = "", dmax: int = 0) -> None:
        """All of them, in order.  ``spoof`` (``IP:NAME``) says whose they are, this machine's if empty.

        Raises ``PlatformError`` naming the metric; those before it have been sent.
        """
        for metric in metrics:
            _refuse_damage(metric)
            command = [
                *self._command, "--name", metric.name, "--value", metric.value, "--type", metric.type, "--units", metric.units,
                "--slope", "both" if metric.name.startswith("cpu_") else "zero", "--tmax", str(self._tmax), "--dmax", str(dmax),
                *(["--spoof", spoof] if spoof else []),
            ]  # fmt: skip
            try:
                self._run(command)
            except PlatformError as problem:
                raise PlatformError(f"{metric.name} could not be published: {problem}") from problem


def spoof_of(name: str) -> str:
    """Whose metrics a guest's are.  gmond knows a spoofed host by the part before the colon alone: it must be the guest's
    own and the same from every node, which no invented address is; its name is."""
    return f"vm.{name}:{name}"


def parse_spoof(text: str) -> str:
    """``IP:NAME`` of ``--spoof``, checked.  Raises ``InputError``."""
    address, colon, name = text.partition(":")
    if not colon or not _NAME.fullmatch(address) or not _NAME.fullmatch(name):
        raise InputError(f"is {text!r}", where="--spoof", accepted="IP:NAME, for example 192.0.2.7:node-7")
    return text


def _refuse_damage(metric: Published) -> None:
    """gmond writes some values so that its whole XML is ill-formed: none of ours may be one."""
    if metric.type == "string":
        fine = _VALUE.fullmatch(metric.value) is not None and len(metric.value) <= PART_BYTES
    else:
        number = float(metric.value)
        fine = math.isfinite(number) and number >= 0
    if not fine:
        raise PlatformError(
            f"{metric.name} is not published: {ascii(metric.value)[:120]} would damage the XML of gmond (accepted: at most "
            f"{PART_BYTES} of A-Z a-z 0-9 _ . : + / - ( ) and space)"
        )
