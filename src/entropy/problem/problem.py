"""A cluster and a policy as NumPy arrays over few primitives: capacity, domain, state, held, and one class for each kind of rule.

Amounts are integers: each resource has a scale (see ``scaling``) chosen so that every amount of the documents is exact
wherever it has at most six decimals.  Index k of a VM or node is its position in the Cluster document.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from entropy.model.cluster import Cluster

__all__ = [
    "Bools",
    "Disjoint",
    "GroupLimit",
    "Indices",
    "Integers",
    "Preference",
    "Problem",
    "SOFT_SCALE",
    "SetLimit",
    "State",
    "Together",
    "Unsatisfied",
    "UsageLimit",
    "positions",
]

Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


SOFT_SCALE = 1000
"""Weights of soft rules are thousandths of the documents' weights; so is every soft violation."""


def positions(mask: npt.NDArray[np.bool_] | np.bool_) -> Indices:
    """Indices at which ``mask`` is true, int32."""
    return np.flatnonzero(mask).astype(np.int32)


class State(IntEnum):
    """A VM's state in the arrays."""

    READY = 0
    RUNNING = 1
    SLEEPING = 2


@dataclass(frozen=True, kw_only=True)
class GroupLimit:
    """Primitive: at most ``most`` running VMs of ``members`` in one zone.

    ``members`` are VM indices; ``zone_of[n]`` is the zone (0..zones-1) of node n.  ``continuous``: at every instant of a
    plan, hops inside one zone not counted twice; otherwise at the end only.  ``source`` names the rule for messages.
    ``weight``: 0 for a hard limit; a soft one costs so much for each VM above it.
    """

    members: Indices
    zone_of: Indices
    zones: int
    most: int
    continuous: bool
    source: str
    weight: int = 0


@dataclass(frozen=True, kw_only=True)
class Together:
    """Primitive: all running VMs of ``members`` in one zone.

    Zone k is the nodes ``zone_nodes[zone_start[k]:zone_start[k + 1]]``; zones may overlap, and nodes may be in none.  Groups of one
    ``family`` (0 or more) choose different zones.  Soft (``weight`` above 0): costs so much for each VM outside the best zone.
    """

    members: Indices
    zone_start: Indices
    zone_nodes: Indices
    continuous: bool
    source: str
    family: int = -1
    weight: int = 0


@dataclass(frozen=True, kw_only=True)
class Disjoint:
    """Primitive: no node runs VMs of two classes.

    ``class_of[v]`` is the class of VM v, -1 when the rule does not concern it.  Soft: costs ``weight`` for each node shared, once for
    every class beyond the first.
    """

    class_of: Indices
    continuous: bool
    source: str
    weight: int = 0


@dataclass(frozen=True, kw_only=True)
class SetLimit:
    """Primitive: the VMs that run on ``nodes`` add up to at most ``most`` of ``amount`` int64[V].  Soft: costs ``weight`` a unit above.

    For messages: ``amount`` is ``scale`` times the documents' demand of ``resource``, or 1 a VM where that is "".
    """

    nodes: Indices
    amount: Integers
    most: int
    continuous: bool
    source: str
    weight: int = 0
    resource: str = ""
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class UsageLimit:
    """Primitive: at most ``most`` of ``nodes`` run a VM at the end.  Soft: costs ``weight`` for each node above."""

    nodes: Indices
    most: int
    source: str
    weight: int = 0


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Primitive, soft domain: each of ``members`` that ends outside the nodes ``mask`` bool[N] costs ``weight``."""

    members: Indices
    mask: Bools
    source: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class Unsatisfied:
    """Something that cannot be had, and that best effort leaves as it is: a sentence, and the ``node`` or ``vm`` that it concerns."""

    text: str
    node: int = -1
    vm: int = -1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What to place, where it may go, and what it takes.  R resources, N nodes, V VMs, D distinct domains.

    ``cluster`` is for names in messages; a part of a problem has none.

    capacity      int64[N, R]  limit of each node: capacity x overcommit, rules applied (memory is resource ``memory``)
    demand        int64[V, R]  what a VM must be given, rules applied
    consumption   int64[V, R]  what it uses now on the node where it was observed
    weight        int64[V]     cost of one move: its demand of memory, in the scale of memory
    state, goal   int8[V]      ``State`` now and at the end
    host          int32[V]     node where it runs or its image lies now, -1 when ready
    domain_of     int32[V]     row of ``domains`` that says where it may run at the end
    path_of       int32[V]     row of ``domains`` that says where it may newly run at any instant (continuous rules)
    domains       bool[D, N]
    migratable    bool[V]      may be live-migrated, or suspended and resumed, on the way
    held          bool[V]      must stay where it is (not migratable, rooted, untouchable node, cool-down), whatever its domain
    may_stay      bool[V]      no rule, maintenance or shutdown drives it off the node where it is
    online, power bool[N]      online now, and at the end
    maintenance   bool[N]      nothing runs there at the end
    untouchable   bool[N]      nothing enters, leaves or is switched
    offered       float64[N, R] each node's limit in the documents' units, unrounded: for messages
    contradictions             rules that ask two things of one VM or node
    """

    cluster: Cluster
    resources: tuple[str, ...]
    scale: npt.NDArray[np.float64]
    offered: npt.NDArray[np.float64]
    capacity: Integers
    demand: Integers
    consumption: Integers
    weight: Integers
    state: npt.NDArray[np.int8]
    goal: npt.NDArray[np.int8]
    host: Indices
    domain_of: Indices
    path_of: Indices
    domains: Bools
    migratable: Bools
    held: Bools
    may_stay: Bools
    online: Bools
    power: Bools
    maintenance: Bools
    untouchable: Bools
    limits: tuple[GroupLimit, ...] = ()
    together: tuple[Together, ...] = ()
    disjoint: tuple[Disjoint, ...] = ()
    set_limits: tuple[SetLimit, ...] = ()
    usage_limits: tuple[UsageLimit, ...] = ()
    preferences: tuple[Preference, ...] = ()
    allow_suspend: bool = False
    unsatisfied: tuple[Unsatisfied, ...] = ()
    contradictions: tuple[Unsatisfied, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def n_nodes(self) -> int:
        """N."""
        return int(self.capacity.shape[0])

    @property
    def n_vms(self) -> int:
        """V."""
        return len(self.state)

    @property
    def has_soft(self) -> bool:
        """Is there a soft rule?"""
        rules = (*self.limits, *self.together, *self.disjoint, *self.set_limits, *self.usage_limits)
        return bool(self.preferences) or any(r.weight for r in rules)  # type: ignore[attr-defined]

    def node_name(self, n: SupportsIndex) -> str:
        """Name of node index ``n``."""
        return self.cluster.nodes[n].name

    def vm_name(self, v: SupportsIndex) -> str:
        """Name of VM index ``v``."""
        return self.cluster.vms[v].name

    def runs_at_end(self) -> Bools:
        """bool[V]: the VMs that must be placed."""
        return np.asarray(self.goal == State.RUNNING)
