"""Entropy's plain-text configurations, as versions 1 and 2 read and wrote them (``entropy-text``), both ways.

Three sections, each begun by its comment line::

    #list of nodes
    N1 2 4000 4096
    #list of VMs
    VM1 1 1000->2000 1024
    #initial configuration
    N1 VM1 (VM2)
    (N2)
    FARM VM3

A node is ``name cpus cpu memory``; a VM ``name cpus cpu memory [vjob]``, where a value may be ``current->demand``.  In the
last section ``(VM2)`` sleeps, ``(N2)`` is offline, and the VMs of ``FARM`` wait to be started.  Numbers are copied unchanged
into ``cpu`` and ``memory``, whatever unit the file has them in; the number of CPUs and any further column are kept as labels
(``cpus``, ``vjob``, ``column6``, ...), never as a capacity.  Reading ends at ``#end of configuration`` or
``#Reconfiguration Plan``, so the source of a plan in the original's logs can be read from the plan's own file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from entropy.formats.lines import Line, by_name, decoded
from entropy.model.cluster import VM, Cluster, Node, VMState
from entropy.model.errors import InputError
from entropy.model.words import some

__all__ = ["dump", "looks_like", "parse"]

_NODES, _VMS, _CONFIGURATION = "#list of nodes", "#list of VMs", "#initial configuration"
_ENDS = ("#end of configuration", "#Reconfiguration")
_FARM = "FARM"
_HEADER = re.compile(rb"^(#list of nodes|#list of VMs|#initial configuration)", re.MULTILINE)
_NODE_COLUMNS = "name cpus cpu memory"
_VM_COLUMNS = "name cpus cpu memory, cpu and memory as a number or current->demand"


def looks_like(raw: bytes) -> bool:
    """Is this text of this format, whole or not?  Told by a section's comment line near the beginning."""
    return _HEADER.search(raw[:65536]) is not None


def parse(raw: bytes, *, where: str = "-") -> tuple[Cluster, tuple[str, ...]]:
    """The cluster, and one sentence for each group of things that the file lists without saying where they are.

    Raises ``InputError`` with file, line number and the line.
    """
    sections = _sections(raw, where)
    nodes = by_name(sections[_NODES], _node, "node")
    vms = by_name(sections[_VMS], _vm, "VM")
    places = _Places(nodes, vms)
    for line in sections[_CONFIGURATION]:
        places.read(line)
    return places.cluster(), tuple(places.left_out(where))


