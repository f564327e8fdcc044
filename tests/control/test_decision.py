"""When to act: the rules of the decision, with planners made up for the case and with the real one under noisy load."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from controlled_loop import EXACT, Controlled, controlled
from entropy.control.decision import Decision, View, decide
from entropy.control.sentence import describe
from entropy.control.settings import LoopSettings, Simplify
from entropy.model.amounts import memory, seconds
from entropy.model.cluster import VM, Cluster
from entropy.model.errors import InfeasibleError, InputError, InvalidPlanError, NoPlanInTimeError
from entropy.model.plan import NodesFigure, Plan, Summary
from entropy.model.policy import Objective, Policy
from entropy.simulation.cluster import SimulatedCluster
from simulated_world import cluster_of, migrate

FINE = cluster_of({"a": "n1", "b": "n2", "c": "n2"})
OVER = cluster_of(dict.fromkeys("abcde", "n1"), nodes=2)
MOVE = migrate("m", "a", "n1", "n2")  # 11 s, so 22 node-seconds


@dataclass(frozen=True)
class Answer:
    plan: Plan
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flaw:
    subject: str
    text: str = ""
    actions: tuple[str, ...] = ()
    kind: str = "capacity"
    resource: str = "memory"


class MadeUp:
    """A planner and a verifier with given answers; keeps what it was asked."""

    def __init__(self, repair: Plan | Exception, consolidate: Plan | Exception, held: Plan | Exception | None = None) -> None:
        self.answers, self.held, self.asked = (
            {"repair": repair, "consolidate": consolidate},
            held,
            list[tuple[str, frozenset[str], Cluster]](),
        )
        self.flaws: dict[bool, Sequence[Flaw]] = {}

    def plan(self, cluster: Cluster, policy: Policy, objective: Objective, held: frozenset[str], /) -> Answer:
        self.asked.append((objective, held, cluster))
        found = self.held if held and self.held is not None else self.answers[objective]
        if isinstance(found, Exception):
            raise found
        return Answer(found)

    def verify(self, cluster: Cluster, plan: Plan, policy: Policy, /) -> Sequence[Flaw]:
        if bool(plan.actions) in self.flaws:
            return self.flaws[bool(plan.actions)]
        overloaded = [n for n, vms in cluster.running_on.items() if sum(v.demand["memory"] for v in vms) > 5000]
        return [Flaw(n, f"{n} is above its memory") for n in overloaded] if not plan.actions else []

    def decide(
        self, cluster: Cluster, settings: LoopSettings = EXACT, *, policy: Policy | None = None, held: frozenset[str] = frozenset()
    ) -> Decision:
        return decide(View(cluster=cluster, policy=policy or Policy(), held=held), settings, self.plan, self.verify)


def plan_of(*actions: object, unsatisfied: tuple[str, ...] = (), bound: int | None = None) -> Plan:
    nodes = NodesFigure(before=2, after=1, lower_bound=bound)
    return Plan(actions=actions, summary=Summary(nodes=nodes, unsatisfied=unsatisfied))  # type: ignore[arg-type]


NOTHING = plan_of()


def test_a_viable_cluster_is_not_repaired_only_consolidated() -> None:
    it = MadeUp(AssertionError(), plan_of(MOVE, bound=1))
    found = it.decide(FINE)
    assert (found.kind, found.cause, found.freed, found.possible, found.gain, found.cost) == ("act", "consolidate", ("n1",), 1, 3600, 22)


@pytest.mark.parametrize(("horizon", "factor", "acts"), [(22.0, 1.0, False), (22.1, 1.0, True), (44.0, 2.0, False), (44.1, 2.0, True)])
def test_moves_must_be_worth_less_than_what_the_freed_nodes_gain_over_the_horizon(horizon: float, factor: float, acts: bool) -> None:
    settings = EXACT.model_copy(update={"horizon": horizon, "move_cost": factor})
    found = MadeUp(AssertionError(), plan_of(MOVE)).decide(FINE, settings)
    assert found.act == acts
    assert found.kind == ("act" if acts else "keep")


def test_fewer_nodes_than_the_least_gain_are_not_worth_it() -> None:
    found = MadeUp(AssertionError(), plan_of(MOVE)).decide(FINE, EXACT.model_copy(update={"min_gain": 2}))
    assert found.kind == "keep"
    assert "(1 possible), but 1 move would cost 22 node-seconds and gain 3,600. Nothing done." in describe(found, FINE)


def test_moves_that_free_no_node_are_not_made() -> None:
    there_and_back = (MOVE, migrate("b", "b", "n2", "n1"))
    assert MadeUp(AssertionError(), plan_of(*there_and_back)).decide(FINE).kind == "idle"


def test_an_overload_is_repaired_whatever_it_costs() -> None:
    it = MadeUp(plan_of(MOVE), AssertionError())
    found = it.decide(OVER, EXACT.model_copy(update={"horizon": 1e-3}))
    assert (found.kind, found.cause) == ("act", "repair")
    assert [asked[0] for asked in it.asked] == ["repair"]


def test_what_moved_lately_stays_unless_nothing_else_mends_it() -> None:
    held = frozenset({"a"})
    mends = MadeUp(AssertionError(), AssertionError(), held=plan_of(migrate("m", "b", "n1", "n2")))
    assert mends.decide(OVER, held=held).act
    assert len(mends.asked) == 1
    for refusal in (InfeasibleError("no"), NoPlanInTimeError("no"), NOTHING, plan_of(MOVE, unsatisfied=("x", "y"))):
        it = MadeUp(plan_of(MOVE, unsatisfied=("x",)), AssertionError(), held=refusal)
        found = it.decide(OVER, held=held)
        assert found.act
        assert found.unsatisfied == ("x",)
        assert [asked[1] for asked in it.asked] == [held, frozenset()]
    as_good = MadeUp(plan_of(MOVE, unsatisfied=("x",)), AssertionError(), held=plan_of(migrate("m", "b", "n1", "n2"), unsatisfied=("x",)))
    found = as_good.decide(OVER, held=held)
    assert found.plan is not None
    assert found.plan.actions[0].vm == "b"


def test_what_moved_lately_never_moves_for_a_gain() -> None:
    it = MadeUp(AssertionError(), NOTHING)
    it.decide(FINE, held=frozenset({"a"}))
    assert it.asked[0][1] == {"a"}


def test_what_cannot_be_mended_does_not_stand_in_the_way_of_a_gain_but_is_said() -> None:
    cluster = replace(OVER, vms=(*OVER.vms, VM(name="x", node="n2", demand={"cpu": 1.0, "memory": 10.0})))
    it = MadeUp(plan_of(unsatisfied=("e has no other place",)), plan_of(migrate("m", "x", "n2", "n1"), bound=1))
    found = it.decide(cluster)
    assert (found.kind, found.cause) == ("act", "consolidate")
    assert describe(found, cluster, 7).endswith("n1 is overloaded (memory 125 %) and cannot be mended.")
    idle = MadeUp(plan_of(unsatisfied=("e has no other place",)), NOTHING).decide(OVER)
    assert describe(idle, OVER) == "n1 is overloaded (memory 125 %) and cannot be mended: e has no other place. Nothing else to do."


def test_proven_impossible_late_and_refused_plans_are_told_apart() -> None:
    conflict = InfeasibleError("no", ['db-1 may only run on n1 (rule "db pinned")'])
    stuck = MadeUp(conflict, AssertionError()).decide(OVER)
    assert describe(stuck, OVER) == 'n1 is overloaded (memory 125 %) and cannot be mended: db-1 may only run on n1 (rule "db pinned").'
    late = MadeUp(NoPlanInTimeError("no"), AssertionError()).decide(OVER)
    assert describe(late, OVER, limit=20) == "n1 is overloaded (memory 125 %); no plan was found within 20 s. Trying again."
    refused = MadeUp(InvalidPlanError("no", ["a1 overloads n2"]), AssertionError()).decide(OVER)
    assert describe(refused, OVER) == "The plan did not pass verification and is not executed: a1 overloads n2."
    assert [found.act for found in (stuck, late, refused)] == [False, False, False]
    assert MadeUp(AssertionError(), NoPlanInTimeError("no")).decide(FINE).kind == "idle"


def test_a_plan_that_breaks_something_that_was_whole_is_never_executed() -> None:
    it = MadeUp(plan_of(MOVE), AssertionError())
    it.flaws = {False: [Flaw("n1", "before")], True: [Flaw("n1", "still"), Flaw("n2", "n2 is above its memory")]}
    assert it.decide(OVER).reasons == ("n2 is above its memory",)
    it.flaws = {False: [Flaw("n1", "before")], True: [Flaw("n1", "m makes it worse", ("m",))]}
    assert it.decide(OVER).kind == "refused"
    it.flaws = {False: [Flaw("n1", "before")], True: [Flaw("n1", "still, and not ours")]}
    assert it.decide(OVER).act


def test_objectives_repair_never_gains_and_balance_is_refused_by_name() -> None:
    it = MadeUp(AssertionError(), AssertionError())
    assert it.decide(FINE, policy=Policy(objective="repair")).kind == "idle"
    assert it.decide(FINE, EXACT.model_copy(update={"objective": "repair"})).kind == "idle"
    with pytest.raises(InputError, match="balance"):
        it.decide(FINE, policy=Policy(objective="balance"))


# -- sentences ----------------------------------------------------------------------------------------------------


def test_sentences_say_conditions_of_a_proof_and_numbers_with_units() -> None:
    it = MadeUp(AssertionError(), plan_of(bound=2))
    settings = EXACT.model_copy(update={"headroom": 0.1})
    found = it.decide(FINE, settings, held=frozenset({"a", "gone"}))
    assert describe(found, FINE) == (
        "Watching 2 nodes, 3 VMs. 2 nodes in use; 2 is proven the least with 10 % of cpu kept free while 1 VM cools down. Nothing to do."
    )
    unproven = MadeUp(AssertionError(), plan_of(bound=1)).decide(FINE)
    assert describe(unproven, FINE) == "Watching 2 nodes, 3 VMs. 2 nodes in use; at least 1 is needed. Nothing to gain was found."


@pytest.mark.parametrize(
    ("mib", "text"), [(0, "0 MiB"), (512, "512 MiB"), (1000, "0.98 GiB"), (41984, "41 GiB"), (1023487, "999 GiB"), (1.3e6, "1.24 TiB")]
)
def test_memory_has_at_most_three_digits(mib: float, text: str) -> None:
    assert memory(mib) == text


@pytest.mark.parametrize(("time", "text"), [(0.5, "0.5 s"), (69.6, "69.6 s"), (599, "599 s"), (1200, "20 min"), (12600, "3.5 h")])
def test_durations_are_read_at_a_glance(time: float, text: str) -> None:
    assert seconds(time) == text


# -- noise --------------------------------------------------------------------------------------------------------


def noisy(seed: int, share: float, period: float = 20.0):  # type: ignore[no-untyped-def]
    """Each VM's cpu wavers around its demand by up to ``share`` of it, drawn anew every ``period`` seconds."""

    def load(vm: VM, at: float) -> dict[str, float]:
        step = math.floor(at / period)
        return {"cpu": round(vm.demand["cpu"] * (1 + share * random.Random(f"{seed}/{vm.name}/{step}").uniform(-1, 1)), 3)}

    return load


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("simplified", [False, True])
def test_noisy_load_makes_no_vm_move_back_and_forth(seed: int, simplified: bool) -> None:
    """Four hours of load that wavers by 15 % around a constant, many VMs right at the threshold.

    Without caution and cool-down the same load makes 230 to 750 moves in eight hours, one VM up to 200 times.
    """
    base = cluster_of({f"v{k}": f"n{k % 8 + 1}" for k in range(24)}, memory=512, capacity=8192)
    draw = random.Random(seed)
    vms = tuple(replace(v, demand={**v.demand, "cpu": draw.choice([0.2, 0.24, 0.26, 1.0, 1.5])}) for v in base.vms)
    nodes = tuple(replace(n, labels={"cpuMHz": "2000"}) for n in base.nodes)
    settings = LoopSettings(interval=60.0, work_limit=1.0, simplify=Simplify(activate=simplified))

    async def scenario(it: Controlled) -> None:
        await it.run(4 * 60)

    it = controlled(lambda: SimulatedCluster(replace(base, nodes=nodes, vms=vms), load=noisy(seed, 0.15)), scenario, settings=settings)
    moved = it.moves()
    assert it.notes.faults == []
    assert it.world.incidents == []
    assert len(moved) <= 2 * len(vms)
    assert max(moved.count(vm) for vm in set(moved)) <= 3
    assert [event.text for event in it.world.trace if event.what == "begun" and event.at > 1e6 + 7200] == []
    assert it.end is not None
    assert len(it.end.running_on) <= 4
