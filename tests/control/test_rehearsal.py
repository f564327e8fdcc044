"""A small day under the daemon's own loop: nothing is lost, every plan is safe, nodes are saved, and it is the same every time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checked import assert_safe
from entropy.control.loop import Round
from entropy.control.rehearsal import Figures, Rehearsal
from entropy.control.settings import LoopSettings
from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.model.rules import Fence
from entropy.simulation.baselines import static
from entropy.simulation.faults import ActionFault, Faults
from entropy.simulation.load import synthetic
from entropy.simulation.workload import Workload, make_nodes, start_cluster

HOUR = 3600.0
SETTINGS = LoopSettings(interval=300, headroom=0.2, peak_window=1800, work_limit=0.02, workers=1)
NODES = make_nodes(6)


def morning(seed: int = 2) -> tuple[Workload, Cluster, float]:
    """20 VMs from 6 to 12 o'clock, static node-hours of it."""
    day = synthetic(20, 24 * HOUR, seed)
    workload = Workload(day.machines, day.cpu[:, 6 * 60 : 12 * 60], day.period)
    allotted = static(Workload(day.machines, day.cpu, day.period), NODES, 6 * HOUR)
    return workload, start_cluster(workload, NODES, [int(h) for h in allotted.hosts]), allotted.node_hours


def rehearsed(
    workload: Workload, cluster: Cluster, *, policy: Policy | None = None, faults: Faults | None = None, seed: int = 0
) -> tuple[Rehearsal, Figures, list[Round]]:
    rounds: list[Round] = []
    it = Rehearsal(
        cluster, seconds=6 * HOUR, load=workload.demand, settings=SETTINGS, policy=policy, faults=faults, seed=seed, on_round=rounds.append
    )
    return it, it.run(), rounds


def everything_runs(it: Rehearsal, cluster: Cluster) -> bool:
    machines = it.world._machines
    return all(machines[vm.name].vm.state == "running" and not machines[vm.name].lost for vm in cluster.vms)


def test_nodes_are_saved_and_nothing_is_lost_overloaded_or_unsafe() -> None:
    workload, cluster, static_hours = morning()
    it, found, rounds = rehearsed(workload, cluster)
    assert everything_runs(it, cluster)
    assert found.node_hours < 0.9 * static_hours
    assert found.overload_minutes <= 5
    assert (found.incidents, found.mistakes, found.failed_actions) == ((), (), 0)
    assert found.seconds == 6 * HOUR
    assert len(found.in_use) == 360
    assert found.rounds == len(rounds) >= 70
    plans = [(r.cluster, r.decision.plan) for r in rounds if r.plan is not None and r.cluster and r.decision and r.decision.plan]
    assert len(plans) == found.plans > 0
    for seen, plan in plans:
        assert_safe(seen, plan)


def test_the_same_input_gives_the_same_figures() -> None:
    workload, cluster, _ = morning()
    _, one, said = rehearsed(workload, cluster)
    _, same, said_again = rehearsed(workload, cluster)
    assert one == same
    assert [r.sentence for r in said] == [r.sentence for r in said_again]


def test_rules_hold_all_the_time() -> None:
    workload, cluster, _ = morning()
    home = tuple(vm.name for vm in cluster.vms if vm.node == "n2")
    policy = Policy(constraints=(Fence(vms=home, nodes=("n2", "n3")),))
    it, found, rounds = rehearsed(workload, cluster, policy=policy)
    assert found.plans > 0
    assert {it.world._machines[name].vm.node for name in home} <= {"n2", "n3"}
    for r in rounds:
        assert r.cluster
        assert {r.cluster.vm_by_name[name].node for name in home} <= {"n2", "n3"}


def test_failed_migrations_are_counted_and_the_loop_goes_on() -> None:
    workload, cluster, static_hours = morning()
    faults = Faults(actions=tuple(ActionFault(kind="broken", subject=vm.name, attempt=1) for vm in cluster.vms))
    it, found, _ = rehearsed(workload, cluster, faults=faults)
    assert everything_runs(it, cluster)
    assert found.failed_actions > 0
    assert found.migrations > 0
    assert found.node_hours < static_hours
    assert found.mistakes == ()


def test_figures_can_be_had_while_it_runs_and_the_watcher_hears_of_plans_under_way() -> None:
    workload, cluster, _ = morning()
    busy: list[int] = []
    seen: list[float] = []

    def tick(it: Rehearsal) -> None:
        busy.append(len(it.operations))
        seen.append(it.figures().seconds)

    it = Rehearsal(cluster, seconds=HOUR, load=workload.demand, settings=SETTINGS, on_tick=tick)
    found = it.run()
    assert max(busy) > 0
    assert seen == sorted(seen)
    assert seen[-1] <= found.seconds == HOUR
    assert it.diary.changes


def test_a_fault_inside_is_a_mistake_of_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    workload, cluster, _ = morning()

    def broken(*_args: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("entropy.control.loop.decide", broken)
    it = Rehearsal(cluster, seconds=HOUR, load=workload.demand, settings=replace_interval(SETTINGS, 1200))
    assert set(it.run().mistakes) == {"RuntimeError: a fault"}


def replace_interval(settings: LoopSettings, seconds: float) -> LoopSettings:
    return settings.model_copy(update={"interval": seconds, "back_off": seconds})


def test_a_node_of_the_cluster_that_is_empty_counts_no_hours() -> None:
    workload, cluster, _ = morning()
    one = replace(cluster, vms=tuple(replace(vm, state="ready", node=None) for vm in cluster.vms))
    found = Rehearsal(one, seconds=HOUR, load=workload.demand, settings=SETTINGS).run()
    assert (found.node_hours, found.migrations, found.plans) == (0.0, 0, 0)
