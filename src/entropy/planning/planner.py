"""``plan``: place, order, verify; and round again with the blocking part fixed when a placement cannot be ordered.

Every plan that leaves this room has passed the independent verification.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from entropy.formats.documents import digest
from entropy.model.cluster import Cluster
from entropy.model.errors import InfeasibleError, InputError, InvalidPlanError, NoPlanInTimeError
from entropy.model.plan import Action, Plan
from entropy.model.policy import Objective, Policy
from entropy.placement import bounds
from entropy.placement.budget import Budget
from entropy.placement.executor import executor
from entropy.placement.goals import Goals, affordable, value_of
from entropy.placement.placement import Placement
from entropy.placement.portfolio import place, primary_bound
from entropy.planning.best_effort import leave_alone, leave_blocked, relaxed
from entropy.planning.conflicts import conflicts
from entropy.planning.goals import goals_of
from entropy.planning.images import started_to_sleep, with_images
from entropy.planning.on_the_way import on_the_way
from entropy.planning.options import PlanOptions, Result
from entropy.planning.summary import Proof, forced_transitions, sentence, status_of, summarise
from entropy.planning.target import target_problem
from entropy.planning.words import listed
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem, State, positions
from entropy.scheduling.bound import duration_bound
from entropy.scheduling.schedule import schedule
from entropy.scheduling.unorderable import Unorderable
from entropy.verification.verify import verify

__all__ = ["PlanOptions", "Result", "plan"]

_ROUNDS = 12
"""How often a placement that cannot be ordered is replaced by another one."""
_FEWER_ROUNDS = 3
"""The same, once best effort has left something alone."""
_RESERVE, _MOST_RESERVE = 0.1, 0.6
"""Share of the time limit kept for ordering and verification, at least and at most."""
_SECONDS_A_VM = 3.5e-5
"""What ordering and verification may take for each VM."""


def plan(cluster: Cluster, policy: Policy, options: PlanOptions | None = None, target: Cluster | None = None) -> Result:
    """The best plan found within the limits that brings ``cluster`` to what ``policy`` (and ``target``) ask.

    Raises ``InfeasibleError`` (proven: there is none), ``NoPlanInTimeError`` (none found; nothing is proven), ``InputError`` (a rule that
    cannot be planned for, a target of another cluster).
    """
    options = options or PlanOptions()
    began = options.clock()
    objective = options.objective or policy.objective or "consolidate"
    round_ = _Round(cluster, policy, options, objective, began)
    if target is not None:
        return round_.result(round_.reach(target), target)
    with ExitStack() as stack:
        round_.budget.executor, round_.budget.workers = round_.solvers(stack)
        found = round_.improve()
    return round_.result(found, target)


@dataclass(frozen=True, kw_only=True)
class _Found:
    problem: Problem
    host: Indices
    actions: tuple[Action, ...]
    proof: Proof
    reasons: tuple[str, ...] = ()


class _Round:
    """One call of ``plan``: its inputs, and what remains of its limits."""

    def __init__(self, cluster: Cluster, policy: Policy, options: PlanOptions, objective: Objective, began: float) -> None:
        self.cluster, self.policy, self.options, self.objective, self.began = cluster, policy, options, objective, began
        self.warnings: tuple[str, ...] = ()
        wanted = max(_RESERVE * options.time_limit, _SECONDS_A_VM * len(cluster.vms))
        until = options.time_limit - min(wanted, _MOST_RESERVE * options.time_limit)
        self.budget = Budget(
            remaining=lambda: until - (options.clock() - began),
            work=options.work_limit,
            workers=options.workers,
            seed=options.seed,
            progress=options.progress,
        )
        if options.work_limit is not None:
            self.budget.remaining = lambda: float("inf")

    def solvers(self, stack: ExitStack) -> tuple[Executor, int]:
        """Where sub-problems are solved, and how many at once; a loop that plans as well as it can does without an absent Dask cluster."""
        options = self.options
        try:
            return stack.enter_context(executor(options.workers, options.dask))
        except InputError as problem:
            if not options.best_effort:
                raise
            self.warnings = (f"{problem}; planned on {options.workers} threads of this machine instead",)
            return stack.enter_context(executor(options.workers))

    # -- a placement that is given ---------------------------------------------------------------------------------

    def reach(self, target: Cluster) -> _Found:
        """Order the moves that lead to ``target``."""
        problem, host = target_problem(self.cluster, self.policy, target, lenient=self.options.lenient)
        try:
            actions = schedule(on_the_way(problem, host), host, self.options.durations)
        except Unorderable as blocked:
            error = InfeasibleError if blocked.proven else NoPlanInTimeError
            raise error(f"no order of actions leads to the target: {blocked.reason}") from blocked
        proof = Proof(moved=forced_transitions(problem, host), duration=self._duration(problem, host))
        return _Found(problem=problem, host=host, actions=actions, proof=proof)

    # -- a placement that is searched for ----------------------------------------------------------------------------

    def improve(self) -> _Found:
        """Search placements until one can be ordered: first the objective's best, then with what blocks it fixed."""
        problem = compile_problem(self.cluster, self.policy, held=self.options.held, lenient=self.options.lenient)
        wanted = goals = goals_of(problem, self.policy, self.objective)
        problem, placement = self._place(problem, goals)
        first, best, rounds = problem, placement, _ROUNDS
        reasons: list[str] = []
        while True:
            host = with_images(problem, placement.host)
            try:
                actions = schedule(on_the_way(problem, host), host, self.options.durations, self._ordering_time)
            except Unorderable as blocked:
                rounds -= 1
                reasons.append(f"a better placement was dropped: {blocked.reason}")
                if rounds and (other := self._around(problem, placement, blocked, goals)) is not None:
                    problem, placement, goals = other
                    continue
                if not (stuck := self._to_leave(first, blocked, host)):
                    raise self._no_order(first, blocked, rounds) from blocked
                first, best = self._place(leave_blocked(first, stuck, blocked.reason), wanted)
                problem, placement, goals, rounds = first, best, wanted, _FEWER_ROUNDS
                continue
            proof = self._proof(first, best, placement, wanted)
            return _Found(problem=first, host=host, actions=actions, proof=proof, reasons=tuple(reasons[-3:]))

    def _place(self, problem: Problem, goals: Goals) -> tuple[Problem, Placement]:
        if self.options.best_effort:
            problem = relaxed(problem)
        elif found := conflicts(problem):
            raise InfeasibleError("no configuration satisfies the policy:", [c.text for c in found[:10]])
        for _ in range(problem.n_vms + 1):
            placement = place(problem, goals, self.budget)
            if not placement.left_out:
                return problem, placement
            if not self.options.best_effort:
                raise _no_placement(problem, placement)
            problem = leave_alone(problem, placement.left_out)
        raise AssertionError("each round leaves a VM alone")

    def _around(
        self, problem: Problem, placement: Placement, blocked: Unorderable, goals: Goals
    ) -> tuple[Problem, Placement, Goals] | None:
        """Another placement: with the blocking VMs where they are; else without their destinations, all or one; else only repaired."""
        known = {c.text for c in conflicts(problem)}
        for alternative in self._alternatives(problem, placement, blocked.vms):
            if any(c.text not in known for c in conflicts(alternative)):
                continue
            again = place(alternative, goals, self.budget)
            if not again.left_out and self._differs(again, placement):
                return alternative, again, goals
        if goals.objective != "repair":
            only_repair = replace(goals, objective="repair")
            again = place(problem, only_repair, self.budget)
            if not again.left_out and self._differs(again, placement):
                return problem, again, only_repair
        return None

    def _to_leave(self, problem: Problem, blocked: Unorderable, host: Indices) -> list[int]:
        """With best effort, the blocking VMs that are not left alone yet; all that change, once they are or time is up."""
        if not self.options.best_effort:
            return []
        runs = problem.goal == State.RUNNING
        open_ = (problem.goal != problem.state) | (runs & ~problem.held)
        if not self.budget.over and (stuck := [v for v in blocked.vms if open_[v]]):
            return stuck
        changing = (problem.goal != problem.state) | (runs & (host != problem.host))
        return [int(v) for v in positions(open_ & changing)]

    def _no_order(self, problem: Problem, blocked: Unorderable, rounds: int) -> Exception:
        if blocked.proven and not self.options.held and _all_forced(problem):
            return InfeasibleError(f"no order of actions leads to a viable configuration: {blocked.reason}")
        tried = "leads to a viable configuration" if rounds else f"was found in {_ROUNDS} placements; the last was blocked"
        return NoPlanInTimeError(f"no order of actions {tried}: {blocked.reason}")

    @staticmethod
    def _differs(one: Placement, other: Placement) -> bool:
        return not np.array_equal(one.host, other.host)

    @staticmethod
    def _alternatives(problem: Problem, placement: Placement, blocked: tuple[int, ...]) -> Iterator[Problem]:
        """Problems without the placement that cannot be ordered, the least constrained last."""
        runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING)
        stay = [v for v in blocked if runs[v] and problem.may_stay[v]]
        moved = [v for v in blocked if placement.host[v] >= 0 and placement.host[v] != problem.host[v]]
        yield _holding(problem, stay)
        yield _banning(problem, moved, placement.host)
        if len(blocked) > 1:
            for v in stay:
                yield _holding(problem, [v])
            for v in moved:
                yield _banning(problem, [v], placement.host)

    def _proof(self, problem: Problem, best: Placement, placement: Placement, goals: Goals) -> Proof:
        """What is proven of ``problem``, of which ``best`` was the first placement and ``placement`` is the one that can be ordered."""
        soft, primary, moved = best.soft.bound, best.primary.bound, best.moved.bound
        now, first = value_of(problem, goals, placement.host), value_of(problem, goals, best.host)
        if (now.soft, now.primary) > (first.soft, first.primary):  # with more nodes in use, or rules broken, fewer moves may do
            most = affordable(goals.node_cost, now.primary) if goals.objective == "consolidate" else None
            moved = min(moved, bounds.moved_bound(problem, bounds.must_leave(problem)[0], most))
        if now.soft > first.soft:  # where more rules are broken, less may do
            primary = min(primary, primary_bound(problem, goals))
        if self.options.held:
            free = self._without_cool_down(problem)
            soft, primary, moved = 0, primary_bound(free, goals), bounds.moved_bound(free, bounds.must_leave(free)[0])
            if primary > now.primary:  # what best effort set aside for those that cool down binds them when they do not: nothing is proven
                primary = moved = 0
            problem = free
        moved += forced_transitions(problem)
        return Proof(goals=goals, soft=soft, primary=primary, moved=moved, duration=self._duration(problem, None))

    def _without_cool_down(self, problem: Problem) -> Problem:
        """``problem`` in which only those stay who must, or whom best effort leaves alone: what a cool-down forbids is no proof."""
        freely, cooling = (
            compile_problem(self.cluster, self.policy, held=held, lenient=self.options.lenient).held for held in ((), self.options.held)
        )
        return replace(problem, held=freely | (problem.held & ~cooling))

    def _duration(self, problem: Problem, host: Indices | None) -> float:
        changed = problem.state != problem.goal
        if host is not None:
            changed = changed | ((host >= 0) & (host != problem.host))
        else:
            runs = (problem.state == State.RUNNING) & (problem.goal == State.RUNNING) & ~problem.held
            here = positions(runs)
            banned = here[~problem.domains[problem.domain_of[here], problem.host[here]]]
            changed = changed.copy()
            changed[banned] = True
        return duration_bound(problem, positions(changed), host, self.options.durations)

    def _ordering_time(self) -> float:
        """Seconds left for ordering: what is kept for it, and some grace, as a plan a little late is better than none."""
        if self.options.work_limit is not None:
            return float("inf")
        return 2 * self.options.time_limit - (self.options.clock() - self.began)

    # -- the answer ----------------------------------------------------------------------------------------------------

    def result(self, found: _Found, target: Cluster | None) -> Result:
        """Figures, status, verification."""
        options, problem = self.options, found.problem
        summary = summarise(problem, found.host, found.actions, self.objective, found.proof, max(options.clock() - self.began, 0.0))
        made = Plan(
            cluster=digest(self.cluster),
            status=status_of(summary, found.actions, fixed=target is not None),
            actions=found.actions,
            summary=summary,
        )
        self._check(made, target)
        return Result(
            plan=made, sentence=sentence(summary, made.actions), reasons=found.reasons, warnings=(*self.warnings, *problem.warnings)
        )

    def _check(self, made: Plan, target: Cluster | None) -> None:
        """Nothing unverified leaves.  With best effort, what is broken now and stays broken is excused: the summary lists it."""

        def broken(candidate: Plan) -> dict[tuple[str, str, str], str]:
            found = verify(self.cluster, candidate, self.policy, target, lenient=self.options.lenient)
            return {(v.kind, v.subject, v.resource): v.text for v in found}

        wrong = broken(made)
        if wrong and self.options.best_effort and made.summary and made.summary.unsatisfied:
            for key in broken(Plan(cluster=made.cluster)):
                wrong.pop(key, None)
        if wrong:
            raise InvalidPlanError(
                "the computed plan fails verification, so it is withheld; please report this case:", list(wrong.values())
            )


