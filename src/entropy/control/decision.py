"""When to act.  Pure: a view of the cluster in, a decision out; the planner and the verifier are passed in.

The rules, in this order:

1. The cluster is **not viable** (a node overloaded or in maintenance, a rule broken), or a node is **strained** (most of the
   cpu that is to be kept free is used up, ``control/relief.py``): the plan with the fewest MiB moved that mends it (objective
   ``repair``), with that room given back where possible.  VMs that moved lately stay where they are unless it cannot be mended
   otherwise.
2. It is viable, or what is wrong cannot be mended, and **fewer nodes are possible** (objective ``consolidate``): the plan is
   worth it when ``freed nodes x horizon > sum over moves (duration x 2 nodes x move cost)``, both in node-seconds.
   Gains are looked for in the cautious view (``control/caution.py``) and never with VMs that moved lately, so that the
   next breath of load does not undo them.  With objective ``balance`` it is the **spread** that may be smaller: worth it when it shrinks
   by ``minSpreadGain`` percentage points or more, every VM counted with its recent peak; what a point may cost in moved memory is
   the policy's ``tradeOff``.
3. Else nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from entropy.control.caution import cautious
from entropy.control.effective import effective
from entropy.control.health import ailments, nodes_in_use
from entropy.control.relief import relieving, strained
from entropy.control.safety import Finding, Verifier, caused
from entropy.control.settings import LoopSettings
from entropy.formats.documents import digest
from entropy.model.cluster import Cluster
from entropy.model.errors import InfeasibleError, InvalidPlanError, NoPlanInTimeError
from entropy.model.plan import Action, Plan
from entropy.model.policy import Objective, Policy

__all__ = ["Decision", "DecisionKind", "Planned", "Planner", "View", "decide"]

DecisionKind = Literal["idle", "act", "keep", "stuck", "late", "refused"]
"""Nothing to do; execute the plan; fewer nodes, or less spread, are possible but not worth it; proven impossible; no plan in time; the plan
did not pass verification (a fault of ours, never executed)."""

_MOVES = ("migrate", "suspend", "resume")
_LEAST_POINTS = 1e-4
"""Spread is told apart to a millionth of capacity."""
_NODES_BUSY = 2
"""A move keeps its source and its destination busy."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What is decided upon.  ``peaks``: recent peak of cpu per VM, in cores.  ``held``: VMs that moved lately."""

    cluster: Cluster
    policy: Policy
    peaks: Mapping[str, float] = field(default_factory=dict)
    held: frozenset[str] = frozenset()


class Planned(Protocol):
    """What the planner returns."""

    @property
    def plan(self) -> Plan: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


