"""Ganeti's text files, as htools reads them (``ganeti``): groups, nodes and instances become a Cluster, exclusion tags rules.

* A node offers its memory less its own system's and less what nothing in the file accounts for (htools does not offer that
  either), the disk that is free or that the instances running on it have there, and its cpus, times the vCPU ratio of its
  group's policy (the overcommit, less the vCPUs of its own system).  ``M`` marks the master, an online node; ``Y`` an offline one.
* An instance demands its memory, its vCPUs and, if its disks are local (drbd, plain, file), its disk.  It runs, or waits
  (stopped, forthcoming).  One said to run on an offline node is left out with a warning: whether it still does, nobody knows.
* Instances of the same exclusion tag are spread over nodes; with several groups of nodes, each instance stays in its own.

Everything else is kept as a label or named in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from entropy.formats.ganeti_records import ALLOCATION, Group, GroupPolicy, Instance, NodeRecord, Row, Sections, read_sections
from entropy.formats.lines import by_name
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Fence, Spread
from entropy.model.values import Selection, is_name
from entropy.model.words import some

__all__ = ["looks_like", "parse"]

_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?[^|\n{]+\|[^|\n]*\|(?:%s)\|" % "|".join(ALLOCATION).encode())
_EXCLUSION = "htools:iextags:"
_VCPU_RATIO = 4.0
"""Ganeti's own default."""
_MISSING_MEMORY, _MISSING_DISK = 512, 1024
"""MiB that a node may miss before htools, and so we, speak of it."""
_LABEL_LENGTH = 1024


def looks_like(raw: bytes) -> bool:
    """Is this such a file, whole or not?  Told by its first line, a group with its allocation policy."""
    return _HEADER.match(raw) is not None


def parse(raw: bytes, *, where: str = "-") -> tuple[Cluster, Policy | None, tuple[str, ...]]:
    """The cluster, its rules if there are any, and one sentence for each kind of thing that is not taken over.

    Raises ``InputError`` with file, line number and the line.
    """
    sections = read_sections(raw, where)
    file = _File(sections)
    cluster = Cluster(nodes=tuple(file.cluster_nodes()), vms=tuple(file.cluster_vms()))
    constraints = (*file.group_rules(cluster), *file.exclusion_rules(cluster))
    warnings = tuple(f"{where}: {text}" for text in file.warnings())
    return cluster, Policy(constraints=constraints) if constraints else None, warnings


