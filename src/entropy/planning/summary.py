"""The figures of a plan, recomputed from its actions, with what is proven about each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entropy.model.amounts import memory, seconds, three_digits
from entropy.model.plan import Action, Figure, NodesFigure, PlanStatus, Summary
from entropy.model.policy import Objective
from entropy.placement.goals import Goals, value_of
from entropy.placement.soft import soft_violation
from entropy.planning.goals import SPREAD, WATT, counts_watts
from entropy.problem.problem import SOFT_SCALE, Indices, Problem, State

__all__ = ["Proof", "forced_transitions", "sentence", "status_of", "summarise"]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Proven bounds in the problem's integer units: soft violation, the ``goals``' own goal, moved memory; duration in seconds.

    ``goals``: ``None`` when the placement was given.  ``moved``: ``None`` claims nothing.
    """

    goals: Goals | None = None
    soft: int = 0
    primary: int = 0
    moved: int | None = None
    duration: float = 0.0


def forced_transitions(problem: Problem, host: Indices | None = None) -> int:
    """Memory (integer units) that suspends and resumes asked for move in every plan; with ``host``, every VM that must change node too.

    A suspend on another node than the VM's takes a migration as well.
    """
    suspended = (problem.state != State.SLEEPING) & (problem.goal == State.SLEEPING)
    resumed = (problem.state == State.SLEEPING) & (problem.goal == State.RUNNING)
    total = int(problem.weight[suspended | resumed].sum())
    if host is None:
        return total
    elsewhere = (host >= 0) & (problem.host >= 0) & (host != problem.host)
    moved = elsewhere & ((problem.state == State.RUNNING) & (problem.goal != State.READY))
    twice = elsewhere & (problem.state == State.SLEEPING) & (problem.goal == State.SLEEPING)
    return total + int(problem.weight[moved].sum()) + 2 * int(problem.weight[twice].sum())


def summarise(
    problem: Problem, host: Indices, actions: Sequence[Action], objective: Objective, proof: Proof, solve_seconds: float
) -> Summary:
    """All figures; ``satisfied`` is true: the caller has had the plan verified."""
    index = {v.name: k for k, v in enumerate(problem.cluster.vms)}
    scale = _memory_scale(problem)
    moves = [index[a.vm] for a in actions if a.type in ("migrate", "suspend", "resume") and a.vm is not None]
    moved = int(problem.weight[moves].sum()) if moves else 0
    value = _exact_memory(problem, moves)
    bound = None if proof.moved is None else (value if proof.moved >= moved else min(proof.moved / scale, value))
    before = len({v.node for v in problem.cluster.vms if v.state == "running"})
    after = len(np.unique(host[problem.runs_at_end()]))
    host = np.where(problem.runs_at_end(), host, -1).astype(np.int32)  # images that sleep on a node load nothing
    own = _own_goal(problem, host, proof)
    soft = soft_violation(problem, host)
    return Summary(
        objective=objective,
        nodes=NodesFigure(before=before, after=after, lower_bound=proof.primary if own == "nodes" else None),
        moved_memory=Figure(value=value, lower_bound=bound),
        soft_violation=Figure(value=soft / SOFT_SCALE, lower_bound=min(proof.soft, soft) / SOFT_SCALE) if problem.has_soft else None,
        balance=_balance(problem, host, proof) if own == "balance" else None,
        power=_power(problem, host, proof) if own == "power" else None,
        migrations=sum(a.type == "migrate" for a in actions),
        duration=Figure(value=round(max((a.end for a in actions), default=0.0), 3), lower_bound=round(proof.duration, 3)),
        solve_seconds=round(solve_seconds, 3),
        satisfied=not problem.unsatisfied,
        unsatisfied=tuple(dict.fromkeys(u.text for u in problem.unsatisfied)),
    )


def status_of(summary: Summary, actions: Sequence[Action], *, fixed: bool) -> PlanStatus:
    """``optimal`` only when every goal but the duration is proven.  ``fixed``: the placement was given, only its moves count."""
    if not actions:
        return "unchanged"
    proven = _proven(summary.moved_memory)
    if not fixed:
        proven = proven and all(_proven(f) for f in (summary.soft_violation, summary.balance, summary.power) if f is not None)
        nodes = summary.nodes
        if summary.objective == "consolidate" and summary.power is None:
            proven = proven and nodes is not None and nodes.lower_bound is not None and nodes.lower_bound >= nodes.after
    return "optimal" if proven and not summary.unsatisfied else "feasible"


def _proven(figure: Figure | None) -> bool:
    return figure is not None and figure.lower_bound is not None and figure.lower_bound >= figure.value


def _own_goal(problem: Problem, host: Indices, proof: Proof) -> str:
    """The figure that the objective is judged by: ``nodes``, ``power``, ``balance``, or none."""
    if proof.goals is None or proof.goals.objective == "repair":
        return ""
    if proof.goals.objective == "balance":
        return "balance"
    return "power" if counts_watts(problem) else "nodes"


def _power(problem: Problem, host: Indices, proof: Proof) -> Figure:
    assert proof.goals is not None
    idle = [n.power.idle if n.power else 0.0 for n in problem.cluster.nodes]
    value = math.fsum(idle[n] for n in np.unique(host[host >= 0]))
    proven = proof.primary >= value_of(problem, proof.goals, host).primary  # in integers: sums of fractions differ in the last digit
    return Figure(value=value, lower_bound=value if proven else min(proof.primary / WATT, value))


def _balance(problem: Problem, host: Indices, proof: Proof) -> Figure:
    assert proof.goals is not None
    value = value_of(problem, proof.goals, host).primary
    return Figure(value=value / SPREAD, lower_bound=min(proof.primary, value) / SPREAD)


def sentence(summary: Summary, actions: Sequence[Action]) -> str:
    """``6 moves, 41 GiB, about 70 s; nodes in use 24 -> 22, proven the least.``"""
    nodes, moved, duration = summary.nodes, summary.moved_memory, summary.duration
    parts = []
    if actions and moved and duration:
        many = len(actions)
        parts.append(f"{many} action{'s' if many != 1 else ''}, {memory(moved.value)} moved, about {seconds(duration.value)}")
    else:
        parts.append("Nothing to do")
    if nodes:
        change = f"nodes in use {nodes.before} -> {nodes.after}" if nodes.before != nodes.after else f"{nodes.after} nodes in use"
        proven = (
            ""
            if nodes.lower_bound is None
            else ", proven the least"
            if nodes.lower_bound >= nodes.after
            else f", at least {nodes.lower_bound}"
        )
        parts.append(change + proven)
    if (balance := summary.balance) is not None:
        least = balance.lower_bound or 0.0
        proven = ", proven the least" if least >= balance.value else f", at least {_percent(least)}"
        parts.append(f"spread {_percent(balance.value)}{proven if balance.value else ''}")
    return "; ".join(parts) + "."


def _percent(share: float) -> str:
    return f"{three_digits(100 * share)} %"


def _memory_scale(problem: Problem) -> float:
    return float(problem.scale[problem.resources.index("memory")]) if "memory" in problem.resources else 1.0


def _exact_memory(problem: Problem, moves: Sequence[int]) -> float:
    """MiB over ``moves``, from the documents' own numbers where no rule raised them: rounding must not add up."""
    vms = problem.cluster.vms
    stated = np.array([vms[v].demand.get("memory", 0.0) for v in moves], dtype=np.float64)
    raised = problem.weight[np.array(moves, dtype=np.int64)] / _memory_scale(problem)
    return round(float(np.where(np.abs(raised - stated) < 1e-4, stated, raised).sum()), 6)