def _holding(problem: Problem, vms: list[int]) -> Problem:
    """``problem`` with ``vms`` where they run."""
    held = problem.held.copy()
    held[vms] = True
    return replace(problem, held=held)


def _banning(problem: Problem, vms: list[int], host: Indices) -> Problem:
    """``problem`` with each of ``vms`` kept off its node in ``host``."""
    domains, domain_of = list(problem.domains), problem.domain_of.copy()
    for v in vms:
        row = problem.domains[problem.domain_of[v]].copy()
        row[host[v]] = False
        domain_of[v] = len(domains)
        domains.append(row)
    return replace(problem, domains=np.stack(domains), domain_of=domain_of)


def _all_forced(problem: Problem) -> bool:
    """Is there only one placement?  Then an order that provably does not exist proves that no plan does."""
    allowed = problem.domains.sum(axis=1)[problem.domain_of]
    movers = problem.runs_at_end() & ~problem.held
    return bool(np.all(allowed[movers] <= 1)) and not len(started_to_sleep(problem))


def _no_placement(problem: Problem, placement: Placement) -> Exception:
    names = listed([problem.vm_name(v) for v in placement.left_out])
    if placement.outcome == "infeasible":
        return InfeasibleError(
            f"no configuration satisfies the policy: however the VMs are arranged, {names} and the others do not all find room"
        )
    return NoPlanInTimeError(
        f"no viable configuration was found within the limits: {names} found no room; nothing is proven "
        "(a larger --time-limit may help; --best-effort plans for all the others)"
    )
