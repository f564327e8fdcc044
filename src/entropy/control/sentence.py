"""The one sentence: what the loop decided and why, made here for log, status and every other surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from entropy.model.amounts import count, memory, seconds, three_digits

if TYPE_CHECKING:
    from entropy.control.decision import Decision
    from entropy.model.cluster import Cluster
    from entropy.model.plan import Plan

__all__ = ["describe", "listed", "unreachable"]

_MOVES = ("migrate", "suspend", "resume")


def describe(decision: Decision, cluster: Cluster, number: int | None = None, *, dry_run: bool = False, limit: float = 0.0) -> str:
    """What was decided and why.  ``number``: the plan's, once the journal has given it; ``limit``: seconds given to planning."""
    match decision.kind:
        case "act":
            return _acting(decision, cluster, number, dry_run)
        case "stuck":
            return f"{_wrong(decision)} and cannot be mended: {_reason(decision.reasons)}{_also(decision)}"
        case "late":
            return f"{_wrong(decision)}; no plan was found within {seconds(limit)}. Trying again."
        case "refused":
            return f"The plan did not pass verification and is not executed: {_reason(decision.reasons)}"
        case "keep":
            return f"{_watching(decision, cluster)}{_not_worth(decision, cluster)}"
        case "idle":
            return _idle(decision, cluster)


def unreachable(problem: str, wait: float, failures: int) -> str:
    """Monitoring did not answer ``failures`` times in a row."""
    again = f" ({failures} times in a row)" if failures > 1 else ""
    return f"Monitoring cannot be used{again}: {problem}. Acting on nothing; next look in {seconds(wait)}."


def _acting(decision: Decision, cluster: Cluster, number: int | None, dry_run: bool) -> str:
    assert decision.plan is not None
    plan = "Dry run: a plan" if dry_run else f"Plan {number}" if number is not None else "A plan"
    what = ", ".join(_content(decision.plan, cluster))
    frees = f"; frees {listed(decision.freed)}" if decision.freed else ""
    if decision.cause == "repair":
        why = _wrong(decision)
        left = f" What cannot be mended: {_reason(decision.unsatisfied)}" if decision.unsatisfied else ""
        does = "mends what can be mended" if left else "mends it" if decision.broken or not decision.strained else "relieves it"
        text = f"{why}. {plan} {does}: {what}{frees}.{left}"
    elif decision.cause == "balance":
        text = f"{plan}: {what}; narrows the spread from {_share(decision.spread)} to {_share(decision.spread_possible)}.{_also(decision)}"
    else:
        worth = f"freeing {count(len(decision.freed), 'node')} is worth more than the moves"
        text = f"{plan}: {what}{frees}; {worth}.{_also(decision)}"
    return f"{text} Nothing is executed." if dry_run else text


def _content(plan: Plan, cluster: Cluster) -> list[str]:
    moves = [a for a in plan.actions if a.type in _MOVES]
    others = len(plan.actions) - len(moves)
    moved = [cluster.vm_by_name[a.vm] for a in moves if a.vm is not None and a.vm in cluster.vm_by_name]
    amount = sum(vm.demand.get("memory", 0.0) for vm in moved)
    parts = [count(len(moves), "move"), memory(amount)] if moves else []
    if others:
        parts.append(count(others, "other action") if moves else count(others, "action"))
    parts.append(f"about {seconds(max((a.end for a in plan.actions), default=0.0))}")
    return parts


def _idle(decision: Decision, cluster: Cluster) -> str:
    if decision.broken:
        reason = _reason(decision.unsatisfied or decision.reasons)
        return f"{_wrong(decision)} and cannot be mended{': ' + reason if reason else '.'} Nothing else to do."
    if decision.cause == "balance":
        return _balanced(decision, cluster)
    if decision.bound is not None and decision.bound >= decision.in_use:
        proof = f"{decision.in_use} is proven the least{_conditions(decision)}. "
        return f"{_watching(decision, cluster)}; {proof}Nothing to do."
    if decision.bound is not None and decision.cause == "consolidate":
        need = f"at least {decision.bound} {'is' if decision.bound == 1 else 'are'} needed{_conditions(decision)}. "
        return f"{_watching(decision, cluster)}; {need}Nothing to gain was found."
    return f"{_watching(decision, cluster)}, every rule is kept. Nothing to do."


def _balanced(decision: Decision, cluster: Cluster) -> str:
    spread, bound = decision.spread or 0.0, decision.spread_bound
    text = f"{_watching(decision, cluster)}; the spread is {_share(spread)}"
    if bound is not None and bound >= spread:
        return f"{text}, proven the least{_conditions(decision)}. Nothing to do."
    if decision.spread_possible is None:
        return f"{text}, too little to act on. Nothing to do."
    return f"{text}{_conditions(decision)}. Nothing to gain was found."


def _watching(decision: Decision, cluster: Cluster) -> str:
    nodes, vms = count(len(cluster.nodes), "node"), count(len(cluster.vms), "VM")
    return f"Watching {nodes}, {vms}. {count(decision.in_use, 'node')} in use"


def _conditions(decision: Decision) -> str:
    parts = []
    if decision.kept_free:
        parts.append(f"with {decision.kept_free * 100:.3g} % of cpu kept free")
    if decision.cooling:
        parts.append(f"while {count(decision.cooling, 'VM')} cool{'s' if decision.cooling == 1 else ''} down")
    return f" {' '.join(parts)}" if parts else ""


def _not_worth(decision: Decision, cluster: Cluster) -> str:
    assert decision.plan is not None
    moves = sum(a.type in _MOVES for a in decision.plan.actions)
    if decision.cause == "balance":
        points = three_digits(100 * ((decision.spread or 0.0) - (decision.spread_possible or 0.0)))
        what = ", ".join(_content(decision.plan, cluster)[:-1])
        return (
            f"; the spread is {_share(decision.spread)} ({_share(decision.spread_possible)} possible), but {what} would gain "
            f"only {points} percentage points. Nothing done.{_also(decision)}"
        )
    return (
        f" ({decision.possible} possible), but {count(moves, 'move')} would cost {_figure(decision.cost)} node-seconds and gain "
        f"{_figure(decision.gain)}. Nothing done.{_also(decision)}"
    )


def _wrong(decision: Decision) -> str:
    wrong = decision.broken or decision.strained or ("The cluster is not viable",)
    first, rest = wrong[0], len(wrong) - 1
    return first.rstrip(".") + (f" ({rest} more like it)" if rest > 0 else "")


def _also(decision: Decision) -> str:
    """What stays broken beside what was decided."""
    if decision.kind == "stuck" or not decision.broken or decision.cause == "repair":
        return ""
    return f" {_wrong(decision)} and cannot be mended."


def _reason(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0].rstrip('.')}{more}."


# -- words for names and numbers ----------------------------------------------------------------------------------


def listed(names: Sequence[str], most: int = 4) -> str:
    """``a, b and c``, or ``a, b, c, d and 7 more``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _share(value: float | None) -> str:
    return f"{three_digits(100 * (value or 0.0))} %"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}" if value < 9.95 else f"{value:.0f}"
