"""Sub-problems on a real Dask cluster: worker processes of this machine, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from checked import assert_safe
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.model.rules import Fence
from entropy.planning.planner import PlanOptions, plan

distributed = pytest.importorskip("distributed", reason="needs the extra [dask]: pip install '.[dask]'")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster


def _cluster(racks: int = 4, nodes: int = 12) -> Cluster:
    """Racks of their own: sizes that do not pack exactly, so that there is something to search for."""
    hosts = [
        Node(name=f"r{r}n{k}", capacity={"cpu": 16.0, "memory": 16000.0}, labels={"rack": f"r{r}"})
        for r in range(racks)
        for k in range(nodes)
    ]
    vms = [
        VM(
            name=f"r{r}v{k}",
            node=f"r{r}n{k % nodes}",
            demand={"cpu": 1 + (k * 5 + r) % 4 * 0.5, "memory": 1000.0 + (k * 7919 + r * 104729) % 5000},
            labels={"rack": f"r{r}"},
        )
        for r in range(racks)
        for k in range(2 * nodes)
    ]
    return Cluster(nodes=tuple(hosts), vms=tuple(vms))


POLICY = Policy(objective="consolidate", constraints=tuple(Fence(vms=f"rack=r{r}", nodes=f"rack=r{r}") for r in range(4)))


def _nodes(made: Plan) -> int:
    assert made.summary is not None
    assert made.summary.nodes is not None
    return made.summary.nodes.after


def test_a_dask_cluster_answers_as_threads_do(workers: Any) -> None:
    cluster = _cluster()
    here = plan(cluster, POLICY, PlanOptions(work_limit=4)).plan
    there = plan(cluster, POLICY, PlanOptions(work_limit=4, dask=workers.scheduler_address)).plan
    assert_safe(cluster, there, POLICY)
    assert _nodes(there) == _nodes(here)
    assert there.summary is not None
    assert here.summary is not None
    assert there.summary.moved_memory is not None
    assert here.summary.moved_memory is not None
    assert there.summary.moved_memory.value <= here.summary.moved_memory.value * 1.01


def test_a_worker_that_is_killed_costs_nothing(workers: Any) -> None:
    cluster, killed = _cluster(), threading.Event()
    calm = plan(cluster, POLICY, PlanOptions(work_limit=4)).plan

    def kill(_text: str) -> None:
        if not killed.is_set():
            killed.set()
            victim = next(iter(workers.workers.values()))
            os.kill(victim.process.pid, signal.SIGKILL)

    found = plan(cluster, POLICY, PlanOptions(time_limit=20, dask=workers.scheduler_address, progress=kill)).plan
    assert killed.is_set()
    assert_safe(cluster, found, POLICY)
    assert _nodes(found) <= _nodes(calm) + 1


def test_nobody_at_the_address_is_bad_usage() -> None:
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        plan(_cluster(), POLICY, PlanOptions(dask="tcp://127.0.0.1:1"))


def test_a_loop_does_without_an_absent_cluster() -> None:
    found = plan(_cluster(), POLICY, PlanOptions(dask="tcp://127.0.0.1:1", best_effort=True, work_limit=1))
    assert_safe(_cluster(), found.plan, POLICY)
    assert "no Dask scheduler answers" in found.warnings[0]
