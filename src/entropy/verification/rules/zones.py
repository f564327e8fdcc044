"""Zones: a node, or all nodes with one value of a label."""

from __future__ import annotations

from collections.abc import Callable

from entropy.model.cluster import Cluster

__all__ = ["zones_across"]


def zones_across(cluster: Cluster, across: str) -> Callable[[str], str]:
    """Node name -> its zone, in the words of messages; a node without the label is a zone of its own."""
    if across == "node":
        return lambda node: node
    zone = {n.name: f"{across}={n.labels[across]}" if across in n.labels else f"node {n.name} (no {across})" for n in cluster.nodes}
    return zone.__getitem__
