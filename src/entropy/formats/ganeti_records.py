"""The lines of a Ganeti text file (htools' ``-t``) as records, each read as htools reads it; see its manual page, *Text data file*.

Five sections divided by single empty lines (an empty section still takes its empty line): groups, nodes, instances, cluster tags,
instance policies; the last may be missing.  Cells are divided by ``|``; later versions added columns at the end, and what follows
the known ones is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from entropy.formats.lines import Line, decoded
from entropy.model.errors import InputError
from entropy.model.values import A_NAME, MOST, is_name
from entropy.model.words import some

__all__ = ["ALLOCATION", "Group", "GroupPolicy", "Instance", "Row", "NodeRecord", "Sections", "read_sections"]

ALLOCATION = ("preferred", "last_resort", "unallocable")
_TEMPLATES = ("diskless", "file", "sharedfile", "plain", "blockdev", "drbd", "rbd", "ext", "gluster")
_STATUSES = (
    "running", "ADMIN_down", "ADMIN_offline", "ERROR_up", "ERROR_down", "ERROR_nodedown", "ERROR_nodeoffline", "ERROR_wrongnode",
    "USER_down",
)  # fmt: skip
_GROUP, _NODE = (
    "name|uuid|allocation policy|tags|networks",
    "name|total memory|node's memory|free memory|total disk|free disk|cpus|Y, N or M|group uuid|...",
)
_INSTANCE = "name|memory|disk|vcpus|status|auto balance|primary|secondary|disk template|tags|..."
_POLICY = "group or nothing|standard|minimum;maximum|disk templates|vcpu ratio|spindle ratio"


@dataclass(frozen=True, slots=True)
class Row(Line):
    """A line of cells."""

    def cells(self, kind: str, least: int, accepted: str) -> list[str]:
        """The cells, at least ``least``."""
        cells = self.text.split("|")
        if len(cells) < least:
            self.refuse(f"{kind} has at least {least} columns, this line has {len(cells)}", accepted)
        return cells

    def name(self, text: str, kind: str) -> str:
        """``text`` if it can be a name."""
        if not is_name(text):
            self.refuse(f"{text!r} is no name of {kind}", A_NAME)
        return text

    def one_of(self, text: str, what: str, accepted: Sequence[str]) -> str:
        """``text`` if it is one of ``accepted``."""
        if text not in accepted:
            self.refuse(f"{what} is {text!r}", ", ".join(accepted))
        return text


@dataclass(frozen=True)
class Sections:
    """The lines of the five sections."""

    groups: list[Row]
    nodes: list[Row]
    instances: list[Row]
    tags: list[Row]
    policies: list[Row]


def read_sections(raw: bytes, where: str) -> Sections:
    """Divide the file at its empty lines.  Raises ``InputError``."""
    found: list[list[Row]] = [[]]
    lines = decoded(raw, where, "a Ganeti text file").removesuffix("\n").split("\n")
    for number, content in enumerate(lines, start=1):
        content = content.rstrip("\r")
        if content:
            found[-1].append(Row(where, number, content))
        elif len(found) < 5:
            found.append([])
        elif number < len(lines) and any(line.strip() for line in lines[number:]):
            raise InputError("begins a sixth section", where=f"{where}:{number}", accepted="5 sections, divided by single empty lines")
    if len(found) < 4:
        raise InputError(
            f"is divided into {len(found)} section{'s' if len(found) > 1 else ''}",
            where=where,
            accepted="4 or 5: groups, nodes, instances, cluster tags, policies, divided by single empty lines; an empty one keeps its line",
        )
    groups, nodes, instances, tags, policies = (*found, []) if len(found) == 4 else found
    return Sections(groups, nodes, instances, tags, policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node group."""

    line: Row
    name: str
    uuid: str
    allocation: str
    more: bool
    """Are there tags or networks?"""

    @classmethod
    def read(cls, line: Row) -> Group:
        """Raises ``InputError``."""
        name, uuid, allocation, *more = line.cells("a group", 4, _GROUP)
        return cls(
            line=line,
            name=line.name(name, "a group"),
            uuid=uuid,
            allocation=line.one_of(allocation, "the allocation policy", ALLOCATION),
            more=any(more),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node.  Memory and disk in MiB; ``own_cpus`` are the vCPUs of the node's own system.  ``known`` is false where a cell is ``?``."""

    line: Row
    name: str
    group: str
    offline: bool
    master: bool
    known: bool
    memory: float = 0.0
    own_memory: float = 0.0
    free_memory: float = 0.0
    disk: float = 0.0
    free_disk: float = 0.0
    cpus: float = 0.0
    own_cpus: float = 0.0
    cpu_speed: float = 1.0
    spindles: str = ""
    exclusive: bool = False
    tags: tuple[str, ...] = ()

    @classmethod
    def read(cls, line: Row) -> NodeRecord:
        """Raises ``InputError``."""
        cells = line.cells("a node", 9, _NODE)
        name, memory, own, free, disk, free_disk, cpus, role, group = cells[:9]
        spindles, tags, exclusive, _, own_cpus, speed = (*cells[9:15], *("", "", "N", "", "0", "1")[len(cells[9:15]) :])
        line.name(name, "a node")
        line.one_of(role, "the role", ("Y", "N", "M"))
        if "?" in (memory, own, free, disk, free_disk, cpus):
            return cls(line=line, name=name, group=group, offline=True, master=role == "M", known=False, tags=_tags(tags))
        return cls(
            line=line,
            name=name,
            group=group,
            offline=role == "Y",
            master=role == "M",
            known=True,
            memory=line.amount(memory, "the total memory"),
            own_memory=line.amount(own, "the node's own memory"),
            free_memory=line.amount(free, "the free memory", -MOST),
            disk=line.amount(disk, "the total disk"),
            free_disk=line.amount(free_disk, "the free disk", -MOST),
            cpus=line.amount(cpus, "the number of cpus"),
            own_cpus=line.amount(own_cpus, "the number of vCPUs of the node's own system"),
            cpu_speed=line.amount(speed, "the speed of the cpus"),
            spindles=spindles,
            exclusive=line.one_of(exclusive, "exclusive storage", ("Y", "N")) == "Y",
            tags=_tags(tags),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance.  Memory and disk in MiB; ``secondary`` is empty if there is none."""

    line: Row
    name: str
    memory: float
    disk: float
    vcpus: float
    status: str
    balanced: bool
    primary: str
    secondary: str
    template: str
    tags: tuple[str, ...]
    forthcoming: bool

    @property
    def local(self) -> bool:
        """Do its disks lie on its nodes?"""
        return self.template in ("drbd", "plain", "file")

    @property
    def runs(self) -> bool:
        """Does it run where the file says?"""
        return self.status in ("running", "ERROR_up") and not self.forthcoming

    @classmethod
    def read(cls, line: Row) -> Instance:
        """Raises ``InputError``."""
        cells = line.cells("an instance", 10, _INSTANCE)
        name, memory, disk, vcpus, status, balanced, primary, secondary, template, tags = cells[:10]
        forthcoming = cells[12] if len(cells) > 12 else "N"
        return cls(
            line=line,
            name=line.name(name, "an instance"),
            memory=line.amount(memory, "the memory"),
            disk=line.amount(disk, "the disk"),
            vcpus=line.amount(vcpus, "the number of vCPUs"),
            status=line.one_of(status, "the status", _STATUSES),
            balanced=line.one_of(balanced, "auto balance", ("Y", "N")) == "Y",
            primary=primary,
            secondary=secondary,
            template=line.one_of(template, "the disk template", _TEMPLATES),
            tags=_tags(tags),
            forthcoming=line.one_of(forthcoming, "forthcoming", ("Y", "N")) == "Y",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPolicy:
    """Of an instance policy: whose (empty: the cluster's), and how many vCPUs a physical one may carry."""

    line: Row
    owner: str
    vcpu_ratio: float

    @classmethod
    def read(cls, line: Row, groups: Iterable[str]) -> GroupPolicy:
        """Raises ``InputError``."""
        owner, _, _, _, ratio, *_ = line.cells("an instance policy", 6, _POLICY)
        if owner and owner not in groups:
            line.refuse(f"{owner!r} is no group of this file", some(groups))
        value = line.amount(ratio, "the vCPU ratio")
        if value == 0:
            line.refuse("the vCPU ratio is 0", "a number above 0")
        return cls(line=line, owner=owner, vcpu_ratio=value)


def _tags(cell: str) -> tuple[str, ...]:
    return tuple(_nonempty(cell.split(",")))


def _nonempty(texts: Iterable[str]) -> Iterator[str]:
    return (text for text in texts if text)
