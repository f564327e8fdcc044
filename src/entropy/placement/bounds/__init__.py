"""Proven bounds, each with its argument; none is ever copied from a value."""

from entropy.placement.bounds.covering import must_leave
from entropy.placement.bounds.moved import kept_weight, moved_bound
from entropy.placement.bounds.nodes import node_bound, usable_nodes
from entropy.placement.goals import observed_hosts

__all__ = ["kept_weight", "moved_bound", "must_leave", "node_bound", "observed_hosts", "usable_nodes"]
