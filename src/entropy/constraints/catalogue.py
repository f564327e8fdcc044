"""Which rules the planner keeps, and how each is reduced to primitives: one small function a rule, one explicit table.

A rule that is not in the table is refused by name; none is ever ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from entropy.model import rules
from entropy.model.errors import InputError
from entropy.problem.draft import Draft, Zones, soft_weight
from entropy.problem.problem import State

__all__ = ["OFFERED", "WEIGHED", "compile_rule"]

Translation = Callable[[Any, Draft, str], None]


def _state(state: State) -> Translation:
    def translate(rule: Any, draft: Draft, path: str) -> None:
        draft.want(draft.vms(rule.vms, f"{path}.vms"), state)

    return translate


def _switch(online: bool) -> Translation:
    def translate(rule: Any, draft: Draft, path: str) -> None:
        draft.switch(draft.nodes(rule.nodes, f"{path}.nodes"), online)

    return translate


def _domain(only: bool) -> Translation:
    def translate(rule: rules.Fence | rules.Ban, draft: Draft, path: str) -> None:
        vms, nodes = draft.vms(rule.vms, f"{path}.vms"), draft.nodes(rule.nodes, f"{path}.nodes")
        if not nodes:  # the selector has warned: the rule is void
            return
        if rule.soft:
            draft.prefer(vms, nodes, only=only, weight=_weight(rule), source=_name(rule))
        else:
            draft.allow(vms, nodes, only=only, continuous=rule.continuous)

    return translate


def _root(rule: rules.Root, draft: Draft, path: str) -> None:
    draft.pin(draft.vms(rule.vms, f"{path}.vms"), _name(rule))


def _quarantine(rule: rules.Quarantine, draft: Draft, path: str) -> None:
    draft.close(draft.nodes(rule.nodes, f"{path}.nodes"), _name(rule))


def _spread(rule: rules.Spread, draft: Draft, path: str) -> None:
    vms = draft.vms(rule.vms, f"{path}.vms")
    _check_label(rule.across, draft, path)
    draft.at_most(vms, rule.across, rule.max, continuous=rule.continuous, source=_name(rule), weight=_weight(rule))


def _gather(rule: rules.Gather, draft: Draft, path: str) -> None:
    vms = draft.vms(rule.vms, f"{path}.vms")
    _check_label(rule.across, draft, path)
    _together(rule, draft, [vms], draft.zones_as_groups(rule.across))


def _among(rule: rules.Among, draft: Draft, path: str) -> None:
    vms = draft.vms(rule.vms, f"{path}.vms")
    _together(rule, draft, [vms], draft.groups_as_zones(rule.groups, f"{path}.groups"))


def _split_among(rule: rules.SplitAmong, draft: Draft, path: str) -> None:
    parties = [draft.vms(group, f"{path}.vmGroups[{k}]") for k, group in enumerate(rule.vm_groups)]
    _together(rule, draft, parties, draft.groups_as_zones(rule.groups, f"{path}.groups"))


def _together(rule: rules.Gather | rules.Among | rules.SplitAmong, draft: Draft, parties: list[list[int]], zones: Zones) -> None:
    """Groups that hold no node at all make the rule void."""
    if len(zones[1]):
        apart = isinstance(rule, rules.SplitAmong)
        draft.together(parties, zones, apart=apart, continuous=rule.continuous, source=_name(rule), weight=_weight(rule))


def _lonely(rule: rules.Lonely, draft: Draft, path: str) -> None:
    vms = draft.vms(rule.vms, f"{path}.vms")
    if vms:
        draft.disjoint([vms], rest=True, continuous=rule.continuous, source=_name(rule), weight=_weight(rule))


def _split(rule: rules.Split, draft: Draft, path: str) -> None:
    groups = [draft.vms(group, f"{path}.groups[{k}]") for k, group in enumerate(rule.groups)]
    draft.disjoint(groups, rest=False, continuous=rule.continuous, source=_name(rule), weight=_weight(rule))


def _capacity(rule: rules.RunningCapacity | rules.ResourceCapacity, draft: Draft, path: str) -> None:
    nodes = draft.nodes(rule.nodes, f"{path}.nodes")
    resource = rule.resource if isinstance(rule, rules.ResourceCapacity) else ""
    draft.set_limit(nodes, resource, rule.max, continuous=rule.continuous, source=_name(rule), weight=_weight(rule))


def _check_label(across: str, draft: Draft, path: str) -> None:
    if across != "node" and not any(across in node.labels for node in draft.cluster.nodes):
        draft.selector.warnings.append(f"{path}.across: no node has the label {across!r}, so that each is a zone of its own")


def _preserve(rule: rules.Preserve, draft: Draft, path: str) -> None:
    draft.at_least(draft.vms(rule.vms, f"{path}.vms"), rule.resource, rule.amount)


def _overbook(rule: rules.Overbook, draft: Draft, path: str) -> None:
    draft.overcommit(draft.nodes(rule.nodes, f"{path}.nodes"), rule.resource, rule.ratio)


_TABLE: Mapping[str, Translation] = {
    "running": _state(State.RUNNING),
    "sleeping": _state(State.SLEEPING),
    "ready": _state(State.READY),
    "killed": _state(State.READY),
    "online": _switch(True),
    "offline": _switch(False),
    "fence": _domain(only=True),
    "ban": _domain(only=False),
    "root": _root,
    "quarantine": _quarantine,
    "spread": _spread,
    "gather": _gather,
    "lonely": _lonely,
    "split": _split,
    "among": _among,
    "splitAmong": _split_among,
    "runningCapacity": _capacity,
    "resourceCapacity": _capacity,
    "preserve": _preserve,
    "overbook": _overbook,
}
OFFERED = tuple(_TABLE)
"""The rules that the planner keeps in this version."""
WEIGHED = frozenset(("fence", "ban", "spread", "gather", "lonely", "split", "among", "splitAmong", "runningCapacity", "resourceCapacity"))
"""The rules that may be soft: their violation at the end is weighed; on the way they are not asked for."""


def compile_rule(rule: rules.Rule, draft: Draft, path: str) -> None:
    """Write what ``rule`` asks into ``draft``.  ``path`` is its place in the Policy, for messages.

    Raises ``InputError`` for a rule that this version's planner does not offer.
    """
    kind: str = rule.type  # type: ignore[attr-defined]
    if rule.soft and kind not in WEIGHED:
        draft.selector.warnings.append(f"{path}: the soft rule {_name(rule)} is not weighed by this version; it may be broken")
        return
    translation = _TABLE.get(kind)
    if translation is None:
        raise InputError(f"is {kind}, which this version cannot plan for", path=f"{path}.type", accepted=", ".join(OFFERED))
    translation(rule, draft, path)


def _weight(rule: rules.Rule) -> int:
    """0 for a hard rule."""
    return soft_weight(rule.weight) if rule.soft else 0


def _name(rule: rules.Rule) -> str:
    return f'"{rule.name}"' if rule.name else str(rule.type)  # type: ignore[attr-defined]
