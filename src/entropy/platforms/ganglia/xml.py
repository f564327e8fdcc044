"""Ganglia's XML as it streams in: hosts and the metrics that matter, nothing else is kept.

The parser is expat itself, event by event, because a dump of 30,000 hosts is 300 MiB of which few are of interest.  What
defusedxml forbids is forbidden here too: entity declarations (an entity bomb ends at its first line), external subsets
and external entities.  Ganglia's own inline DTD is accepted.  Depth and length of a tag are limited, so memory is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, NoReturn
from xml.parsers import expat  # guarded as defusedxml does, see above

from entropy.model.errors import PlatformError
from entropy.platforms.ganglia.skim import Skimmer

__all__ = ["Dump", "DumpParser", "Host", "Metric", "parse_dump"]

WANTED = frozenset({"mem_total", "cpu_num", "cpu_user", "cpu_nice", "cpu_system", "cpu_speed"})
OURS = "container."
TAGS = frozenset({"GRID", "CLUSTER", "HOST", "METRIC", "EXTRA_DATA", "EXTRA_ELEMENT", "HOSTS", "METRICS"})

MAX_DEPTH = 64
MAX_PIECE = 256 << 10
"""Bytes without the start of a tag that counts.  Ganglia's DTD takes 4 KiB, a tag 2 KiB at most."""
_DEFAULT_TMAX = 20.0
_CUT_OFF = tuple(
    expat.errors.codes[text]
    for text in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN, expat.errors.XML_ERROR_PARTIAL_CHAR)
)
"""What expat says of a document that ends too early; anything else that shows with its last piece was wrong in itself."""
_NOT_GANGLIA = "Ganglia's XML holds GANGLIA_XML, GRID, CLUSTER, HOST, METRIC; point at gmetad (port 8651) or gmond (8649)"


class Metric(NamedTuple):
    """A metric's text; seconds since it was reported, between reports at most, and to live (0: for ever)."""

    value: str
    tn: float
    tmax: float
    dmax: float

    @property
    def expired(self) -> bool:
        """Its publisher said that it is worth nothing by now; gmond goes on serving it."""
        return 0 < self.dmax < self.tn

    @property
    def stale(self) -> bool:
        """Not reported for four times the longest time between reports."""
        return 0 < 4 * self.tmax <= self.tn


@dataclass(slots=True)
class Host:
    """One HOST.  ``tn``, ``tmax``: seconds since its last packet, and between packets at most."""

    name: str
    ip: str
    cluster: str
    tn: float
    tmax: float
    metrics: dict[str, Metric] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        """Offline, as Ganglia itself has it: nothing heard for four times the longest time between packets."""
        return self.tn >= 4 * self.tmax


@dataclass(slots=True)
class Dump:
    """What one answer held.  ``localtime`` is Unix seconds of the newest part, 0 if unknown."""

    grid: str = ""
    localtime: float = 0.0
    hosts: list[Host] = field(default_factory=list)