class Planner(Protocol):
    """``entropy.planning.planner.plan`` with its limits already given.  Raises InfeasibleError, NoPlanInTimeError."""

    def __call__(self, cluster: Cluster, policy: Policy, objective: Objective, held: frozenset[str], /) -> Planned: ...


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided and why.  Amounts in MiB and seconds; ``gain`` and ``cost`` in node-seconds.  ``strained``: phrases for the
    nodes that the plan relieves before they are overloaded.  ``spread`` now, the least that the plan reaches, and what it is
    proven not to go below, as shares; ``None`` where they do not matter."""

    kind: DecisionKind
    cause: Objective | None = None
    plan: Plan | None = None
    broken: tuple[str, ...] = ()
    unsatisfied: tuple[str, ...] = ()
    strained: tuple[str, ...] = ()
    in_use: int = 0
    possible: int | None = None
    bound: int | None = None
    freed: tuple[str, ...] = ()
    gain: float = 0.0
    cost: float = 0.0
    cooling: int = 0
    kept_free: float = 0.0
    spread: float | None = None
    spread_possible: float | None = None
    spread_bound: float | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def act(self) -> bool:
        """Is there a plan to execute?"""
        return self.kind == "act"


def decide(view: View, settings: LoopSettings, plan: Planner, verify: Verifier) -> Decision:
    """Act or not, and how.  Raises ``InputError`` for a policy that cannot be planned for."""
    objective = settings.objective or view.policy.objective or "consolidate"
    violations = verify(view.cluster, Plan(), view.policy)
    running = {vm.name for vm in view.cluster.vms if vm.state == "running"}
    base = Decision(
        kind="idle",
        broken=(ailments(effective(view.cluster, view.policy)) or tuple(v.text for v in violations)) if violations else (),
        in_use=nodes_in_use(view.cluster),
        cooling=len(view.held & running),
        kept_free=settings.kept_free,
    )
    relieved = _relieve(view, base, settings, plan, "repair" if objective == "balance" else "consolidate")
    if relieved.act and not (violations and relieved.unsatisfied):
        relieved = _checked(view, relieved, violations, verify)
        if relieved.act:
            return relieved
    if violations:
        mended = _repair(view, base, plan)
        if mended.act:
            return _checked(view, mended, violations, verify)
        base = replace(mended, plan=None) if mended.kind == "idle" else mended
    if objective == "repair" or base.kind != "idle":
        return base
    gaining = _balance if objective == "balance" else _consolidate
    return _checked(view, gaining(view, base, settings, plan), violations, verify)


def _relieve(view: View, base: Decision, settings: LoopSettings, plan: Planner, towards: Objective) -> Decision:
    """Strained nodes get their headroom back, and with it whatever else is wrong is mended; ``base`` where nothing comes of it.

    First with the VMs of strained nodes alone, ``towards`` as few further nodes as possible or the fewest moves; where that does not
    do, as any repair.
    """
    real = effective(view.cluster, view.policy)
    nodes = strained(real, settings.kept_free)
    if not nodes:
        return base
    careful = relieving(real, view.peaks, settings.kept_free, nodes)
    marked = replace(base, strained=tuple(nodes.values()))
    staying = frozenset(vm.name for vm in careful.vms if vm.state == "running" and vm.node not in nodes)
    for held in dict.fromkeys((staying.union(view.held), staying)):
        found = _mend(replace(view, cluster=careful), marked, plan, held, towards)
        if found.act and not found.unsatisfied:
            break
    else:
        found = _repair(replace(view, cluster=careful), marked, plan)
    if not found.act or found.plan is None:
        return base
    made = replace(found.plan, cluster=digest(view.cluster))
    return replace(found, plan=made, unsatisfied=found.unsatisfied if base.broken else ())


def _repair(view: View, base: Decision, plan: Planner) -> Decision:
    """The cheapest mending; with what moved lately held if that mends as much."""
    first = _mend(view, base, plan, view.held)
    if not view.held or (first.act and not first.unsatisfied):
        return first
    free = _mend(view, base, plan, frozenset())
    return free if free.act and (not first.act or len(free.unsatisfied) < len(first.unsatisfied)) else first


def _mend(view: View, base: Decision, plan: Planner, held: frozenset[str], objective: Objective = "repair") -> Decision:
    try:
        result = plan(view.cluster, view.policy, objective, held)
    except InfeasibleError as problem:
        return replace(base, kind="stuck", cause="repair", reasons=problem.reasons or (str(problem),))
    except NoPlanInTimeError:
        return replace(base, kind="late", cause="repair")
    except InvalidPlanError as problem:
        return replace(base, kind="refused", cause="repair", reasons=problem.violations)
    unsatisfied = result.plan.summary.unsatisfied if result.plan.summary else ()
    return replace(
        base,
        kind="act" if result.plan.actions else "idle",
        cause="repair",
        plan=result.plan,
        unsatisfied=unsatisfied,
        freed=_freed(view.cluster, result.plan),
        cost=_cost(result.plan, 1.0),
        reasons=result.reasons,
        warnings=result.warnings,
    )


def _consolidate(view: View, base: Decision, settings: LoopSettings, plan: Planner) -> Decision:
    careful = cautious(effective(view.cluster, view.policy), view.peaks, settings.kept_free)
    try:
        result = plan(careful, view.policy, "consolidate", view.held)
    except (InfeasibleError, NoPlanInTimeError):  # the cautious view asks for more than there is: no gain to be had safely
        return base
    except InvalidPlanError as problem:
        return replace(base, kind="refused", cause="consolidate", reasons=problem.violations)
    found = replace(result.plan, cluster=digest(view.cluster))
    nodes = found.summary.nodes if found.summary else None
    bound = nodes.lower_bound if nodes else None
    freed = _freed(view.cluster, found)
    after = _hosts_after(view.cluster, found)
    saved = _saved(view.cluster, after)
    decided = replace(
        base,
        cause="consolidate",
        possible=len(after),
        bound=bound,
        unsatisfied=base.unsatisfied or (found.summary.unsatisfied if found.summary else ()),
        reasons=base.reasons or result.reasons,
        warnings=tuple(dict.fromkeys((*base.warnings, *result.warnings))),
    )
    if not found.actions or saved <= 0:
        return replace(decided, possible=base.in_use)
    gain, cost = saved * settings.horizon, _cost(found, settings.move_cost)
    worth = saved >= settings.min_gain and gain > cost
    return replace(decided, kind="act" if worth else "keep", plan=found, freed=freed, gain=gain, cost=cost)


def _balance(view: View, base: Decision, settings: LoopSettings, plan: Planner) -> Decision:
    """Planned with every node's headroom kept; judged without it, as capacities that differ by it would distort shares."""
    from entropy.planning.gain import spread_before_and_after

    real = effective(view.cluster, view.policy)
    measured = cautious(real, view.peaks, 0.0)
    before, _ = spread_before_and_after(measured, view.policy, Plan())
    if _points(before, 0.0) < max(settings.min_spread_gain, _LEAST_POINTS):  # no arrangement gains enough: not worth a search every round
        return replace(base, cause="balance", spread=before)
    try:
        result = plan(cautious(real, view.peaks, settings.kept_free), view.policy, "balance", view.held)
    except (InfeasibleError, NoPlanInTimeError):  # as for consolidation
        return base
    except InvalidPlanError as problem:
        return replace(base, kind="refused", cause="balance", reasons=problem.violations)
    found = replace(result.plan, cluster=digest(view.cluster))
    before, after = spread_before_and_after(measured, view.policy, found)
    figure = found.summary.balance if found.summary else None
    proven = figure is not None and figure.lower_bound is not None and figure.lower_bound >= figure.value
    decided = replace(
        base,
        cause="balance",
        spread=before,
        spread_possible=after,
        spread_bound=before if proven and not found.actions else figure.lower_bound if figure else None,
        unsatisfied=base.unsatisfied or (found.summary.unsatisfied if found.summary else ()),
        reasons=base.reasons or result.reasons,
        warnings=tuple(dict.fromkeys((*base.warnings, *result.warnings))),
    )
    points = _points(before, after)
    if not found.actions or points < _LEAST_POINTS:
        return replace(decided, spread_possible=before)
    return replace(decided, kind="act" if points >= settings.min_spread_gain else "keep", plan=found)


