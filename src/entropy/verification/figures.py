"""The summary of a plan, recomputed: what it counts is true, what it calls a bound is one, what it calls optimal may be."""

from __future__ import annotations

from collections.abc import Iterator

from entropy.verification.case import Case
from entropy.verification.violation import Violation, amount

__all__ = ["check_figures"]

_SLACK = 1e-3
_MEMORY_SLACK = 1.0
"""MiB: what rounding in the document may cost over thousands of VMs."""


def check_figures(case: Case) -> Iterator[Violation]:
    """Only the figures that the summary states."""
    summary = case.plan.summary
    if summary is None:
        return
    replay, running_on = case.replay, case.cluster.running_on
    moved = 0.0
    for told, actions in zip(replay.told.values(), replay.story.values(), strict=True):
        times = sum([a.type in ("migrate", "suspend", "resume") for a in actions])
        moved += times * case.demand_of(told.vm).get("memory", 0.0)
    kept = {node for node in running_on if replay.staying(node)}
    before, after = len(running_on), len(kept.union(told.node for told in replay.told.values() if told.state == "running"))
    if summary.nodes is not None:
        for key, said, true in (("before", summary.nodes.before, before), ("after", summary.nodes.after, after)):
            if said != true:
                yield _wrong(f"nodes.{key}", f"says {said}, but {true} nodes run a VM {'at first' if key == 'before' else 'at the end'}")
    if summary.moved_memory is not None and abs(summary.moved_memory.value - moved) > _MEMORY_SLACK:
        yield _wrong("movedMemory.value", f"says {amount(summary.moved_memory.value)} MiB, but the actions move {amount(moved)} MiB")
    goals: list[tuple[str, float, float | None]] = []
    if summary.moved_memory is not None:
        goals.append(("movedMemory", moved, summary.moved_memory.lower_bound))
    if summary.nodes is not None and summary.objective == "consolidate" and not _by_power(case):
        goals.append(("nodes", after, summary.nodes.lower_bound))
    for goal, value, bound in goals:
        if bound is None:
            continue
        if bound > value + _SLACK:
            yield _wrong(f"{goal}.lowerBound", f"is {amount(bound)}, above the value {amount(value)} that the plan reaches: no bound")
        elif bound < value - _SLACK and _claims_proof(case):
            why = f"the value {amount(value)} is above the bound {amount(bound)}, so nothing is proven"
            yield Violation("figures", goal, f"the plan calls itself optimal, but for {goal} {why}")


def _by_power(case: Case) -> bool:
    """Where every node states its power, consolidate counts watts, not nodes."""
    return all(node.power is not None for node in case.cluster.nodes)


def _claims_proof(case: Case) -> bool:
    objective = case.plan.summary.objective if case.plan.summary else None
    ours = case.plan.status == "optimal" and objective in ("repair", "consolidate") and case.target is None
    return ours and not any(rule.soft for rule in case.policy.constraints)


def _wrong(figure: str, why: str) -> Violation:
    return Violation("figures", figure, f"summary.{figure} {why}")
