"""What ``entropy simulate`` simulates: load, nodes, settings and rules put together from its options, and its run.

build_stage(...) -> Stage        .run(watchers, stopwatch) -> Figures      .summary(figures, took) -> Summary
Lines, Pace                      watchers: a line now and then; a limit to the speed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from entropy.cli.render.clock import clock
from entropy.cli.simulation_summary import Summary
from entropy.control.rehearsal import Figures, Rehearsal
from entropy.control.settings import LoopSettings, Settings, load_settings
from entropy.control.wiring import read_policy
from entropy.execution.settings import ExecutionSettings
from entropy.formats import documents
from entropy.model.amounts import count, three_digits
from entropy.model.cluster import Node
from entropy.model.errors import InputError
from entropy.model.policy import Policy
from entropy.simulation.baselines import Baseline, repacked, static
from entropy.simulation.load import synthetic
from entropy.simulation.traces import read_trace
from entropy.simulation.workload import Workload, make_nodes, start_cluster

__all__ = ["HEADROOM", "NODES", "STEP", "VMS", "Lines", "Pace", "Stage", "build_stage"]

NODES, VMS, HOURS, STEP = 40, 200, 24.0, 300.0
VMS_A_NODE = 5
HEADROOM, LOOKS_BACK = 0.2, 6
"""Without a configuration: the share of every node's cpu kept free, and over how many looks a peak of load is remembered."""
WORK_LIMIT = 0.1
"""Deterministic units for one planning, about as many seconds of exact search: the figures must not depend on the machine."""
PERIOD = 60.0
"""Seconds for which drawn load holds; everything is measured as often."""
DAY = 86400.0

Watcher = Callable[[Rehearsal], None]


@dataclass
class Stage:
    """``seconds`` of ``workload`` on ``nodes``, which start with the static allocation ``allotted``."""

    workload: Workload
    nodes: tuple[Node, ...]
    seconds: float
    settings: LoopSettings
    execution: ExecutionSettings
    policy: Policy
    seed: int
    allotted: Baseline
    scene: dict[str, Any]
    _rehearsal: Rehearsal | None = field(default=None, init=False)

    @property
    def title(self) -> str:
        """``24 hours of 40 nodes and 200 VMs``."""
        hours = self.seconds / 3600.0
        duration = f"{three_digits(hours)} hour{'' if hours == 1 else 's'}"
        return f"{duration} of {count(len(self.nodes), 'node')} and {count(len(self.workload.machines), 'VM')}"

    @property
    def static_nodes(self) -> int:
        """Nodes of the static allocation."""
        return self.allotted.in_use[0]

    def run(self, watchers: Sequence[Watcher], stopwatch: Callable[[], float]) -> Figures:
        """The loop, from beginning to end."""
        hosts = [int(h) for h in self.allotted.hosts]

        def tell(rehearsal: Rehearsal) -> None:
            for watcher in watchers:
                watcher(rehearsal)

        self._rehearsal = Rehearsal(
            start_cluster(self.workload, self.nodes, hosts),
            seconds=self.seconds,
            load=self.workload.demand,
            policy=self.policy,
            settings=self.settings,
            execution=self.execution,
            period=self.workload.period if self.workload.period < PERIOD else PERIOD,
            seed=self.seed,
            stopwatch=stopwatch,
            on_tick=tell,
        )
        return self._rehearsal.run()

    def figures(self) -> Figures:
        """What was measured so far."""
        assert self._rehearsal is not None
        return self._rehearsal.figures()

    def summary(self, figures: Figures, took: float, interrupted: bool = False) -> Summary:
        """Compared with what there would be without Entropy, over the same time."""
        over = figures.seconds
        loop, start = self.settings, self.allotted.hosts
        packed = repacked(self.workload, self.nodes, over, loop.interval, loop.kept_free, loop.peak_window, start)
        diary = self._rehearsal.diary if self._rehearsal else None
        done = f"Stopped after {three_digits(over / 3600)} of {self.title}" if interrupted else f"Simulated {self.title}"
        return Summary(
            scene={**self.scene, "hours": round(over / 3600.0, 4)},
            title=f"{done} (seed {self.seed})",
            step=loop.interval,
            entropy=figures,
            static=static(self.workload, self.nodes, over),
            repacked=packed,
            took=took,
            warnings=diary.warnings if diary else (),
        )