class _File:
    """The records of one file, and what they mean together."""

    def __init__(self, sections: Sections) -> None:
        self.groups = by_name(sections.groups, Group.read, "group")
        self.by_uuid = {group.uuid: group for group in self.groups.values()}
        self.nodes = by_name(sections.nodes, NodeRecord.read, "node")
        for node in self.nodes.values():
            if node.group not in self.by_uuid:
                node.line.refuse(f"{node.group!r} is no group of this file", f"a uuid: {some(self.by_uuid)}")
        self.instances = by_name(sections.instances, Instance.read, "instance")
        for instance in self.instances.values():
            self._check_nodes(instance)
        self.tags = [line.text.strip() for line in sections.tags if "|" not in line.text]
        self.strays = [line for line in sections.tags if "|" in line.text]
        policies = [GroupPolicy.read(line, self.groups) for line in sections.policies]
        self.ratios = {policy.owner: policy.vcpu_ratio for policy in policies}
        self.kept = [i for i in self.instances.values() if not self._lost(i)]
        self.running: dict[str, list[Instance]] = {}
        for instance in self.kept:
            if instance.runs:
                self.running.setdefault(instance.primary, []).append(instance)

    def _check_nodes(self, instance: Instance) -> None:
        for what, node in (("primary", instance.primary), ("secondary", instance.secondary)):
            if node not in self.nodes and (node or what == "primary"):
                instance.line.refuse(f"the {what} node of {instance.name}, {node!r}, is no node of this file", some(self.nodes))
        if instance.primary == instance.secondary:
            instance.line.refuse(f"{instance.name} has {instance.primary} as primary and secondary node", "two nodes")

    def _lost(self, instance: Instance) -> bool:
        """Is it said to run, and not known where?"""
        if instance.status in ("ERROR_wrongnode", "ERROR_nodedown", "ERROR_nodeoffline"):
            return True
        return instance.runs and self.nodes[instance.primary].offline

    # -- nodes -----------------------------------------------------------------------------------------------------

    def cluster_nodes(self) -> Iterator[Node]:
        for node in self.nodes.values():
            here = self.running.get(node.name, ())
            overcommit = self._overcommit(node)
            yield Node(
                name=node.name,
                state="offline" if node.offline else "online",
                capacity={
                    "cpu": node.cpus if overcommit > 0 else 0.0,
                    "memory": max(0.0, node.memory - node.own_memory - max(0.0, self._missing_memory(node))),
                    "disk": max(0.0, node.free_disk) + sum(i.disk for i in here if i.local),
                },
                overcommit={"cpu": overcommit} if overcommit not in (0.0, 1.0) else {},
                labels=self._node_labels(node),
            )

    def _overcommit(self, node: NodeRecord) -> float:
        """The vCPU ratio of the node's group, less what the node's own system takes; 0: no vCPU is left."""
        ratio = self.ratios.get(self.by_uuid[node.group].name, self.ratios.get("", _VCPU_RATIO))
        return max(0.0, ratio - node.own_cpus / node.cpus) if node.cpus else ratio

    def _missing_memory(self, node: NodeRecord) -> float:
        """MiB that are neither free, nor the node's own, nor a running instance's; negative if more is free than there can be.

        None of an offline node, whose instances are not known.
        """
        if node.offline:
            return 0.0
        return node.memory - node.own_memory - node.free_memory - sum(i.memory for i in self.running.get(node.name, ()))

    def _node_labels(self, node: NodeRecord) -> Mapping[str, str]:
        group = self.by_uuid[node.group]
        own = {
            "group": group.name,
            "allocation": group.allocation if group.allocation != "preferred" else "",
            "role": "master" if node.master else "",
            "cpuSpeed": f"{node.cpu_speed:g}" if node.cpu_speed != 1 else "",
            "spindles": node.spindles if node.exclusive else "",
        }
        return _labels(node.tags, own, node.line)

    # -- instances -------------------------------------------------------------------------------------------------

    def cluster_vms(self) -> Iterator[VM]:
        for instance in self.kept:
            demand = {"cpu": instance.vcpus, "memory": instance.memory}
            own = {
                "group": self.by_uuid[self.nodes[instance.primary].group].name,
                "diskTemplate": instance.template,
                "primary": "" if instance.runs else instance.primary,
                "secondary": instance.secondary,
                "status": instance.status if instance.status != "running" else "",
                "autoBalance": "" if instance.balanced else "no",
                "forthcoming": "yes" if instance.forthcoming else "",
            }
            yield VM(
                name=instance.name,
                state="running" if instance.runs else "ready",
                node=instance.primary if instance.runs else None,
                demand=demand | {"disk": instance.disk} if instance.local else demand,
                labels=_labels(instance.tags, own, instance.line),
                migratable=instance.template not in ("plain", "file"),
            )

    # -- rules -----------------------------------------------------------------------------------------------------

    def group_rules(self, cluster: Cluster) -> Iterator[AnyRule]:
        """With nodes in several groups: an instance does not leave its group, as Ganeti would have to copy it."""
        if len({node.group for node in self.nodes.values()}) < 2:
            return
        for group in self.groups:
            vms = tuple(vm.name for vm in cluster.vms if vm.labels["group"] == group)
            nodes = tuple(node.name for node in cluster.nodes if node.labels["group"] == group)
            if vms:
                yield Fence(name=f"group {group}"[:255], vms=_selection("group", group, vms), nodes=_selection("group", group, nodes))

    def exclusion_rules(self, cluster: Cluster) -> Iterator[AnyRule]:
        """Instances that share an exclusion tag do not share a node."""
        prefixes = tuple(f"{tag.removeprefix(_EXCLUSION)}:" for tag in self.tags if tag.startswith(_EXCLUSION))
        tagged: dict[str, list[str]] = {}
        for vm in cluster.vms:
            for tag in self.instances[vm.name].tags:
                if prefixes and tag.startswith(prefixes):
                    tagged.setdefault(tag, []).append(vm.name)
        for tag, vms in tagged.items():
            if len(vms) > 1:
                yield Spread(name=tag[:255], vms=tuple(vms))

    # -- what is not taken over --------------------------------------------------------------------------------------

    def warnings(self) -> Iterator[str]:
        online = [node for node in self.nodes.values() if not node.offline]
        lost = [f"{i.name} ({i.primary})" for i in self.instances.values() if self._lost(i)]
        if lost:
            yield f"instances on offline, dead or wrong nodes are left out, as nobody knows where they run: {some(lost)}"
        if len(masters := [node.name for node in online if node.master]) > 1:
            yield f"more than one node is marked as the master: {some(masters)}"
        if missing := list(self._missing(online)):
            yield f"nodes miss resources that nothing in the file uses and that are not offered: {some(missing)}"
        if self.strays:
            lines = some([str(line.number) for line in self.strays])
            yield (
                f"what stands among the cluster tags as a policy is not read, as htools does not (an empty line is missing): line {lines}; "
                f"vCPU ratio {_VCPU_RATIO:g}"
            )
        if self.ratios:
            yield "of the instance policies only the vCPU ratio is kept; sizes, disk templates and spindle ratios are not"
        if other := [tag for tag in self.tags if not tag.startswith(_EXCLUSION)]:
            yield f"cluster tags that are not expressed as rules (the tags of nodes and instances are labels): {some(other)}"
        if more := [group.name for group in self.groups.values() if group.more]:
            yield f"the tags and networks of groups are not kept: {some(more)}"
        if drbd := [i.name for i in self.kept if i.template == "drbd" and i.runs]:
            yield (
                "before an instance with drbd disks moves to another node than its secondary (label secondary), its disk has to be "
                f"replaced there: {some(drbd)}"
            )
        if exclusive := [node.name for node in online if node.exclusive]:
            yield f"exclusive storage: its spindles are kept as a label and not planned with: {some(exclusive)}"

    def _missing(self, online: Iterable[NodeRecord]) -> Iterator[str]:
        disks: dict[str, float] = {}
        for instance in self.instances.values():
            if instance.local and not instance.forthcoming:
                for node in (instance.primary, instance.secondary):
                    disks[node] = disks.get(node, 0.0) + instance.disk
        for record in online:
            memory, disk = self._missing_memory(record), record.disk - record.free_disk - disks.get(record.name, 0.0)
            if memory > _MISSING_MEMORY or disk > _MISSING_DISK:
                yield f"{record.name} ({max(0.0, memory):.0f} MiB memory, {max(0.0, disk):.0f} MiB disk)"


def _labels(tags: Iterable[str], own: Mapping[str, str], line: Row) -> Mapping[str, str]:
    """``own`` where not empty; all tags as ``tags``; each tag ``prefix:value`` as a label too, several values joined by ``+``."""
    labels: dict[str, str] = {}
    for tag in tags:
        prefix, colon, value = tag.partition(":")
        if colon and is_name(prefix):
            labels[prefix] = f"{labels[prefix]}+{value}" if prefix in labels else value
    labels |= {key: value for key, value in {**own, "tags": ",".join(tags)}.items() if value}
    for value in labels.values():
        if len(value) > _LABEL_LENGTH:
            line.refuse("the tags are too long to be a label", f"at most {_LABEL_LENGTH} characters")
    return labels


def _selection(label: str, value: str, names: tuple[str, ...]) -> Selection:
    """A selector, unless the value holds what divides one."""
    return names if re.search(r"[,=!]", value) else f"{label}={value}"
