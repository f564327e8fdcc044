"""What one HOST of the XML says, as numbers: a node's capacity and labels, a VM's size and load."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

from entropy.platforms.ganglia.lists import LIST
from entropy.platforms.ganglia.xml import Host

__all__ = ["REQUIRED", "Container", "Figures", "read_container", "read_figures"]

REQUIRED = ("container.mem_total", "container.cpu_num", "container.type", "container.driver.migration", LIST)
"""A host is a container, that is a node, if and only if it publishes these."""
OPERATIONS = ("migration", "run", "stop", "suspend", "resume", "startup", "shutdown")

MOST_CPUS = 65_536
MOST_KIB = 64 << 30
"""64 TiB.  gmetric passes on any number as text, so a typing error can look like a machine beyond all machines."""
MOST_PERCENT = 110.0
"""A load above is no rounding error."""
_LABEL = 1024


@dataclass(frozen=True, slots=True)
class Container:
    """A physical host: ``cpu`` in cores, ``memory`` in MiB."""

    name: str
    cpu: float
    memory: float
    labels: dict[str, str]
    expired: tuple[str, ...]
    """Required metrics that their publisher no longer stands for."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A VM: ``memory`` in MiB, number of ``vcpus``, ``cpu`` in cores (``None``: not reported).

    ``current``: its monitor is alive, so these are of now.  ``absurd`` is a load that cannot be (``cpu`` is then all it has).
    """

    memory: float
    vcpus: int
    cpu: float | None
    current: bool
    absurd: str = ""


def read_container(host: Host) -> Container | str:
    """The host as a container; or why it is none, empty if it does not try to be one."""
    metrics = host.metrics
    missing = [name for name in REQUIRED if name not in metrics]
    if missing:
        tries = any(name in metrics for name in REQUIRED)
        return f"publishes no {', '.join(missing)}" if tries else ""
    kib, cpus = (_number(metrics[name].value) for name in REQUIRED[:2])
    for name, value, most in zip(REQUIRED, (kib, cpus), (MOST_KIB, MOST_CPUS), strict=False):
        if value is None or not 0 < value <= most:
            return f"publishes {name} {metrics[name].value[:40]!r} (accepted: a number above 0, at most {most})"
    assert kib is not None
    assert cpus is not None
    return Container(
        name=host.name,
        cpu=cpus,
        memory=kib / 1024,
        labels=_labels(host),
        expired=tuple(name for name in REQUIRED[:4] if metrics[name].expired),
    )


def _labels(host: Host) -> dict[str, str]:
    metrics = host.metrics
    found = {"hypervisor": metrics["container.type"].value}
    for operation in OPERATIONS:
        driver = metrics.get(f"container.driver.{operation}")
        if driver is not None and (operation == "migration" or not driver.expired):
            found[f"driver.{operation}"] = driver.value
    speed = metrics.get("cpu_speed")
    mhz = None if speed is None else _number(speed.value)
    if mhz is not None and 0 < mhz < 1e6:
        found["cpuMHz"] = f"{mhz:g}"
    found["address"] = host.ip
    found["ganglia.cluster"] = host.cluster
    return {key: text for key, value in found.items() if (text := value.strip()[:_LABEL])}


def read_figures(host: Host) -> Figures | None:
    """What the host says of itself as a VM; ``None`` without a usable mem_total and cpu_num."""
    metrics = host.metrics
    if "mem_total" not in metrics or "cpu_num" not in metrics:
        return None
    kib, cpus = _number(metrics["mem_total"].value), _number(metrics["cpu_num"].value)
    if kib is None or cpus is None or not 0 < kib <= MOST_KIB or not 1 <= cpus <= MOST_CPUS or cpus != int(cpus):
        return None
    current = not (host.silent or metrics["mem_total"].expired or metrics["cpu_num"].expired)
    vcpus = int(cpus)
    percent = 0.0
    for name in ("cpu_user", "cpu_nice", "cpu_system"):
        metric = metrics.get(name)
        if metric is None or (current and (metric.expired or metric.stale)):
            return Figures(kib / 1024, vcpus, None, current)
        value = _number(metric.value)
        if value is None or value < 0 or value > MOST_PERCENT:
            return Figures(kib / 1024, vcpus, float(vcpus), current, f"{name} {metric.value[:40]!r}")
        percent += value
    if percent > MOST_PERCENT:
        return Figures(kib / 1024, vcpus, float(vcpus), current, f"a load of {percent:g} %")
    return Figures(kib / 1024, vcpus, min(_up(percent * vcpus / 100), float(vcpus)), current)


def _up(cores: float) -> float:
    """Rounded up to three decimals; the inner rounding keeps 0.945000000001 from becoming 0.946."""
    return ceil(round(cores * 1000, 6)) / 1000


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and "_" not in text else None
