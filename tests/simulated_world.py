"""Small simulated clusters, and a directory that knows one simulated driver, for tests of execution and control."""

from __future__ import annotations

from collections.abc import Mapping

from entropy.execution.settings import ExecutionSettings
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action
from entropy.platforms.base import Endpoint
from entropy.simulation.driver import SimulatedDriver

__all__ = ["QUICK", "SimulatedDirectory", "cluster_of", "migrate"]

QUICK = ExecutionSettings(
    max_parallel=4, max_parallel_per_node=2, timeout_factor=2, timeout_minimum=20, retries=1, retry_delay=5,
    confirm_timeout=15, confirm_poll=1, observe_timeout=5, cancel_grace=3,
)  # fmt: skip


class SimulatedDirectory:
    """Every node is driven by ``driver``."""

    def __init__(self, driver: SimulatedDriver) -> None:
        self.driver = driver

    async def perform(self, action: Action, cluster: Cluster) -> None:
        ends = {name: Endpoint(name=name, labels=cluster.node_by_name[name].labels) for name in action.nodes}
        vm, driver = action.vm or "", self.driver
        match action.type:
            case "migrate" | "resume":
                method = driver.migrate if action.type == "migrate" else driver.resume
                await method(vm, ends[action.source or ""], ends[action.target or ""])
            case "startup" | "shutdown":
                await (driver.startup if action.type == "startup" else driver.shutdown)(ends[action.node or ""])
            case "run" | "stop" | "suspend":
                method_of = {"run": driver.run, "stop": driver.stop, "suspend": driver.suspend}
                await method_of[action.type](vm, ends[action.node or ""])

    async def busy(self, vm: str, node_name: str, cluster: Cluster) -> bool | None:
        return await self.driver.busy(vm, Endpoint(name=node_name))


def cluster_of(placement: Mapping[str, str], memory: float = 1250, capacity: float = 5000, nodes: int = 0) -> Cluster:
    """VM -> node (``(n1)``: sleeping there, empty: ready).  A VM of 1250 MiB takes 11 s to migrate."""
    names = dict.fromkeys([f"n{k + 1}" for k in range(nodes)])
    names.update(dict.fromkeys(sorted(n.strip("()") for n in placement.values() if n)))

    def state(node: str) -> str:
        return "ready" if not node else "sleeping" if node.startswith("(") else "running"

    return Cluster(
        nodes=tuple(Node(name=n, capacity={"cpu": 8, "memory": capacity}) for n in names),
        vms=tuple(
            VM(name=vm, state=state(node), node=node.strip("()") or None, demand={"cpu": 1, "memory": memory})  # type: ignore[arg-type]
            for vm, node in placement.items()
        ),
    )


def migrate(id_: str, vm: str, source: str, target: str, *after: str) -> Action:
    """A migration that is forecast to take 11 s."""
    return Action(id=id_, type="migrate", vm=vm, source=source, target=target, end=11.0, after=after)
