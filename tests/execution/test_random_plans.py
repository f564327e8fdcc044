"""Random plans, faults, lags, outages, limits and stops: the executor always ends, obeys ``after``, and reports what is so."""

import asyncio
import random
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entropy.execution.executor import Executor
from entropy.execution.journal import Journal
from entropy.execution.progress import Begin, Event, Looked, Progress, Returned, Start, StopRequested, Unstartable
from entropy.execution.report import ExecutionReport
from entropy.execution.settings import ExecutionSettings
from entropy.execution.sight import Sight
from entropy.model.cluster import Cluster
from entropy.model.plan import Action, Plan
from entropy.simulation.adapter import SimulatedAdapter
from entropy.simulation.clock import run_virtual
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.driver import SimulatedDriver
from entropy.simulation.faults import FAULT_KINDS, ActionFault, Faults, NodeDeath, Window
from simulated_world import QUICK, SimulatedDirectory, cluster_of, migrate

NODES = 5


@dataclass(frozen=True)
class Story:
    """A cluster, a plan, and everything that goes wrong."""

    cluster: Cluster
    plan: Plan
    faults: Faults
    settings: ExecutionSettings
    lag: float
    seed: int
    stop_at: float | None


@st.composite
def plans(draw: st.DrawFn) -> tuple[Cluster, Plan]:
    """Some VMs, each on a path over distinct nodes; further edges only lead forward."""
    paths = draw(st.lists(st.permutations(range(1, NODES + 1)).flatmap(_prefix), min_size=1, max_size=5))
    actions: list[Action] = []
    last: dict[str, str] = {}
    waiting = [(f"v{k}", list(path)) for k, path in enumerate(paths)]
    while waiting:
        vm, path = draw(st.sampled_from(waiting))
        after = {last[vm]} if vm in last else set()
        after |= set(draw(st.lists(st.sampled_from([a.id for a in actions]), max_size=2)) if actions else [])
        id_ = f"a{len(actions)}"
        actions.append(migrate(id_, vm, f"n{path[0]}", f"n{path[1]}", *sorted(after)))
        last[vm] = id_
        path.pop(0)
        waiting = [(name, rest) for name, rest in waiting if len(rest) > 1]
    cluster = cluster_of({f"v{k}": f"n{path[0]}" for k, path in enumerate(paths)}, capacity=1e6, nodes=NODES)
    return cluster, Plan(actions=tuple(draw(st.permutations(actions))))


def _prefix(order: list[int]) -> st.SearchStrategy[list[int]]:
    return st.integers(2, 4).map(lambda n: order[:n])


@st.composite
def stories(draw: st.DrawFn) -> Story:
    cluster, plan = draw(plans())
    instants = st.floats(0, 120).map(lambda x: round(x, 1))
    subjects = st.sampled_from([vm.name for vm in cluster.vms])
    shares = st.sampled_from([0.0, 0.3, 0.9, 1.0])
    struck = st.builds(
        ActionFault, kind=st.sampled_from(FAULT_KINDS), subject=subjects, attempt=st.sampled_from([1, 2, 3, None]), share=shares
    )
    # Monitoring may be this late before confirm_timeout (15 s) misleads; outages may last for any time.
    lag, freeze = draw(st.sampled_from([(0.0, 12.0), (5.0, 6.0), (12.0, 0.0)]))
    faults = Faults(
        actions=tuple(draw(st.lists(struck, max_size=4))),
        deaths=tuple(draw(st.lists(st.builds(NodeDeath, node=st.sampled_from([n.name for n in cluster.nodes]), at=instants), max_size=1))),
        outages=tuple(Window(start=a, end=a + n) for a, n in draw(st.lists(st.tuples(instants, st.floats(0, 60)), max_size=2))),
        frozen=tuple(Window(start=a, end=a + freeze) for a in draw(st.lists(instants, max_size=1))),
    )
    limits = QUICK.model_copy(
        update={
            "max_parallel": draw(st.integers(1, 4)),
            "max_parallel_per_node": draw(st.integers(1, 3)),
            "retries": draw(st.integers(0, 2)),
        }
    )
    return Story(cluster, plan, faults, limits, lag, draw(st.integers(0, 3)), draw(st.none() | instants))


