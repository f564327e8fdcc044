"""Groups that are together at every instant: whoever migrates counts at both ends, so such a group never leaves the zone it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from entropy.model.errors import InputError
from entropy.problem.matching import all_different
from entropy.problem.problem import Bools, Indices, Integers, State, Together

__all__ = ["confined_to_now", "counts", "kept_apart_now", "only_zone", "weights_in_zones", "zones_that_hold"]


def zones_that_hold(group: Together, hosts: Indices, n_nodes: int) -> Bools:
    """bool[Z]: the zones that hold all of ``hosts``."""
    return np.asarray(counts(group, hosts, n_nodes) == len(hosts))


def counts(group: Together, hosts: Indices, n_nodes: int) -> Integers:
    """int64[Z]: how many of ``hosts`` are in each zone."""
    return weights_in_zones(group, hosts, np.ones(len(hosts), dtype=np.int64), n_nodes)


def weights_in_zones(group: Together, hosts: Indices, weight: Integers, n_nodes: int) -> Integers:
    """int64[Z]: the sum of ``weight`` over those of ``hosts`` that are in each zone."""
    there = np.zeros(n_nodes, dtype=np.int64)
    np.add.at(there, hosts, weight)
    total = np.concatenate(([0], np.cumsum(there[group.zone_nodes])))
    return np.asarray(total[group.zone_start[1:]] - total[group.zone_start[:-1]])


def confined_to_now(group: Together, host: Indices, state: npt.NDArray[np.int8], goal: npt.NDArray[np.int8], n_nodes: int) -> Together:
    """``group`` with only those zones (the others empty) that hold all of its VMs that run now, if it is continuous and kept now.

    Raises ``InputError`` where none of these runs on and others start: they could do so elsewhere, once the last one has ended.
    """
    now = group.members[state[group.members] == State.RUNNING]
    if not group.continuous or not len(now):
        return group
    if not (goal[now] == State.RUNNING).any() and (goal[group.members] == State.RUNNING).any():
        raise InputError(
            f"rule {group.source}: continuous: true is not offered by this version where others replace all VMs of a group that run",
            accepted="continuous: false",
        )
    kept = zones_that_hold(group, host[now], n_nodes)
    if not kept.any():
        return group
    sizes = np.diff(group.zone_start)
    start = np.concatenate(([0], np.cumsum(np.where(kept, sizes, 0)))).astype(np.int32)
    return replace(group, zone_start=start, zone_nodes=group.zone_nodes[np.repeat(kept, sizes)])


def kept_apart_now(groups: Sequence[Together], family: int, host: Indices, state: npt.NDArray[np.int8], n_nodes: int) -> bool:
    """Are the running VMs of each group of ``family`` in one zone, and those zones different?"""
    choices = []
    for group in groups:
        now = group.members[state[group.members] == State.RUNNING]
        if group.family == family and len(now):
            choices.append(zones_that_hold(group, host[now], n_nodes))
    return all_different(choices)


def only_zone(group: Together) -> bool:
    """Is there one zone left that has nodes?"""
    return int(np.count_nonzero(np.diff(group.zone_start))) == 1
