"""A cluster with the rules that change amounts written into it: ``preserve`` and ``overbook``.

Planning applies these rules itself; the control loop needs the same figures to see an overload or to keep a headroom.
Applying them twice changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.model.rules import Overbook, Preserve
from entropy.model.selectors import Selector

__all__ = ["effective"]


def effective(cluster: Cluster, policy: Policy) -> Cluster:
    """``cluster`` with raised demands (consumption stays) and overcommits as ``policy`` says, lenient with lost names."""
    selector = Selector(cluster, lenient=True)
    nodes, vms = dict(cluster.node_by_name), dict(cluster.vm_by_name)
    for rule in policy.constraints:
        if rule.soft:
            continue
        if isinstance(rule, Overbook):
            for found in selector.nodes(rule.nodes):
                node = nodes[found.name]
                nodes[node.name] = replace(node, overcommit={**node.overcommit, rule.resource: rule.ratio})
        elif isinstance(rule, Preserve):
            for machine in selector.vms(rule.vms):
                vm = vms[machine.name]
                if rule.amount > vm.demand.get(rule.resource, 0.0):
                    used = vm.used(rule.resource)
                    vms[vm.name] = replace(
                        vm,
                        demand={**vm.demand, rule.resource: rule.amount},
                        consumption={**vm.consumption, rule.resource: used},
                    )
    if nodes == cluster.node_by_name and vms == cluster.vm_by_name:
        return cluster
    return replace(cluster, nodes=tuple(nodes.values()), vms=tuple(vms.values()))
