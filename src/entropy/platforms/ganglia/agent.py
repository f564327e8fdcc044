"""``entropy-ganglia-agent``: publishes, on each physical host, the ``container.*`` metrics that the manager reads."""

from __future__ import annotations

import argparse
import math
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from entropy import __version__
from entropy.model.errors import EntropyError, InputError, PlatformError
from entropy.platforms.ganglia.agent_guests import Guest, HostFacts, Hypervisor, Libvirt, Runner, Xen, run
from entropy.platforms.ganglia.agent_publish import (
    Gmetric,
    Load,
    Reading,
    guest_metrics,
    list_metrics,
    listed_name,
    node_metrics,
    parse_spoof,
    spoof_of,
)  # fmt: skip

__all__ = ["Agent", "main"]

OPERATIONS = ("migration", "run", "stop", "suspend", "resume", "startup", "shutdown")
LEAST_TMAX = 20
GUEST_DMAX = 7 * 86_400
"""Seconds for which gmond keeps a guest that nobody publishes any more: asleep, its last figures are still wanted."""


@dataclass
class Agent:
    """One round after the other.  ``clock`` gives monotonic seconds; ``warn`` takes one sentence at a time."""

    hypervisor: Hypervisor
    gmetric: Gmetric
    drivers: dict[str, str]
    spoof: str = ""
    guests_too: bool = False
    memory_kib: int | None = None
    cpus: int | None = None
    kind: str = ""
    clock: Callable[[], float] = time.monotonic
    warn: Callable[[str], None] = field(default=lambda text: print(f"entropy-ganglia-agent: {text}", file=sys.stderr, flush=True))
    _parts: int = 0
    _readings: dict[str, Reading] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def measure(self) -> None:
        """Takes the first reading of the guests' CPU time, so that the next round can tell their load."""
        for guest in self.hypervisor.look()[1]:
            self._load(guest)

    def round(self) -> str:
        """Looks and publishes once; returns what was done in a sentence.

        Raises ``PlatformError`` when the hypervisor or gmetric fails; then the list of VMs is not published, it goes stale,
        and the manager leaves this node alone until it is back.
        """
        host, guests = self.hypervisor.look()
        host = self._overridden(host)
        self.gmetric.send(node_metrics(host, self.drivers, speed=bool(self.spoof)), self.spoof)
        if self.guests_too:  # before the list names them
            for guest in guests:
                self._publish(guest)
        metrics = list_metrics(guests, self._parts, self._warn_once)
        self.gmetric.send(metrics, self.spoof)
        self._parts = max(1, sum(1 for metric in metrics[1:] if metric.value))
        asleep = sum(guest.state == "sleeping" for guest in guests)
        return f"published {len(guests) - asleep} running and {asleep} sleeping VMs in {self._parts} part{'s' * (self._parts > 1)}"

    def _overridden(self, host: HostFacts) -> HostFacts:
        host = replace(
            host,
            memory_kib=host.memory_kib if self.memory_kib is None else self.memory_kib,
            cpus=host.cpus if self.cpus is None else self.cpus,
            kind=self.kind or re.sub(r"[^A-Za-z0-9_.:+/() -]", "_", host.kind)[:100],
        )
        if host.memory_kib < 1 or host.cpus < 1:
            raise PlatformError(
                f"this node would offer {host.memory_kib} KB and {host.cpus} CPUs: nothing is published (see --reserve-memory, "
                "--capacity-memory, --capacity-cpu)"
            )
        return host

    def _publish(self, guest: Guest) -> None:
        if guest.cpu_seconds is None and guest.state == "running":
            return  # under way from or to another node, which tells
        name = listed_name(guest.name, self._warn_once)
        if name == guest.name:  # a stand-in must stay unreported
            self.gmetric.send(guest_metrics(guest, self._load(guest)), spoof_of(name), GUEST_DMAX)

    def _load(self, guest: Guest) -> Load | None:
        before = self._readings.pop(guest.name, None)
        if guest.cpu_seconds is None:
            return None
        now = Reading(self.clock(), guest.cpu_seconds, guest.system_seconds)
        self._readings[guest.name] = now
        return None if before is None else now.load_since(before, guest.vcpus)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.warn(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The command.  0: published (``--once``) or told to stop; 2: bad usage, or nothing could be published."""
    options = _parser().parse_args(argv)
    try:
        agent = _agent(options, run)
        return _once(agent) if options.once else _loop(agent, options.interval)
    except EntropyError as problem:
        print(f"entropy-ganglia-agent: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 0


def _once(agent: Agent) -> int:
    if agent.guests_too:
        agent.measure()
        time.sleep(1.0)
    print(f"entropy-ganglia-agent: {agent.round()}")
    return 0


def _loop(agent: Agent, interval: float) -> int:
    """Rounds every ``interval`` seconds, from start to start, until SIGTERM or SIGINT; a failed one is told and tried again."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told, due = "", time.monotonic()
    if agent.guests_too:
        try:
            agent.measure()
            due += min(1.0, interval)
        except PlatformError as problem:
            agent.warn(told := str(problem))
    while not stop.wait(max(0.0, due - time.monotonic())):
        due = max(due + interval, time.monotonic())
        try:
            done = agent.round()
        except PlatformError as problem:
            done = str(problem)
        if done != told:  # a line where something changes, not one a round
            agent.warn(told := done)
    return 0


def _agent(options: argparse.Namespace, runner: Runner) -> Agent:
    hypervisor = _hypervisor(options, runner)
    spoof = parse_spoof(options.spoof) if options.spoof else ""
    conf = options.gmetric_conf
    if conf and not Path(conf).is_file():
        raise InputError(f"is {conf!r}", where="--gmetric-conf", accepted="a gmond configuration file that exists")
    return Agent(
        hypervisor=hypervisor,
        gmetric=Gmetric(runner, conf=conf, tmax=max(LEAST_TMAX, math.ceil(options.interval))),
        drivers=_drivers(options.driver, hypervisor.driver),
        spoof=spoof,
        guests_too=options.guests,
        memory_kib=None if options.capacity_memory is None else options.capacity_memory * 1024,
        cpus=options.capacity_cpu,
        kind=options.type or "",
    )


def _hypervisor(options: argparse.Namespace, runner: Runner) -> Hypervisor:
    kind = options.hypervisor or ("libvirt" if options.uri else "xen" if shutil.which("xl") else "libvirt" if shutil.which("virsh") else "")
    if kind == "xen":
        return Xen(runner, options.images)
    if kind == "libvirt":
        return Libvirt(options.uri, runner, options.reserve_memory)
    raise InputError("neither xl nor virsh is installed here", where="--hypervisor", accepted="xen or libvirt, and its program")


def _drivers(given: Sequence[str], default: str) -> dict[str, str]:
    found = {"migration": default}
    for text in given:
        operation, equal, driver = text.partition("=")
        if not equal:
            operation, driver = "migration", text
        if operation not in OPERATIONS or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", driver, re.ASCII):
            raise InputError(
                f"is {text!r}", where="--driver", accepted=f"NAME or OPERATION=NAME, the operation one of {', '.join(OPERATIONS)}"
            )
        found[operation] = driver
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entropy-ganglia-agent",
        description="Publishes this physical host's container.* metrics through gmetric, for entropy's Ganglia adapter.",
        epilog="Run it as root on each physical host, beside gmond. docs/ganglia.md explains every metric.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--hypervisor", choices=("xen", "libvirt"), help="whom to ask (default: Xen where xl is installed, else libvirt)")
    add("--uri", default="", help="libvirt connection URI for virsh (default: virsh's own)")
    add("--interval", type=_positive, default=10.0, metavar="S", help="seconds from round to round (default: 10)")
    add("--once", action="store_true", help="one round, then end")
    add("--guests", action="store_true", help="publish each guest's memory, CPUs and load too: for guests without a gmond inside")
    add("--driver", action="append", default=[], metavar="[OPERATION=]NAME",
        help="driver of an operation, of migration if none is named; repeatable (default: libvirt, or ssh for Xen)")  # fmt: skip
    add("--reserve-memory", type=_count, default=512, metavar="MIB",
        help="kept for the host itself (default: 512; on Xen Domain-0's memory is taken off instead)")  # fmt: skip
    add("--images", type=Path, metavar="DIR", help="Xen: where xl save leaves the images of sleeping VMs, NAME or NAME.save each")
    add("--gmetric-conf", default="", metavar="FILE", help="gmond configuration for gmetric (default: gmetric's own)")
    add("--spoof", default="", metavar="IP:NAME", help="publish as this host (default: as the host that gmond runs on)")
    add("--capacity-memory", type=_at_least_one, metavar="MIB", help="memory to publish, instead of what the hypervisor tells")
    add("--capacity-cpu", type=_at_least_one, metavar="N", help="CPUs to publish, instead of what the hypervisor tells")
    add("--type", type=_label, metavar="TEXT", help="container.type (default: the hypervisor and its version)")
    add("--version", action="version", version=f"entropy {__version__}")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0.1 <= value <= 86_400):
        raise argparse.ArgumentTypeError(f"is {text!r} (accepted: 0.1 to 86400 seconds)")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 30:
        raise argparse.ArgumentTypeError(f"is {text!r} (accepted: a whole number, 0 or more)")
    return value


def _at_least_one(text: str) -> int:
    value = _count(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text!r} (accepted: a whole number of at least 1)")
    return value


def _label(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:+/() -]{1,100}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"is {text!r} (accepted: letters, digits and _ . : + / - ( ))")
    return text


if __name__ == "__main__":
    sys.exit(main())