class DumpParser:
    """Fed with pieces of the XML, gives the ``Dump`` on ``close``.  ``source`` names it in errors.

    Both raise ``PlatformError``: not well-formed (where, and the likely trap), truncated, no Ganglia XML, or a document
    that tries to harm.
    """

    def __init__(self, source: str = "Ganglia") -> None:
        self.source, self.dump = source, Dump()
        self._cluster, self._metric, self._depth = "", "", 0
        self._host: Host | None = None
        self._metrics: dict[str, Metric] = {}
        self._fed = self._tags = self._idle = 0
        self._skimmer = Skimmer(WANTED, OURS)
        self._extra = self._rooted = False
        self._parser = expat.ParserCreate()
        self._parser.specified_attributes = True  # or a long default of the DTD would be copied for each tag
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._on_start = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._entity
        self._parser.ExternalEntityRefHandler = self._entity

    def feed(self, data: bytes) -> None:
        """The next piece, of any size; some tens of KiB keep the guards quick."""
        tags = self._tags
        skimmed = self._skimmer.feed(data)
        self._parse(skimmed, final=False)
        self._fed += len(skimmed)
        # Skipped data and one endless tag give no events: nothing but the distance since the last one bounds them.
        self._idle = 0 if self._tags != tags else self._idle + len(skimmed)
        if max(self._idle, self._fed - self._parser.CurrentByteIndex) > MAX_PIECE:
            self._refuse(f"holds a single piece of more than {MAX_PIECE >> 10} KiB", "that is no Ganglia daemon, or a damaged one")

    def close(self) -> Dump:
        """Everything that was read."""
        rest = self._skimmer.close()
        if not self._fed and not rest:
            self._refuse(
                "is empty",
                "gmetad closes the connection at once when this machine is not among its trusted_hosts; gmond when its "
                "tcp_accept_channel has an acl that denies it",
            )
        self._parse(rest, final=True)
        return self.dump

    # -- events -------------------------------------------------------------------------------------------------------

    def _start(self, tag: str, attributes: Sequence[str]) -> None:
        self._tags += 1
        self._depth += 1
        if not self._rooted:
            self._root(tag)
        elif tag == "METRIC":
            name = attributes[1] if attributes and attributes[0] == "NAME" else _table(attributes).get("NAME", "")
            self._metric = name
            if name in WANTED or name.startswith(OURS):
                found = _table(attributes)
                self._metrics[name] = Metric(
                    found.get("VAL", ""), _seconds(found.get("TN")), _seconds(found.get("TMAX")), _seconds(found.get("DMAX"))
                )
        elif tag == "EXTRA_DATA":  # three of four tags are in there: pass over them
            self._extra = True
            self._parser.StartElementHandler = None
        elif tag == "HOST":
            found = _table(attributes)
            host = Host(
                found.get("NAME", ""), found.get("IP", ""), self._cluster,
                _seconds(found.get("TN")), _seconds(found.get("TMAX")) or _DEFAULT_TMAX,
            )  # fmt: skip
            self._metric, self._host, self._metrics = "", host, host.metrics
            self.dump.hosts.append(host)
        elif tag in ("GRID", "CLUSTER"):
            self._part(tag, _table(attributes))
        elif tag not in TAGS:
            self._refuse(f"holds a tag <{tag[:40]}>", _NOT_GANGLIA)
        if self._depth > MAX_DEPTH:
            self._refuse(f"is nested more than {MAX_DEPTH} deep", "that is no Ganglia daemon")

    def _root(self, tag: str) -> None:
        if tag != "GANGLIA_XML":
            self._refuse(f"begins with <{tag[:40]}>", _NOT_GANGLIA)
        self._rooted = True

    def _part(self, tag: str, found: dict[str, str]) -> None:
        name = found.get("NAME", "")
        if tag == "CLUSTER":
            self._cluster = name
        elif not self.dump.grid:
            self.dump.grid = name
        self.dump.localtime = max(self.dump.localtime, _seconds(found.get("LOCALTIME")))

    def _end(self, tag: str) -> None:
        if self._extra:
            if tag != "EXTRA_DATA":
                return
            self._extra = False
            self._parser.StartElementHandler = self._on_start
        self._depth -= 1

    def _doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        if system or public:
            self._refuse(f"asks for a DTD elsewhere ({(system or public or '')[:80]})", "Ganglia's DTD is inline; nothing is loaded")

    def _entity(self, *_: object) -> int:
        self._refuse("declares entities", "Ganglia never does; an attack on whoever reads it does")

    # -- errors -------------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as problem:
            place = f"line {problem.lineno}, column {problem.offset}{self._whereabouts()}"
            text = expat.ErrorString(problem.code)
            truncated = final and problem.code in _CUT_OFF
            if not (self._rooted or truncated):
                raise PlatformError(f"the answer of {self.source} is no XML ({place}: {text}): refused; {_NOT_GANGLIA}") from problem
            if truncated:
                raise PlatformError(
                    f"the XML of {self.source} is truncated: it ends at {place} ({text}). The answer was cut off (a daemon that "
                    "was stopped, a broken connection); nothing of it is used"
                ) from problem
            raise PlatformError(
                f"the XML of {self.source} is not well-formed at {place} ({text}); nothing of it is used. Usual causes: a string "
                "metric of more than about 900 bytes (a long container.vms; entropy-ganglia-agent splits it over "
                "container.vms.1, ...), or a value with <, & or letters beyond ASCII, which gmond and gmetad pass on broken"
            ) from problem
        except (UnicodeError, LookupError, ValueError) as problem:  # an encoding that expat cannot read
            raise PlatformError(f"the XML of {self.source} cannot be read: {problem}") from problem

    def _whereabouts(self) -> str:
        if self._host is None:
            return ""
        return f", in host {self._host.name[:80]}" + (f" at or after metric {self._metric[:80]}" if self._metric else "")

    def _refuse(self, what: str, why: str) -> NoReturn:
        raise PlatformError(f"the answer of {self.source} {what}: refused; {why}")


def parse_dump(data: bytes, source: str = "Ganglia") -> Dump:
    """A whole document at once.  Raises ``PlatformError``."""
    parser = DumpParser(source)
    for start in range(0, len(data), 1 << 16):
        parser.feed(data[start : start + (1 << 16)])
    return parser.close()


def _table(attributes: Sequence[str]) -> dict[str, str]:
    return dict(zip(attributes[::2], attributes[1::2], strict=True))


def _seconds(text: str | None) -> float:
    """A TN, TMAX or DMAX; absent is 0, unreadable counts as for ever ago, negative (a clock was set back) as now."""
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        return inf
    return value if value >= 0 else 0.0 if value < 0 else inf