def build_stage(
    *, nodes: int | None, vms: int | None, hours: float | None, step: float | None, seed: int, trace: str | None, mixed: bool,
    objective: str | None, policy: str | None, config: str | None, headroom: float | None,
) -> Stage:  # fmt: skip
    """From the command's options.  Raises ``InputError``."""
    workload, seconds = _workload(trace, vms, hours, seed)
    number = nodes if nodes is not None else max(1, -(-len(workload.machines) // VMS_A_NODE))
    hosts = make_nodes(number, mixed)
    configured = load_settings(config) if config is not None else None
    settings = _loop_settings(configured, step, seed, objective, headroom)
    allotted = static(workload, hosts, seconds)
    if (homeless := int((allotted.hosts < 0).sum())) > 0:
        needed, offered = workload.memory.sum() / 1024, sum(n.limit("memory") for n in hosts) / 1024
        raise InputError(
            f"{count(len(workload.machines), 'VM')} need {needed:.0f} GiB of memory, {count(number, 'node')} offer {offered:.0f} GiB: "
            f"{count(homeless, 'VM')} find no room", where="--nodes", accepted="more nodes, or fewer --vms",
        )  # fmt: skip
    return Stage(
        workload=workload, nodes=hosts, seconds=seconds, settings=settings, allotted=allotted, seed=seed,
        execution=configured.execution if configured else ExecutionSettings(),
        policy=_policy(policy, configured),
        scene={
            "nodes": number, "mixedNodes": mixed, "vms": len(workload.machines), "step": settings.interval, "seed": seed, "trace": trace,
            "objective": settings.objective, "policy": policy, "config": config, "headroom": settings.kept_free,
            "peakWindow": settings.peak_window,
        },
    )  # fmt: skip


def _workload(trace: str | None, vms: int | None, hours: float | None, seed: int) -> tuple[Workload, float]:
    """The load, never shorter than a day (static allocation must know its peaks), and for how long it is simulated."""
    if trace is None:
        seconds = (HOURS if hours is None else hours) * 3600.0
        return synthetic(VMS if vms is None else vms, max(seconds, DAY), seed, PERIOD), seconds
    workload = read_trace(trace, vms, seed)
    seconds = workload.seconds if hours is None else hours * 3600.0
    if seconds > workload.seconds:
        lasts = f"{three_digits(workload.seconds / 3600.0)} hours"
        raise InputError(f"the trace {trace} lasts {lasts}", where="--hours", accepted=f"at most {lasts}")
    return workload, seconds


def _loop_settings(
    configured: Settings | None, step: float | None, seed: int, objective: str | None, headroom: float | None
) -> LoopSettings:
    """One worker and a limit of work, so that the answer is the same on every machine."""
    if configured is None:
        every = STEP if step is None else step
        base = LoopSettings(interval=every, headroom=HEADROOM, peak_window=LOOKS_BACK * every, back_off=max(every, 300.0))
    else:
        base = configured.loop if step is None else configured.loop.model_copy(update={"interval": step})
    changes: dict[str, Any] = {"workers": 1, "seed": seed, "work_limit": base.work_limit or WORK_LIMIT}
    if objective is not None:
        changes["objective"] = objective
    if headroom is not None:
        changes["headroom"] = headroom
    return base.model_copy(update=changes)


def _policy(path: str | None, configured: Settings | None) -> Policy:
    if path is not None:
        return documents.read(path, Policy)
    return read_policy(configured) if configured is not None else Policy()


class Lines:
    """Where nobody can be shown a picture: a line every simulated hour."""

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self._static, self._say = stage.static_nodes, say
        self._every = max(3600.0, stage.seconds / 48)
        self._next = self._every

    def tick(self, rehearsal: Rehearsal) -> None:
        """Something is new."""
        meter = rehearsal.meter
        now = len(meter.in_use) * meter.period
        if now < self._next or not meter.in_use:
            return
        self._next += self._every
        figures = rehearsal.figures()
        self._say(
            f"{clock(now)}  {meter.in_use[-1]} nodes in use (static {self._static}), {count(figures.migrations, 'move')} so far. "
            f"{rehearsal.sentence}"
        )


class Pace:
    """At most ``speed`` simulated seconds a real one."""

    def __init__(self, speed: float | None, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._speed, self._now, self._sleep = speed, now, sleep
        self._began: float | None = None

    def tick(self, rehearsal: Rehearsal) -> None:
        """Waits if it goes too fast."""
        if self._speed is None:
            return
        if self._began is None:
            self._began = self._now()
        ahead = rehearsal.world.now() / self._speed - (self._now() - self._began)
        if ahead > 0:
            self._sleep(ahead)