def tell(story: Story) -> tuple[ExecutionReport, SimulatedCluster, float]:
    world = SimulatedCluster(story.cluster, faults=story.faults, noise=0.3, seed=story.seed)

    async def run() -> tuple[ExecutionReport, float]:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        journal = Journal("sqlite://", loop.time)
        if story.stop_at is not None:
            loop.call_later(story.stop_at, stopping.set)
        executor = Executor(
            SimulatedAdapter(world, story.lag),
            SimulatedDirectory(SimulatedDriver(world)),
            journal,
            story.settings,
            on_change=lambda progress, _: progress.check(),
        )
        report = await executor.execute(story.plan, story.cluster, stopping=stopping)
        took = loop.time()
        states = {p.action.id: p.state for p in journal.in_doubt()}
        assert states == {entry.action.id: "in_doubt" for entry in report.of("in_doubt")}
        await asyncio.sleep(1000)  # what is still under way ends, unless it never does
        journal.close()
        return report, took

    report, took = run_virtual(run())
    return report, world, took


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_any_plan_under_any_faults(story: Story) -> None:
    report, world, took = tell(story)
    plan = story.plan
    indices: dict[str, dict[str, list[int]]] = {a.id: {} for a in plan.actions}
    by_move = {(a.vm, a.nodes): a.id for a in plan.actions}
    for k, event in enumerate(world.trace):
        if event.vm is not None:
            indices[by_move[event.vm, event.nodes]].setdefault(event.what, []).append(k)

    # It ends within the time that the attempts, the limits and the confirmations may take one after another.
    one = story.settings.limit(plan.actions[0]) + 3 * story.settings.confirm_timeout + 2 * 60 + 30
    assert took <= len(plan.actions) * (story.settings.retries + 1) * one

    for action in plan.actions:
        entry, seen = report.by_id[action.id], indices[action.id]
        began = [*seen.get("begun", []), *seen.get("refused", [])]
        assert len(began) == entry.attempts <= story.settings.retries + 1
        assert len(seen.get("done", [])) <= 1
        # ``after`` is obeyed in the order of the world's own events.
        for other in action.after:
            assert not began or indices[other]["done"][0] < min(began)
        # The report agrees with the world.
        lost = world._machines[action.vm or ""].lost
        match entry.outcome:
            case "done":
                assert "done" in seen
            case "failed":
                assert "done" not in seen or lost
            case "skipped":
                assert not began
            case "in_doubt":
                assert began
    assert report.ok == all(e.outcome == "done" for e in report.actions)
    if story.stop_at is None and story.faults == Faults():
        assert report.ok
    assert not world.incidents


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_any_story_told_twice_is_the_same(story: Story) -> None:
    first, second = tell(story), tell(story)
    assert first[0] == second[0]
    assert first[1].trace == second[1].trace


@settings(max_examples=200, deadline=None)
@given(plans(), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2**32))
def test_the_state_machine_alone_under_any_events(made: tuple[Cluster, Plan], most: int, retries: int, seed: int) -> None:
    """No driver, no world: any answer may come at any time, in any order, also twice."""
    plan, rng = made[1], random.Random(seed)
    limits = QUICK.model_copy(update={"max_parallel": most, "retries": retries})
    progress, now, starts, settled = Progress(plan, limits), 0.0, 0, []
    pending = progress.handle(Begin(now))
    for step in range(2000):
        progress.check()
        for instruction in pending:
            if isinstance(instruction, Start):
                starts += 1
                assert not progress.stopping
            else:
                settled.append(instruction.id)
        if progress.finished:
            break
        wild = step < 60  # later: what is under way is answered, as it must be some time
        now += rng.choice([0.0, 1.0, 8.0, 200.0]) if wild else 200.0
        id_ = rng.choice([a.id for a in plan.actions] if wild else progress.in_phase("running", "confirming"))
        sights = [None, Sight("done", ""), Sight("source", ""), Sight("elsewhere", "")]
        events: list[Event] = [
            Returned(now, id_, rng.choice(["", "no"]), rng.random() < 0.5),
            Looked(now, id_, rng.choice(sights), rng.choice([None, True, False])),
        ]
        if wild and rng.random() < 0.1:
            events = [Unstartable(now, id_, "full"), StopRequested(now)]
        pending = progress.handle(rng.choice(events))
    assert progress.finished
    assert sorted(settled) == sorted(a.id for a in plan.actions)  # each once
    assert starts <= len(plan.actions) * (limits.retries + 1)