def _points(before: float, after: float) -> float:
    """Percentage points between two spreads, without the noise of the subtraction."""
    return round((before - after) * 100, 4)


def _checked(view: View, decision: Decision, before: Sequence[Finding], verify: Verifier) -> Decision:
    """The decision, unless its plan breaks something on the cluster as it is that was not broken before."""
    if not decision.act or decision.plan is None:
        return decision
    broken = caused(verify(view.cluster, decision.plan, view.policy), before)
    return replace(decision, kind="refused", reasons=broken) if broken else decision


def _cost(plan: Plan, factor: float) -> float:
    """Node-seconds that the moves keep nodes busy."""
    return sum(_seconds(a) for a in plan.actions if a.type in _MOVES) * _NODES_BUSY * factor


def _seconds(action: Action) -> float:
    return max(0.0, action.end - action.start)


def _hosts_after(cluster: Cluster, plan: Plan) -> set[str]:
    """The nodes that run a VM once the plan is done."""
    host = {vm.name: vm.node for vm in cluster.vms if vm.state == "running"}
    for key in plan.topological:
        action = plan.by_id[key]
        if action.vm is None:
            continue
        if action.leaves is not None:
            host.pop(action.vm, None)
        if action.enters is not None:
            host[action.vm] = action.enters
    return {node for node in host.values() if node is not None}


def _saved(cluster: Cluster, after: set[str]) -> float:
    """How many nodes in use less; where every node states its power, idle watts less, in nodes of average idle power."""
    before = set(cluster.running_on)
    idle = {node.name: node.power.idle for node in cluster.nodes if node.power is not None}
    if len(idle) < len(cluster.nodes) or not sum(idle.values()):
        return float(len(before) - len(after))
    watts = sum(idle[name] for name in before) - sum(idle[name] for name in after)
    return watts / (sum(idle.values()) / len(idle))


def _freed(cluster: Cluster, plan: Plan) -> tuple[str, ...]:
    """Nodes that run something now and nothing once the plan is done, in document order."""
    after = _hosts_after(cluster, plan)
    return tuple(node.name for node in cluster.nodes if node.name in cluster.running_on and node.name not in after)