def _sections(raw: bytes, where: str) -> Mapping[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    section: list[Line] | None = None
    for number, content in enumerate(decoded(raw, where, "a plain-text configuration").splitlines(), start=1):
        content = content.strip()
        line = Line(where, number, content)
        if content.startswith(_ENDS):
            break
        header = next((name for name in (_NODES, _VMS, _CONFIGURATION) if content.startswith(name)), None)
        if header is not None:
            section = found.setdefault(header, [])
        elif content and not content.startswith("#"):
            if section is None:
                line.refuse("stands before any section", f"{_NODES!r} first")
            section.append(line)
    for header in (_NODES, _VMS, _CONFIGURATION):
        if header not in found:
            raise InputError(f"has no section {header!r}", where=where, accepted=f"{_NODES}, {_VMS}, {_CONFIGURATION}")
    return found


# -- nodes and VMs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Declared:
    """A node or VM as the lists have it; where it is comes from the last section."""

    name: str
    line: Line
    demand: Mapping[str, float]  # of a node: its capacity
    consumption: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def _node(line: Line) -> _Declared:
    name, cpus, cpu, memory, *further = _columns(line, "node", _NODE_COLUMNS)
    capacity = {"cpu": line.amount(cpu, "the cpu"), "memory": line.amount(memory, "the memory")}
    return _Declared(name, line, capacity, labels=_labels(cpus, further, line, ()))


def _vm(line: Line) -> _Declared:
    name, cpus, cpu, memory, *further = _columns(line, "VM", _VM_COLUMNS)
    demand, consumption = {}, {}
    for resource, text in (("cpu", cpu), ("memory", memory)):
        current, arrow, wanted = text.partition("->")
        demand[resource] = line.amount(wanted if arrow else current, f"the {resource}")
        if arrow:
            consumption[resource] = line.amount(current, f"the {resource}")
    return _Declared(name, line, demand, consumption, _labels(cpus, further, line, ("vjob",)))


def _columns(line: Line, kind: str, accepted: str) -> list[str]:
    columns = line.text.split()
    if len(columns) < 4:
        line.refuse(f"a {kind} has at least 4 columns, this line has {len(columns)}", accepted)
    if trouble := _unwritable(columns[0]):
        line.refuse(f"{columns[0]!r} is no name of a {kind}: {trouble}")
    return columns


def _labels(cpus: str, further: list[str], line: Line, names: tuple[str, ...]) -> Mapping[str, str]:
    if not (cpus.isascii() and cpus.isdigit()):
        line.refuse(f"the number of CPUs {cpus!r} is no count", "a whole number")
    labels = {"cpus": cpus}
    for k, value in enumerate(further):
        labels[names[k] if k < len(names) else f"column{k + 5}"] = value
    return labels


def _unwritable(name: str) -> str:
    """Why ``name`` cannot stand in such a file, or nothing."""
    if name == _FARM:
        return "FARM stands for the VMs that wait"
    if name.startswith(("#", "(")) or name.endswith(")"):
        return "# begins a comment, parentheses mark what sleeps or is offline"
    if not name or len(name) > 255 or any(c.isspace() or ord(c) < 32 or ord(c) == 127 for c in name):
        return "white space and control characters divide names, and 255 characters are the most"
    return ""


# -- who is where -------------------------------------------------------------------------------------------------


class _Places:
    """Reads the last section line by line."""

    def __init__(self, nodes: Mapping[str, _Declared], vms: Mapping[str, _Declared]) -> None:
        self.nodes, self.vms = nodes, vms
        self.seen: dict[str, tuple[Line, bool]] = {}  # node -> its line, is it online
        self.place: dict[str, tuple[Line, VMState, str | None]] = {}

    def read(self, line: Line) -> None:
        head, *rest = line.text.split()
        if head == _FARM:
            for name in rest:
                if name.startswith("("):
                    line.refuse(f"{name} waits, so it has no image that sleeps", "a plain name behind FARM")
                self._put(name, line, "ready", None)
            return
        node, offline = _bare(head)
        if node not in self.nodes:
            line.refuse(f"{node!r} is no node of this file", some(self.nodes))
        if node in self.seen:
            line.refuse(f"node {node} has its line already: line {self.seen[node][0].number}", "one line a node")
        self.seen[node] = (line, not offline)
        for text in rest:
            name, sleeps = _bare(text)
            if offline and not sleeps:
                line.refuse(f"VM {name} runs on {node}, which is offline", f"({name}) if its image lies there, or an online node")
            self._put(name, line, "sleeping" if sleeps else "running", node)

    def _put(self, name: str, line: Line, state: VMState, node: str | None) -> None:
        if name not in self.vms:
            line.refuse(f"{name!r} is no VM of this file", some(self.vms))
        if name in self.place:
            first, _, other = self.place[name]
            line.refuse(f"VM {name} is on {node or _FARM} and, in line {first.number}, on {other or _FARM}", "one place a VM")
        self.place[name] = (line, state, node)

    def cluster(self) -> Cluster:
        nodes = tuple(
            Node(name=n.name, state="online" if self.seen[n.name][1] else "offline", capacity=n.demand, labels=n.labels)
            for n in self.nodes.values()
            if n.name in self.seen
        )
        vms = []
        for vm in self.vms.values():
            if vm.name in self.place:
                _, state, node = self.place[vm.name]
                vms.append(VM(name=vm.name, state=state, node=node, demand=vm.demand, consumption=vm.consumption, labels=vm.labels))
        return Cluster(nodes=nodes, vms=tuple(vms))

    def left_out(self, where: str) -> Iterator[str]:
        """What is listed and has no place is no part of the configuration (the original's rule): said, not kept quiet."""
        for kind, items, placed in (("nodes", self.nodes, set(self.seen)), ("VMs", self.vms, set(self.place))):
            if missing := [name for name in items if name not in placed]:
                yield (
                    f"{where}: {len(missing)} of the {len(items)} {kind} listed have no place under {_CONFIGURATION!r} "
                    f"and are left out: {some(missing)}"
                )


def _bare(text: str) -> tuple[str, bool]:
    """``(name)`` -> name, True; ``name`` -> name, False."""
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1], True
    return text, False


# -- writing ------------------------------------------------------------------------------------------------------


