"""From what Ganglia says to a Cluster: who is a node, who is a VM, where it is, and what cannot be believed.

The rules, and why they are the safe ones:

* A VM that a node names and nobody reports may be of any size: the node is ``untouchable`` for this round (nothing enters,
  leaves or switches it).  The VM is in the Cluster only if its last demand is known, and then not ``migratable``.
* A VM that two nodes name is under way.  It stays, not ``migratable``, where it was seen last (else on the first of the two
  in order of name), and every other node that names it is untouchable: it may hold that memory already.  Running beats
  sleeping, since only a running VM uses a node.
* A sleeping VM uses nothing where its image lies.  One whose demand nobody remembers is left out; its node stays usable.
* A host that has gone silent is an offline node; what it last said about its VMs is not believed.
* A list that may be out of date or incomplete makes its node untouchable; what it names is still counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from entropy.model.cluster import VM, Cluster, Node, VMState
from entropy.model.words import some
from entropy.platforms.base import Observation
from entropy.platforms.ganglia.lists import VMList, join
from entropy.platforms.ganglia.memory import Memory, Seen
from entropy.platforms.ganglia.metrics import Container, Figures, read_container, read_figures
from entropy.platforms.ganglia.settings import NodeFilter
from entropy.platforms.ganglia.xml import Dump, Host

__all__ = ["assemble"]

UNREPORTED = "it runs {}, which nobody reports (wanted: a host of that name with mem_total and cpu_num)"
SILENT = "the monitors of {} on it are silent; counted as last known"
CONTESTED = "{}, named by another node too (a migration under way?)"
WRONG = "its VM list holds {}, which cannot be names"

_REASON = 1024


@dataclass
class _Sentences:
    """Findings of one kind are one sentence: template -> the names it speaks of, in order."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, template: str, name: str) -> None:
        self.found.setdefault(template, []).append(name)

    def __iter__(self) -> Iterator[str]:
        return iter([template.replace("{}", some(names)) for template, names in self.found.items()])


@dataclass
class _Place:
    """An online node as it is being put together."""

    container: Container
    vms: VMList
    wanted: bool
    doubts: _Sentences = field(default_factory=_Sentences)


def assemble(dump: Dump, wanted: NodeFilter, memory: Memory, recall: Callable[[str], VM | None]) -> Observation:
    """One look at the cluster.  ``memory`` is asked for what was seen earlier, and told what is seen now."""
    return _Assembly(dump, wanted, memory, recall).observation()


