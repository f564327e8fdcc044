"""Ganglia XML of a test's own making, in the shape that gmond and gmetad give it."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from entropy.model.cluster import VM
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.configuration import assemble
from entropy.platforms.ganglia.memory import Memory
from entropy.platforms.ganglia.settings import GangliaSettings, NodeFilter
from entropy.platforms.ganglia.xml import parse_dump

__all__ = ["HEAD", "document", "host", "look", "metric", "node", "vm"]

HEAD = """<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>
<!DOCTYPE GANGLIA_XML [
   <!ELEMENT GANGLIA_XML (GRID|CLUSTER|HOST)*>
      <!ATTLIST GANGLIA_XML VERSION CDATA #REQUIRED>
   <!ELEMENT METRIC (EXTRA_DATA*)>
      <!ATTLIST METRIC NAME CDATA #REQUIRED>
      <!ATTLIST METRIC SOURCE (gmond) 'gmond'>
]>
"""
Value = object
"""A metric's value, or (value, TN), (value, TN, TMAX), (value, TN, TMAX, DMAX)."""


def metric(name: str, value: Value) -> str:
    text, tn, tmax, dmax = (*value, 0, 60, 0)[:4] if isinstance(value, tuple) and len(value) == 1 else _four(value)
    return (
        f'<METRIC NAME="{name}" VAL={quoteattr(str(text))} TYPE="string" UNITS="" TN="{tn}" TMAX="{tmax}" DMAX="{dmax}" SLOPE="both">\n'
        f'<EXTRA_DATA>\n<EXTRA_ELEMENT NAME="GROUP" VAL="core"/>\n</EXTRA_DATA>\n</METRIC>\n'
    )


def _four(value: Value) -> tuple[object, ...]:
    parts = value if isinstance(value, tuple) else (value,)
    return (*parts, *(0, 60, 0)[len(parts) - 1 :])


def host(name: str, metrics: Mapping[str, Value], *, ip: str = "", tn: object = 5, tmax: object = 20) -> str:
    body = "".join(metric(key, value) for key, value in metrics.items())
    return (
        f'<HOST NAME="{name}" IP="{ip or name}" TAGS="" REPORTED="1795329239" TN="{tn}" TMAX="{tmax}" DMAX="0" '
        f'LOCATION="unspecified" GMOND_STARTED="-941902768">\n{body}</HOST>\n'
    )


def node(name: str, vms: Value = "", *, tn: object = 5, ip: str = "", without: str = "", **more: Value) -> str:
    """A physical host of 8 cores and 16 GiB; ``more`` replaces or adds metrics, ``__`` standing for a dot."""
    metrics: dict[str, Value] = {
        "container.mem_total": 16 << 20,
        "container.cpu_num": 8,
        "container.type": "xen-4.17",
        "container.driver.migration": "ssh",
        "container.vms": vms,
    } | {key.replace("__", "."): value for key, value in more.items()}
    metrics.pop(without, None)
    return host(name, metrics, tn=tn, ip=ip)


def vm(name: str, *, tn: object = 5, ip: str = "", without: str = "", **more: Value) -> str:
    """A VM of 2 CPUs and 1 GiB that uses a quarter of its CPUs."""
    metrics: dict[str, Value] = {
        "mem_total": 1 << 20, "cpu_num": 2, "cpu_user": 20.0, "cpu_nice": 0.0, "cpu_system": 5.0,
    } | more  # fmt: skip
    metrics.pop(without, None)
    return host(name, metrics, tn=tn, ip=ip)


def document(*hosts: str, cluster: str = "prod", grid: str = "") -> bytes:
    body = f'<CLUSTER NAME="{cluster}" LOCALTIME="1795329267" OWNER="" LATLONG="" URL="">\n{"".join(hosts)}</CLUSTER>\n'
    if grid:
        body = f'<GRID NAME="{grid}" AUTHORITY="http://localhost/ganglia/" LOCALTIME="1795329320">\n{body}</GRID>\n'
    return f'{HEAD}<GANGLIA_XML VERSION="3.7.2" SOURCE="gmond">\n{body}</GANGLIA_XML>\n'.encode("latin-1")


def look(*hosts: str, memory: Memory | None = None, known: Mapping[str, VM] | None = None, **settings: object) -> Observation:
    """What the adapter makes of these hosts; ``known`` is the journal."""
    wanted = NodeFilter(GangliaSettings.read(settings))
    return assemble(parse_dump(document(*hosts)), wanted, Memory() if memory is None else memory, (known or {}).get)
