"""Reads clusters of the VM rescheduling data set: hosts with NUMA nodes, VMs, and sets of VMs that keep apart.

NUMA nodes are summed: a host offers the cpus and huge pages of all of them together.  A host that is not active takes part as an offline
node; a VM that may not migrate is not migratable; a deployment set of granularity ``host`` is a spread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import AnyRule, Spread

__all__ = ["read"]


def read(path: Path) -> Iterator[tuple[Cluster, Policy]]:
    """Each cluster of the file with its policy; raises ``ValueError`` for a granularity other than ``host``."""
    for found in json.loads(path.read_text())["cluster_list"]:
        nodes = tuple(_node(host) for host in found["host_info"])
        vms = tuple(_vm(vm) for vm in found["vm_instance"])
        yield Cluster(name=found["cluster_name"], nodes=nodes, vms=vms), Policy(objective="consolidate", constraints=_rules(found, vms))


def _node(host: dict[str, Any]) -> Node:
    return Node(
        name=host["node_id"],
        state="online" if host["status"] == "ACTIVE" else "offline",
        capacity={
            "cpu": float(sum(part["total_cpu"] for part in host["numa"])),
            "memory": float(sum(part["memory_huge_total_mb"] for part in host["numa"])),
        },
        labels={"rack": str(host["rack_id"])},
    )


def _vm(vm: dict[str, Any]) -> VM:
    return VM(
        name=vm["instance_id"],
        node=vm["host_id"],
        demand={"cpu": float(sum(part["cpu"] for part in vm["numa"])), "memory": float(sum(part["mem_mb"] for part in vm["numa"]))},
        migratable=bool(vm["allow_migration"]),
    )


def _rules(found: dict[str, Any], vms: tuple[VM, ...]) -> tuple[AnyRule, ...]:
    here, rules = {vm.name for vm in vms}, list[AnyRule]()
    for group in found["other_requirement"]["deployment_set"]:
        if group["granularity"] != "host":
            raise ValueError(f"granularity {group['granularity']!r}; only 'host' is known")
        members = tuple(name for name in group["data"] if name in here)
        if len(members) > 1:
            rules.append(Spread(vms=members))
    return tuple(rules)
