"""What an operator can ask: the statement of every rule of the contract, as plain data.

A statement says nothing of how it is kept; ``entropy.constraints`` gives each its meaning.  ``vms`` and ``nodes`` take a
selector or a list of names and selectors.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field

from entropy.model.values import DOCUMENT, Amount, Count, Flag, Name, Positive, Seconds, Selection

__all__ = [
    "RULE_TYPES", "AnyRule", "Rule", "Running", "Sleeping", "Ready", "Killed", "Online", "Offline", "Fence", "Ban", "Root",
    "Spread", "Gather", "Lonely", "Split", "Among", "SplitAmong", "Quarantine", "MaxOnline", "RunningCapacity", "ResourceCapacity",
    "Preserve", "Overbook", "NoDelay", "Sequence", "Serialize", "Sync", "Precedence", "Deadline",
]  # fmt: skip

Groups = tuple[Selection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Fields that every rule has: a name for messages, and whether it may be broken at the price of ``weight``."""

    __pydantic_config__ = DOCUMENT

    name: Annotated[str, Field(max_length=255)] = ""
    soft: Flag = False
    weight: Positive = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Rule):
    """The VMs run at the end."""

    type: Literal["running"] = "running"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeping(Rule):
    """The VMs are suspended at the end."""

    type: Literal["sleeping"] = "sleeping"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Rule):
    """The VMs are not started at the end."""

    type: Literal["ready"] = "ready"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed(Rule):
    """The VMs are stopped; they end ready."""

    type: Literal["killed"] = "killed"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Online(Rule):
    """The nodes are online at the end."""

    type: Literal["online"] = "online"
    nodes: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline(Rule):
    """The nodes are offline at the end."""

    type: Literal["offline"] = "offline"
    nodes: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence(Rule):
    """The VMs run only on these nodes."""

    type: Literal["fence"] = "fence"
    vms: Selection
    nodes: Selection
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban(Rule):
    """The VMs never run on these nodes."""

    type: Literal["ban"] = "ban"
    vms: Selection
    nodes: Selection
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Root(Rule):
    """Once running, the VMs do not change node later in the plan."""

    type: Literal["root"] = "root"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Rule):
    """At most ``max`` of the VMs run in one zone: a node, or all nodes with one value of the label ``across``."""

    type: Literal["spread"] = "spread"
    vms: Selection
    across: Name = "node"
    max: Annotated[int, Field(strict=True, ge=1)] = 1
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Rule):
    """All of the VMs that run are in one zone."""

    type: Literal["gather"] = "gather"
    vms: Selection
    across: Name = "node"
    continuous: Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lonely(Rule):
    """The VMs' nodes run nobody else."""

    type: Literal["lonely"] = "lonely"
    vms: Selection
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Rule):
    """No node runs VMs of two of the groups."""

    type: Literal["split"] = "split"
    groups: Groups
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Among(Rule):
    """All of the VMs that run are within one of the groups of nodes."""

    type: Literal["among"] = "among"
    vms: Selection
    groups: Groups
    continuous: Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAmong(Rule):
    """Each group of VMs is within one group of nodes, no two in the same."""

    type: Literal["splitAmong"] = "splitAmong"
    vm_groups: Annotated[Groups, Field(alias="vmGroups")]
    groups: Groups
    continuous: Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine(Rule):
    """No VM starts, resumes, or migrates in or out of the nodes."""

    type: Literal["quarantine"] = "quarantine"
    nodes: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxOnline(Rule):
    """At most ``max`` of the nodes are online."""

    type: Literal["maxOnline"] = "maxOnline"
    nodes: Selection = "*"
    max: Count
    continuous: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCapacity(Rule):
    """At most ``max`` VMs run on the nodes in total."""

    type: Literal["runningCapacity"] = "runningCapacity"
    nodes: Selection
    max: Count
    continuous: Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceCapacity(Rule):
    """The demand of ``resource`` of the VMs on the nodes is at most ``max`` in total."""

    type: Literal["resourceCapacity"] = "resourceCapacity"
    nodes: Selection
    resource: Name
    max: Amount
    continuous: Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preserve(Rule):
    """Each VM is given at least ``amount``: its demand becomes max(demand, amount), its consumption stays."""

    type: Literal["preserve"] = "preserve"
    vms: Selection
    resource: Name
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Overbook(Rule):
    """Sets the nodes' overcommit of ``resource``."""

    type: Literal["overbook"] = "overbook"
    nodes: Selection
    resource: Name
    ratio: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDelay(Rule):
    """The VMs' first action waits for nothing."""

    type: Literal["noDelay"] = "noDelay"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(Rule):
    """The VMs' actions run one after another, in this order."""

    type: Literal["sequence"] = "sequence"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Serialize(Rule):
    """The VMs' actions never overlap."""

    type: Literal["serialize"] = "serialize"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Rule):
    """The VMs' last actions end together (forecast)."""

    type: Literal["sync"] = "sync"
    vms: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence(Rule):
    """Every action of the first VMs ends before any of the second starts."""

    type: Literal["precedence"] = "precedence"
    before: Selection
    after: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline(Rule):
    """The VMs' actions end within so many seconds of the plan's start (forecast)."""

    type: Literal["deadline"] = "deadline"
    vms: Selection
    seconds: Seconds


AnyRule = Annotated[
    Running | Sleeping | Ready | Killed | Online | Offline | Fence | Ban | Root | Spread | Gather | Lonely | Split | Among
    | SplitAmong | Quarantine | MaxOnline | RunningCapacity | ResourceCapacity | Preserve | Overbook | NoDelay | Sequence
    | Serialize | Sync | Precedence | Deadline,
    Field(discriminator="type"),
]  # fmt: skip

RULE_TYPES: tuple[str, ...] = tuple(dict.fromkeys(str(f.default) for cls in Rule.__subclasses__() for f in fields(cls) if f.name == "type"))
"""The names of all rules, in the order of the contract."""
