"""What the meter reads while a cluster changes."""

from __future__ import annotations

import asyncio

from entropy.model.cluster import VM, Cluster, Node
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.meter import Meter


def world(**options: object) -> SimulatedCluster:
    nodes = tuple(Node(name=f"n{k}", capacity={"cpu": 4, "memory": 8192}) for k in (1, 2, 3))
    vms = (
        VM(name="a", node="n1", demand={"cpu": 2, "memory": 1250}),
        VM(name="b", node="n1", demand={"cpu": 1, "memory": 1250}),
        VM(name="c", state="sleeping", node="n2", demand={"cpu": 9, "memory": 9999}),
        VM(name="d", state="ready", demand={"cpu": 9, "memory": 9999}),
    )
    return SimulatedCluster(Cluster(nodes=nodes, vms=vms), **options)  # type: ignore[arg-type]


def test_only_running_vms_count_and_a_migrating_one_at_both_ends() -> None:
    async def scenario() -> None:
        it = world()
        meter = Meter(it)
        before = meter.look()
        assert [n.vms for n in before.nodes] == [2, 0, 0]
        assert (before.in_use, before.overloaded) == (1, ())
        it.begin("migrate", "a", "n1", "n2")
        during = meter.look()
        assert [(n.vms, n.cpu, n.entering, n.leaving) for n in during.nodes[:2]] == [(2, 3.0, 0, 1), (1, 2.0, 1, 0)]
        await it.quiet()
        after = meter.look()
        assert [(n.vms, n.cpu) for n in after.nodes[:2]] == [(1, 1.0), (1, 2.0)]

    run_virtual(scenario())


def test_node_hours_and_overload_are_read_in_the_middle_of_every_period() -> None:
    async def scenario() -> None:
        it = world(load=lambda vm, at: {"cpu": 3.0} if vm.name == "a" and 60 <= at < 180 else {})
        it.set_demand("b", cpu=2.0)
        meter = Meter(it, 60.0)
        ticks: list[float] = []
        metering = asyncio.create_task(meter.run(240, lambda: ticks.append(it.now())))
        await asyncio.sleep(185)
        it.begin("migrate", "a", "n1", "n2")  # 11 s: n1 and n2 are in use in the middle of the fourth minute
        await metering
        assert ticks == [30, 90, 150, 210]
        assert it.now() == 240
        assert meter.overloaded == [0, 1, 1, 0]
        assert meter.overload_minutes == 2.0
        assert meter.in_use == [1, 1, 1, 2]
        assert meter.node_hours == 5 / 60

    run_virtual(scenario())