def dump(cluster: Cluster) -> tuple[bytes, tuple[str, ...]]:
    """The cluster's text, and one sentence for each kind of thing that the format has no place for.

    Raises ``InputError`` for what would be misread or would change what may run where: a name that the format cannot hold, a
    resource beyond cpu and memory that a VM demands.
    """
    _refuse_inexpressible(cluster)
    lines = [_NODES]
    for node in cluster.nodes:
        lines.append(" ".join((node.name, *_cells(node.labels, (_plain(node.limit("cpu")), _plain(node.limit("memory"))), ()))))
    lines.append(_VMS)
    for vm in cluster.vms:
        lines.append(" ".join((vm.name, *_cells(vm.labels, (_amount(vm, "cpu"), _amount(vm, "memory")), ("vjob",)))))
    lines.append(_CONFIGURATION)
    there: dict[str | None, list[str]] = {}
    for vm in cluster.vms:
        there.setdefault(vm.node, []).append(f"({vm.name})" if vm.state == "sleeping" else vm.name)
    for node in cluster.nodes:
        lines.append(" ".join((node.name if node.state == "online" else f"({node.name})", *there.get(node.name, ()))))
    lines.append(" ".join((_FARM, *there.get(None, ()))))
    lines.append(_ENDS[0])
    return ("\n".join(lines) + "\n").encode(), tuple(_losses(cluster))


def _amount(vm: VM, resource: str) -> str:
    now, wanted = _plain(vm.used(resource)), _plain(vm.demand.get(resource, 0.0))
    return wanted if now == wanted else f"{now}->{wanted}"


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _cells(labels: Mapping[str, str], amounts: tuple[str, str], names: tuple[str, ...]) -> Iterator[str]:
    """The columns behind a name: CPUs (1 when no label tells), amounts, and the labels that are columns."""
    kept = _columns_of(labels, names)
    yield labels["cpus"] if "cpus" in kept else "1"
    yield from amounts
    yield from (labels[key] for key in kept if key != "cpus")


def _columns_of(labels: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    """The labels that can be written: ``cpus`` if it is a count, then those that follow without a gap and hold one word."""
    keys = ["cpus"] if labels.get("cpus", "").isascii() and labels.get("cpus", "").isdigit() else []
    for k in range(len(labels)):
        key = names[k] if k < len(names) else f"column{k + 5}"
        if labels.get(key, "").split() != [labels.get(key)]:
            break
        keys.append(key)
    return keys


def _refuse_inexpressible(cluster: Cluster) -> None:
    named: tuple[tuple[str, Sequence[Node | VM]], ...] = (("nodes", cluster.nodes), ("vms", cluster.vms))
    for kind, items in named:
        for k, item in enumerate(items):
            if trouble := _unwritable(item.name):
                raise InputError(
                    f"the name {item.name!r} cannot be written as entropy-text: {trouble}",
                    path=f"{kind}[{k}].name",
                    accepted="a name without white space and parentheses",
                )
    for k, vm in enumerate(cluster.vms):
        for resource, amount in vm.demand.items():
            if resource not in ("cpu", "memory") and amount > 0:
                raise InputError(
                    f"entropy-text has no place for the resource {resource!r} that {vm.name} demands",
                    path=f"vms[{k}] ({vm.name}).demand",
                    accepted="cpu and memory",
                )


def _losses(cluster: Cluster) -> Iterator[str]:
    nodes, vms = cluster.nodes, cluster.vms
    offline = {n.name for n in nodes if n.state == "offline"}
    losses: tuple[tuple[str, list[str]], ...] = (
        ("labels are lost", [n.name for n in nodes if len(_columns_of(n.labels, ())) < len(n.labels)]),
        ("labels are lost", [v.name for v in vms if len(_columns_of(v.labels, ("vjob",))) < len(v.labels)]),
        ("maintenance is lost", [n.name for n in nodes if n.maintenance]),
        ("overcommit is written into the capacity", [n.name for n in nodes if n.overcommit]),
        ("figures of power are lost", [n.name for n in nodes if n.power is not None]),
        ("the note that the node is not to be touched is lost", [n.name for n in nodes if n.untouchable]),
        ("further resources are lost", [n.name for n in nodes if set(n.capacity) - {"cpu", "memory"}]),
        ("further resources are lost", [v.name for v in vms if (set(v.demand) | set(v.consumption)) - {"cpu", "memory"}]),
        ("'migratable: false' is lost", [v.name for v in vms if not v.migratable]),
        ("the migration profile is lost", [v.name for v in vms if v.migration is not None]),
        (
            "the original leaves an image on an offline node out",
            [v.name for v in vms if v.state == "sleeping" and v.node in offline],
        ),
        (
            "the original reads whole numbers only",
            [n.name for n in nodes if not _whole(n.limit("cpu"), n.limit("memory"))]
            + [v.name for v in vms if not _whole(*(f for r in ("cpu", "memory") for f in (v.demand.get(r, 0.0), v.used(r))))],
        ),
    )
    for what, names in losses:
        if names:
            yield f"{what}: {some(names)}"
    if cluster.name or cluster.observed_at:
        yield "the cluster's name and the time of observation are lost"


def _whole(*values: float) -> bool:
    return all(value.is_integer() for value in values)