class _Assembly:
    def __init__(self, dump: Dump, wanted: NodeFilter, memory: Memory, recall: Callable[[str], VM | None]) -> None:
        self.dump, self.wanted, self.memory, self.recall = dump, wanted, memory, recall
        self.notes = _Sentences()
        self.monitors: dict[str, list[Host]] = {}
        self.places: dict[str, _Place] = {}
        self.offline: dict[str, Node] = {}

    def observation(self) -> Observation:
        self._sort_hosts()
        for name in self.wanted.missing({*self.places, *self.offline}):
            self.notes.add(f"the {self.wanted.kind} names {{}}, which no host of Ganglia is called", name)
        vms = self._vms()
        nodes = [self._node(place) for place in self.places.values() if place.wanted] + list(self.offline.values())
        if not nodes:
            self.notes.add("no {} found: start entropy-ganglia-agent on the physical hosts", "node")
        left_alone = [f"{node.name} is left alone: {node.untouchable}" for node in nodes if node.untouchable]
        cluster = Cluster(
            name=self._name(),
            observed_at=_instant(self.dump.localtime),
            nodes=tuple(sorted(nodes, key=lambda node: node.name)),
            vms=tuple(vms),
        )
        return Observation(cluster=cluster, warnings=(*sorted(left_alone), *self.notes))

    # -- hosts --------------------------------------------------------------------------------------------------------

    def _sort_hosts(self) -> None:
        """Containers apart from those that may be VMs; hosts of one name come together, the freshest first."""
        containers: dict[str, list[tuple[Host, Container]]] = {}
        for host in sorted(self.dump.hosts, key=lambda host: (host.name, host.silent, host.tn, host.cluster, host.ip)):
            read = read_container(host)
            if isinstance(read, Container):
                if _is_name(host.name):
                    containers.setdefault(host.name, []).append((host, read))
                else:
                    self.notes.add("hosts whose names cannot be used are left out: {}", repr(host.name[:60]))
                continue
            self.monitors.setdefault(host.name, []).append(host)
            if read and self.wanted(host.name) and not host.silent:
                self.notes.add("no node is made of {}", f"{host.name}, which {read}")
        for name, found in containers.items():
            self._place(name, found)

    def _place(self, name: str, found: list[tuple[Host, Container]]) -> None:
        host, container = found[0]
        wanted = self.wanted(name)
        if host.silent:
            if wanted:
                self._offline(host, container)
            return
        lists = [self._list(other) for other, _ in found if not other.silent]
        place = _Place(container, lists[0], wanted)
        if len(lists) > 1:
            twins = " and ".join(sorted({other.cluster or other.ip for other, _ in found if not other.silent}))
            place.vms = VMList(*(tuple(dict.fromkeys(w for part in lists for w in getattr(part, key))) for key in VMList.__slots__))
            place.doubts.add(f"{len(lists)} hosts report under this name ({twins})", "")
        for doubt in place.vms.doubts:
            place.doubts.add(doubt, "")
        for metric in container.expired:
            place.doubts.add("{} is out of date", metric)
        for word in place.vms.wrong:
            place.doubts.add(WRONG, repr(word))
        self.places[name] = place

    def _list(self, host: Host) -> VMList:
        return join(host.metrics, none_is_empty="none" not in self.monitors)

    def _offline(self, host: Host, container: Container) -> None:
        named = self._list(host)
        lost = [*named.running, *(f"({name})" for name in named.sleeping)]
        what = f"{host.name}, silent for {host.tn:.0f} s, is taken as offline"
        self.notes.add(f"{what}; its VMs are left out: {some(lost)}" if lost else what, "")
        self.offline[host.name] = Node(name=host.name, state="offline", capacity=_capacity(container), labels=container.labels)

    def _node(self, place: _Place) -> Node:
        container = place.container
        reason = "; ".join(place.doubts)
        return Node(
            name=container.name,
            capacity=_capacity(container),
            labels=container.labels,
            untouchable=reason if len(reason) <= _REASON else reason[: _REASON - 3] + "...",
        )

    def _name(self) -> str:
        if self.dump.grid not in ("", "unspecified"):
            return self.dump.grid[:255]
        clusters = {place.container.labels.get("ganglia.cluster", "") for place in self.places.values()}
        return "+".join(sorted(clusters - {""}))[:255]

    # -- VMs ----------------------------------------------------------------------------------------------------------

    def _vms(self) -> list[VM]:
        running, sleeping = self._claims("running"), self._claims("sleeping")
        found = []
        for name in sorted(running.keys() | sleeping.keys()):
            vm = self._vm(name, running.get(name, ()), sleeping.get(name, ()))
            if vm is not None:
                found.append(vm)
        for name in self.memory.names():
            if name not in running and name not in sleeping and self._still_reports(name):
                self.notes.add("left out, since no online node names them, though they still report: {}", name)
        return found

    def _claims(self, kind: VMState) -> dict[str, list[str]]:
        """VM -> the nodes that name it so, in order of name; unmanaged nodes too, for a VM may be on its way from there."""
        found: dict[str, list[str]] = {}
        for node, place in self.places.items():
            for vm in getattr(place.vms, kind):
                found.setdefault(vm, []).append(node)
        return found

    def _vm(self, name: str, running: Sequence[str], sleeping: Sequence[str]) -> VM | None:
        state: VMState = "running" if running else "sleeping"
        homes, named = running or sleeping, sorted({*running, *sleeping})
        homes = [home for home in homes if not self.places[home].vms.doubts] or homes
        seen = self._seen(name)
        home = seen.node if len(homes) > 1 and seen and seen.node in homes else homes[0]
        settled = len(named) == 1 and not (running and sleeping)
        if home in running and home in sleeping:
            self.notes.add("named as running and as asleep by one node, and counted as running: {}", name)
        for other in named:
            if other != home:
                self.places[other].doubts.add(CONTESTED, f"{name} (kept on {home})")
        place = self.places[home]
        figures = self._figures(name)
        if state == "running" and (figures is None or not figures.current):
            place.doubts.add(SILENT if figures or seen else UNREPORTED, name)
            settled = False
        demand = self._demand(name, state, figures, seen)
        if not place.wanted:
            return None
        if demand is None:
            if state == "sleeping":
                self.notes.add("asleep, of a size that nobody remembers, and left out: {}", name)
            return None
        labels = self._labels(name, figures, seen)
        self.memory.store(name, Seen(home, demand, labels) if settled or seen is None else Seen(seen.node, demand, labels))
        return VM(name=name, state=state, node=home, demand=demand, labels=labels, migratable=settled)

    def _seen(self, name: str) -> Seen | None:
        found = self.memory.get(name)
        if found is None and (vm := self.recall(name)) is not None:
            found = Seen(vm.node or "", vm.demand, vm.labels)
        return found

    def _demand(self, name: str, state: VMState, figures: Figures | None, seen: Seen | None) -> Mapping[str, float] | None:
        if figures is None:
            return seen.demand if seen else None
        cpu = figures.cpu
        if cpu is None:
            cpu = min(seen.demand.get("cpu", figures.vcpus), figures.vcpus) if seen else float(figures.vcpus)
            if state == "running" and figures.current:
                self.notes.add("no cpu_user, cpu_nice and cpu_system of now for {}: counted as last known, else all its CPUs", name)
        elif figures.absurd and figures.current:
            self.notes.add("counted with all its CPUs for a value that cannot be: {}", f"{name} ({figures.absurd})")
        return {"cpu": cpu, "memory": figures.memory}

    def _figures(self, name: str) -> Figures | None:
        """What a VM's monitors say: the freshest counts; of several that are alive, the larger figures."""
        read = [figures for host in self.monitors.get(name, ()) if (figures := read_figures(host)) is not None]
        alive = [figures for figures in read if figures.current]
        if len(alive) < 2:
            return next(iter(alive or read), None)
        if len({(figures.memory, figures.vcpus) for figures in alive}) > 1:
            self.notes.add("several hosts report as {}: the larger figures count", name)
        loads = [figures.cpu for figures in alive if figures.cpu is not None]
        largest = max(alive, key=lambda figures: (figures.memory, figures.vcpus))
        vcpus = max(figures.vcpus for figures in alive)
        return Figures(largest.memory, vcpus, max(loads) if loads else None, current=True, absurd=largest.absurd)

    @staticmethod
    def _labels(name: str, figures: Figures | None, seen: Seen | None) -> Mapping[str, str]:
        if figures is None:
            return seen.labels if seen else {}
        return {"cpus": str(figures.vcpus)}

    def _still_reports(self, name: str) -> bool:
        return any(host.tn <= host.tmax for host in self.monitors.get(name, ()))


def _capacity(container: Container) -> dict[str, float]:
    return {"cpu": container.cpu, "memory": container.memory}


def _instant(localtime: float) -> datetime | None:
    """Unix seconds as a time; ``None`` where the XML has none that can be."""
    return datetime.fromtimestamp(localtime, timezone.utc) if 0 < localtime < 4e9 else None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 255 and text.isprintable()
