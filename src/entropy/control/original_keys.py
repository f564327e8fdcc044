"""The original's property keys, generation by generation: what each means here, or why it means nothing any more.

Accepted in every syntax.  1.0 is ``gmetad.*`` and ``dynamicConsolidation.*``, 1.x ``controlLoop.*`` and ``decision.*``,
2.x ``entropy.*``, ``monitoring.*``, ``controlLoop.custom.*``, ``plan.action.duration.*`` and ``driver.*``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FAMILIES", "MEANINGLESS", "ORIGINAL", "ORIGINAL_DEFAULTS", "SOLVING_TIMES", "converted"]

ORIGINAL: Mapping[str, str] = {
    "gmetad.host": "monitoring.ganglia.host",
    "gmetad.port": "monitoring.ganglia.port",
    "dynamicConsolidation.simplify.activate": "loop.simplify.activate",
    "dynamicConsolidation.simplify.threshold": "loop.simplify.threshold",
    "decision.simplify.activate": "loop.simplify.activate",
    "decision.simplify.threshold": "loop.simplify.threshold",
    "controlLoop.sleepDelay": "loop.interval",
    "controlLoop.logsDir": "log.file",
    "monitoring.impl": "monitoring.adapter",
    "monitoring.adapter.impl": "monitoring.adapter",
    "monitoring.adapter.nodesBlacklist": "monitoring.nodesBlacklist",
    "monitoring.adapter.nodesWhitelist": "monitoring.nodesWhitelist",
    "monitoring.simplify.cpu.impl": "loop.simplify.activate",
    "monitoring.simplify.cpu.threshold": "loop.simplify.threshold",
    "monitoring.simplify.cpu.CPUBurning.threshold": "loop.simplify.threshold",
    "entropy.delayBetweenLoops": "loop.interval",
    "controlLoop.custom.reconfigure": "loop.reconfigure",
    "auth.username": "drivers.ssh.username",
    "auth.privateKey": "drivers.ssh.privateKey",
    "driver.sshRun.command": "drivers.ssh.run",
    "driver.sshStop.command": "drivers.ssh.stop",
    "driver.sshMigration.command": "drivers.ssh.migrate",
    "driver.sshSuspend.command": "drivers.ssh.suspend",
    "driver.sshResume.command": "drivers.ssh.resume",
    "driver.sshShutdown.command": "drivers.ssh.shutdown",
}
"""Original key -> the key here that carries its meaning."""

FAMILIES: Mapping[str, str] = {"plan.action.duration.": "durations."}
"""Original prefix -> prefix here; the rest of the key is kept."""

SOLVING_TIMES: Mapping[str, tuple[str, float]] = {
    "dynamicConsolidation.vmpp.solvingTime": ("1.0", 60.0),
    "dynamicConsolidation.vmrp.solvingTime": ("1.0", 60.0),
    "decision.assign.timeout": ("1.2", 60.0),
    "plan.timeout": ("1.2", 60.0),
    "controlLoop.vmpacking.assignTimeout": ("1.x", 30.0),
    "controlLoop.vmpacking.planTimeout": ("1.x", 10.0),
    "controlLoop.custom.assignTimeout": ("2.x", 10.0),
    "controlLoop.custom.planTimeout": ("2.x", 300.0),
}
"""Limits of the original's two solves, with generation and default; here one limit, ``loop.timeLimit``: their sum."""

ORIGINAL_DEFAULTS: Mapping[str, Any] = {
    "loop.timeLimit": 120.0,
    "loop.simplify.activate": True,
    "loop.simplify.threshold": 500.0,
}
"""What a ``.properties`` file means where it is silent: the original's defaults, where they differ from ours."""

_NO_JMX = "there is no RMI registry; `entropy stop` asks the daemon through its state directory"
_NO_CHOICE = "there is one placement engine and one planner, which choose by themselves"
_NO_VJOBS = "virtual jobs are not scheduled by this version; rules stand in the Policy document"
_NO_SAMPLER = "amounts are not quantised; demands are placed exactly as they are measured"

MEANINGLESS: Mapping[str, str] = {
    "entropy.registry.port": _NO_JMX,
    "controlLoop.registry.port": _NO_JMX,
    "controlLoop.registry.id": _NO_JMX,
    "entropy.firstSolution": "the best solution found within loop.timeLimit is used",
    "entropy.first_solution": "the best solution found within loop.timeLimit is used",
    "entropy.log4j.properties": "logging is set in the section log",
    "controlLoop.impl": "there is one control loop; loop.objective says what it aims at",
    "controlLoop.custom.vjobsPath": _NO_VJOBS,
    "controlLoop.custom.prediction.step": "demand follows the measured peak, see loop.peakWindow",
    "controlLoop.custom.repair": "a cluster that is not viable is always repaired with the fewest moves",
    "controlLoop.custom.partitioningMode": _NO_CHOICE,
    "controlLoop.scheduler.vjobsPath": _NO_VJOBS,
    "controlLoop.scheduler.assignTimeout": _NO_VJOBS,
    "controlLoop.scheduler.planTimeout": _NO_VJOBS,
    "controlLoop.scheduler.reSelectionInterval": _NO_VJOBS,
    "controlLoop.scheduler.maxAssignmentFailures": _NO_VJOBS,
    "controlLoop.scheduler.vmBuilder": _NO_VJOBS,
    "controlLoop.scheduler.xenVMBuilder.cfgDir": _NO_VJOBS,
    "dynamicLeaseManager.reSelectionInterval": _NO_VJOBS,
    "dynamicLeaseManager.maxAssignmentFailures": _NO_VJOBS,
    "fifoQueue.directory": _NO_VJOBS,
    "suspendRecorder.filename": "the journal keeps where images lie",
    "decision.assign.impl": _NO_CHOICE,
    "decision.packing.impl": _NO_CHOICE,
    "decision.packing.timeout": _NO_CHOICE,
    "decision.runningSelector.impl": _NO_VJOBS,
    "decision.runningSelector.timeout": _NO_VJOBS,
    "plan.impl": _NO_CHOICE,
    "monitoring.simplify.mem.impl": _NO_SAMPLER,
    "monitoring.simplify.mem.sampler.size": _NO_SAMPLER,
    "monitoring.simplify.cpu.sampler.size": _NO_SAMPLER,
    "driver.xenapi.username": "the driver xenapi is not part of this version; use ssh with `xl migrate`",
    "driver.xenapi.password": "the driver xenapi is not part of this version; use ssh with `xl migrate`",
    "driver.xenapi.port": "the driver xenapi is not part of this version; use ssh with `xl migrate`",
    "driver.xenapi.relocationPort": "the driver xenapi is not part of this version; use ssh with `xl migrate`",
    "driver.xenapi.stateFilesLocation": "the driver xenapi is not part of this version; use ssh with `xl save`",
}
"""Original key -> why it no longer means anything (a warning, never an error)."""


def _adapter(value: Any) -> Any:
    return "ganglia" if value == "entropy.monitoring.ganglia.GangliaAdapterBuilder" else value


def _log_file(value: Any) -> Any:
    return f"{str(value).rstrip('/')}/entropy.log"


def _burning(value: Any) -> Any:
    return str(value).strip() == "CPUBurning"


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "monitoring.adapter.impl": _adapter,
    "monitoring.impl": _adapter,
    "controlLoop.logsDir": _log_file,
    "monitoring.simplify.cpu.impl": _burning,
}


def converted(key: str, value: Any) -> Any:
    """The value of an original key as the key here wants it."""
    convert = _CONVERTERS.get(key)
    return value if convert is None else convert(value)
