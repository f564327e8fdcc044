"""What is wrong with a cluster at first sight, in an operator's words."""

from __future__ import annotations

from entropy.model.cluster import Cluster

__all__ = ["ailments", "nodes_in_use"]

_NOISE = 1e-6  # sums of floats


def ailments(cluster: Cluster) -> tuple[str, ...]:
    """One phrase per node that is overloaded, by demand, or in maintenance and not empty; the worst overload first.

    ``cluster`` has the amounts of the policy applied (``effective``).
    """
    overloaded: list[tuple[float, str]] = []
    leaving: list[str] = []
    for node in cluster.nodes:
        vms = cluster.running_on.get(node.name, ())
        for resource in cluster.resources:
            load, limit = sum(vm.demand.get(resource, 0.0) for vm in vms), node.limit(resource)
            if load > limit + _NOISE * max(1.0, limit):
                share = load / limit if limit else float("inf")
                figure = f"{resource} {_percent(share)}" if limit else f"{resource}: none offered"
                overloaded.append((-share, f"{node.name} is overloaded ({figure})"))
        if node.maintenance and vms:
            leaving.append(f"{node.name} is in maintenance and runs {len(vms)} VM{'s' if len(vms) > 1 else ''}")
    return (*(text for _, text in sorted(overloaded)), *leaving)


def nodes_in_use(cluster: Cluster) -> int:
    """How many nodes run at least one VM."""
    return len(cluster.running_on)


def _percent(share: float) -> str:
    """At most three digits, and never ``100 %`` for something above it."""
    text = f"{share * 100:.0f}" if share >= 1.01 else f"{share * 100:.4g}"
    return f"{text} %" if text != "100" else "just above 100 %"
