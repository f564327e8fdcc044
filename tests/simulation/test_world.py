"""The simulated cluster: what it accepts, refuses, remembers, shows late, and will not hide."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.formats import documents
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError, PlatformError
from entropy.platforms.base import Endpoint
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.driver import SimulatedDriver
from entropy.simulation.faults import ActionFault, FaultKind, Faults, NodeDeath, Window
from entropy.simulation.worlds import forget, read_settings, register, world_of
from simulated_world import cluster_of

N1, N2, N3 = (Endpoint(name=f"n{k}") for k in (1, 2, 3))
CLUSTER = cluster_of({"a": "n1", "s": "(n1)", "r": ""}, nodes=3)


def live(world: SimulatedCluster, story: Callable[[SimulatedDriver, SimulatedAdapter], Awaitable[None]], lag: float = 0.0) -> None:
    async def main() -> None:
        await story(SimulatedDriver(world), SimulatedAdapter(world, lag))

    run_virtual(main())


def where(cluster: Cluster) -> Mapping[str, tuple[str, str | None]]:
    return {vm.name: (vm.state, vm.node) for vm in cluster.vms}


def test_operations_take_the_time_of_the_contract() -> None:
    world = SimulatedCluster(CLUSTER)

    async def story(driver: SimulatedDriver, adapter: SimulatedAdapter) -> None:
        await driver.migrate("a", N1, N2)
        assert world.now() == 11.0
        await driver.suspend("a", N2)
        assert world.now() == 22.0
        await driver.resume("a", N2, N3)
        assert world.now() == 33.0
        await driver.stop("a", N3)
        assert world.now() == 35.0
        await driver.run("r", N1)
        assert world.now() == 40.0
        await driver.stop("s", N1)
        await driver.shutdown(N2)
        assert world.now() == 72.0
        await driver.startup(N2)
        assert world.now() == 132.0
        seen = (await adapter.observe()).cluster
        assert where(seen) == {"a": ("ready", None), "s": ("ready", None), "r": ("running", "n1")}
        assert seen.node_by_name["n2"].state == "online"

    live(world, story)


def test_what_is_impossible_is_refused_and_changes_nothing() -> None:
    world = SimulatedCluster(CLUSTER)

    async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
        world.kill_node("n3")
        before = world.view().cluster
        for call, why in (
            (driver.migrate("a", N2, N1), "a is running on n1"),
            (driver.migrate("a", N1, N3), "n3 is offline"),
            (driver.migrate("a", N1, Endpoint(name="n9")), "there is no node n9"),
            (driver.migrate("a", N1, N1), "it is there already"),
            (driver.migrate("z", N1, N2), "there is no VM z"),
            (driver.migrate("s", N1, N2), "s is sleeping on n1"),
            (driver.run("a", N1), "a is running on n1"),
            (driver.resume("r", N1, N2), "r is ready"),
            (driver.stop("r", N1), "r is ready"),
            (driver.shutdown(N1), "a still run there"),
            (driver.startup(N1), "n1 is online"),
        ):
            with pytest.raises(PlatformError, match=why):
                await call
        assert world.view().cluster == before
        begun = world.begin("migrate", "a", "n1", "n2")
        for call in (driver.migrate("a", N1, N2), driver.shutdown(N2)):
            with pytest.raises(PlatformError, match="under way"):
                await call
        await world.quiet()
        assert await begun.answer is None

    live(world, story)


def test_memory_that_is_not_there_is_an_incident_and_not_hidden() -> None:
    world = SimulatedCluster(cluster_of({"a": "n1", "b": "n2", "c": "n3"}, capacity=2500))

    async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
        await asyncio.gather(driver.migrate("a", N1, N2), driver.migrate("c", N3, N2))

    live(world, story)
    assert [(e.what, e.text) for e in world.incidents] == [
        ("incident", "migrate c from n3 to n2: 3750 MiB of 2500 MiB of memory are taken on n2")
    ]


def test_a_migrating_vm_takes_both_ends_until_it_has_moved() -> None:
    vms = (
        VM(name="a", node="n1", demand={"cpu": 2, "memory": 1250}, consumption={"cpu": 0.5}),
        VM(name="b", node="n2", demand={"cpu": 2, "memory": 1250}),
    )
    world = SimulatedCluster(Cluster(nodes=tuple(Node(name=n, capacity={"cpu": 3, "memory": 5000}) for n in ("n1", "n2")), vms=vms))

    async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
        assert (world.usage("n1", "cpu"), world.usage("n2", "cpu")) == (0.5, 2)
        task = asyncio.create_task(driver.migrate("a", N1, N2))
        await asyncio.sleep(1)
        assert (world.usage("n1", "cpu"), world.usage("n2", "cpu")) == (0.5, 4)
        assert world.overloaded("cpu") == ("n2",)
        await task
        assert (world.usage("n1", "cpu"), world.usage("n2", "cpu")) == (0, 4)

    live(world, story)


def test_a_vm_that_may_not_move_and_is_moved_is_an_incident() -> None:
    vm = VM(name="a", node="n1", demand={"memory": 10}, migratable=False)
    world = SimulatedCluster(Cluster(nodes=cluster_of({}, nodes=2).nodes, vms=(vm,)))

    async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
        await driver.migrate("a", N1, N2)

    live(world, story)
    assert [e.text for e in world.incidents] == ["migrate a from n1 to n2: the VM may not be migrated"]


def test_an_operation_is_given_up_when_its_driver_is_cancelled_and_goes_on_when_its_manager_is_killed() -> None:
    for killed in (False, True):
        world = SimulatedCluster(CLUSTER)

        async def story(driver: SimulatedDriver, _: SimulatedAdapter, world: SimulatedCluster = world, killed: bool = killed) -> None:
            task = asyncio.create_task(driver.migrate("a", N1, N2))
            await asyncio.sleep(5)
            if killed:
                driver.abandon()
            task.cancel()
            await asyncio.wait({task})
            assert bool(world.operations) == killed
            await world.quiet()
            vm = world.vm("a")
            assert vm is not None
            assert (vm.node, world.now()) == (("n2", 11.0) if killed else ("n1", 5.0))
            if killed:
                with pytest.raises(PlatformError, match="killed"):
                    await driver.migrate("a", N2, N1)

        live(world, story)


@pytest.mark.parametrize(
    ("kind", "answer", "at", "moved"),
    [
        ("refused", "refuses", 0.0, None),
        ("broken", "broke off", 5.5, None),
        ("false-failure", "connection .* lost", 5.5, 11.0),
        ("false-success", None, 5.5, None),
        ("hang", "never", 1000.0, None),
        ("stuck", "never", 1000.0, None),
        ("silent", "never", 1000.0, 11.0),
    ],
)
def test_each_fault(kind: FaultKind, answer: str | None, at: float, moved: float | None) -> None:
    world = SimulatedCluster(CLUSTER, faults=Faults(actions=(ActionFault(kind=kind, subject="a"),)))

    async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
        try:
            async with asyncio.timeout(1000):
                await driver.migrate("a", N1, N2)
            said = None
        except PlatformError as problem:
            said = str(problem)
        except TimeoutError:
            said = "never"
        assert world.now() == at
        assert (said is None) == (answer is None)
        assert world.busy("a", "n1") == (kind in ("stuck", "false-failure"))
        await asyncio.sleep(100)
        assert [e.at for e in world.trace if e.what == "done"] == ([moved] if moved else [])
        if kind != "stuck" and not moved:
            await driver.migrate("a", N1, N2)  # only the first attempt was struck

    live(world, story)


def test_a_node_that_dies_takes_what_runs_there_and_keeps_its_images() -> None:
    world = SimulatedCluster(CLUSTER, faults=Faults(deaths=(NodeDeath(node="n1", at=5),)))

    async def story(driver: SimulatedDriver, adapter: SimulatedAdapter) -> None:
        with pytest.raises(PlatformError, match="n1 does not answer any more"):
            await driver.migrate("a", N1, N2)
        seen = await adapter.observe()
        assert where(seen.cluster) == {"s": ("sleeping", "n1"), "r": ("ready", None)}
        assert seen.warnings == ("n1 does not answer; a, which ran there, is left out",)
        assert world.vm("a") is None
        world.revive_node("n1")
        assert where((await adapter.observe()).cluster)["a"] == ("ready", None)

    live(world, story)


def test_a_destination_that_dies_leaves_the_vm_where_it_was() -> None:
    world = SimulatedCluster(CLUSTER, faults=Faults(deaths=(NodeDeath(node="n2", at=5),)))

    async def story(driver: SimulatedDriver, adapter: SimulatedAdapter) -> None:
        with pytest.raises(PlatformError, match="n2 does not answer any more"):
            await driver.migrate("a", N1, N2)
        assert where((await adapter.observe()).cluster)["a"] == ("running", "n1")

    live(world, story)


def test_observations_lag_freeze_and_fail() -> None:
    world = SimulatedCluster(CLUSTER, faults=Faults(outages=(Window(start=50, end=60),), frozen=(Window(start=70, end=100),)))

    async def story(driver: SimulatedDriver, adapter: SimulatedAdapter) -> None:
        async def node() -> str | None:
            return (await adapter.observe()).cluster.vm_by_name["a"].node

        await driver.migrate("a", N1, N2)  # ends at 11
        assert await node() == "n1"
        await asyncio.sleep(3.9)
        assert await node() == "n1"
        await asyncio.sleep(0.2)
        assert await node() == "n2"
        await asyncio.sleep(40)
        with pytest.raises(PlatformError, match="cannot be reached"):
            await adapter.observe()
        await asyncio.sleep(18)
        await driver.migrate("a", N2, N3)  # ends at 84, unseen until 100
        await asyncio.sleep(10)
        assert await node() == "n2"
        await asyncio.sleep(10)
        assert await node() == "n3"

    live(world, story, lag=4.0)


def test_load_follows_its_function_of_time() -> None:
    def load(vm: VM, at: float) -> Mapping[str, float]:
        return {"cpu": 1.0 + at / 100.0} if vm.name == "a" else {}

    world = SimulatedCluster(CLUSTER, load=load)

    async def story(_: SimulatedDriver, adapter: SimulatedAdapter) -> None:
        await asyncio.sleep(50)
        assert dict((await adapter.observe()).cluster.vm_by_name["a"].demand) == {"cpu": 1.5, "memory": 1250}
        assert dict((await SimulatedAdapter(world, lag=20).observe()).cluster.vm_by_name["a"].demand) == {"cpu": 1.3, "memory": 1250}
        world.set_demand("a", memory=4000.0)
        assert world.usage("n1", "memory") == 4000.0
        assert (await SimulatedAdapter(world, lag=20).observe()).cluster.vm_by_name["a"].demand["memory"] == 1250

    live(world, story)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4), st.floats(0, 30)), min_size=1, max_size=12))
def test_the_past_is_shown_as_it_was(moves: list[tuple[str, int, float]]) -> None:
    """What a lagging monitor shows of a time is what an up-to-date one showed at that time."""
    world = SimulatedCluster(cluster_of(dict.fromkeys("abcd", "n1"), capacity=1e6, nodes=4))

    async def main() -> None:
        driver, then = SimulatedDriver(world), []

        async def move(vm: str, node: int, at: float) -> None:
            await asyncio.sleep(at)
            here = world.vm(vm)
            assert here is not None
            try:
                await driver.migrate(vm, Endpoint(name=here.node or ""), Endpoint(name=f"n{node}"))
            except PlatformError:
                return

        tasks = [asyncio.create_task(move(*m)) for m in moves]
        for _ in range(30):
            await asyncio.sleep(1.7)
            then.append((world.now(), where(world.view().cluster)))
        for at, seen in then:
            assert where(world.view(at).cluster) == seen
        await asyncio.gather(*tasks)

    run_virtual(main())


def test_noise_is_the_same_for_the_same_seed() -> None:
    def times(seed: int) -> list[float]:
        world = SimulatedCluster(CLUSTER, noise=0.5, seed=seed)

        async def story(driver: SimulatedDriver, _: SimulatedAdapter) -> None:
            await driver.migrate("a", N1, N2)
            await driver.migrate("a", N2, N1)

        live(world, story)
        return [e.at for e in world.trace]

    assert times(1) == times(1) != times(2)
    assert 5.5 <= times(1)[1] <= 16.5


# ------------------------------------------------------------------ settings


def test_adapter_and_driver_of_one_file_find_the_same_world(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    documents.write(CLUSTER, str(path))
    adapter = SimulatedAdapter.from_settings({"file": str(path), "lag": 3})
    driver = SimulatedDriver.from_settings({"file": str(path), "noise": 0.1, "seed": 4, "duration_factor": 0.5})
    assert adapter.world is driver.world
    assert (adapter.lag, driver.world.noise, driver.world.seed) == (3.0, 0.1, 4)
    assert driver.world.durations("run", None) == 2.5
    forget(str(path))
    assert SimulatedAdapter.from_settings({"file": str(path)}).world is not driver.world
    forget(str(path))


def test_a_world_can_be_registered_under_a_name() -> None:
    world = SimulatedCluster(CLUSTER)
    register("demo", world)
    try:
        assert world_of(read_settings({"file": "demo"})) is world
    finally:
        forget("demo")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "file: is missing"),
        ({"file": "x", "lag": -1}, "lag: is -1"),
        ({"file": "x", "speed": 2}, r"speed: .*accepted: file"),
        ({"file": "/nowhere/c.yaml"}, "/nowhere/c.yaml: cannot be read"),
    ],
)
def test_bad_settings_name_their_key(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SimulatedAdapter.from_settings(given)


def test_entry_points_lead_here() -> None:
    (driver,) = entry_points(group="entropy.drivers", name="simulated")
    assert driver.load() is SimulatedDriver
    found = entry_points(group="entropy.adapters", name="simulated")
    if not found:
        pytest.skip("the package was installed before this adapter was registered; install it again")
    assert found["simulated"].load() is SimulatedAdapter
