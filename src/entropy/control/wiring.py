"""Builds the parts that a configuration names: adapter, drivers, journal, executor, planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from entropy.control.decision import Planned, Planner
from entropy.control.settings import LoopSettings, Settings
from entropy.formats import documents
from entropy.model.cluster import Cluster
from entropy.model.errors import InputError
from entropy.model.policy import Objective, Policy
from entropy.platforms.base import ConfigurationAdapter

if TYPE_CHECKING:
    from entropy.execution.executor import Executor
    from entropy.execution.journal import Journal
    from entropy.platforms.directory import DriverDirectory
    from entropy.scheduling.durations import DurationModel

__all__ = ["Parts", "adapter_of", "build", "directory_of", "durations_of", "planner_of", "read_policy"]


@dataclass(frozen=True)
class Parts:
    """What acts on a cluster and remembers it."""

    adapter: ConfigurationAdapter
    directory: DriverDirectory
    journal: Journal
    executor: Executor

    async def close(self) -> None:
        """Let go of everything."""
        try:
            await self.adapter.close()
            await self.directory.close()
        finally:
            self.journal.close()


def build(settings: Settings) -> Parts:
    """Everything that ``settings`` name.  Raises ``InputError`` naming file and key; nothing is asked of anybody yet."""
    from entropy.execution.executor import Executor
    from entropy.execution.journal import Journal

    adapter, directory = adapter_of(settings), directory_of(settings)
    journal = Journal(settings.journal_url)
    adapter.recall = journal.last_known
    return Parts(adapter, directory, journal, Executor(adapter, directory, journal, settings.execution))


def adapter_of(settings: Settings) -> ConfigurationAdapter:
    """The configured monitoring.  Raises ``InputError``."""
    from entropy.platforms.registry import load_adapter

    with _from(settings, "monitoring.adapter"):
        cls = load_adapter(settings.monitoring.adapter)
    with _from(settings, f"monitoring.{settings.monitoring.adapter}"):
        return cls.from_settings(settings.adapter_settings())


def directory_of(settings: Settings) -> DriverDirectory:
    """The configured drivers.  Raises ``InputError``."""
    from entropy.platforms.directory import DriverDirectory

    with _from(settings, "drivers"):
        return DriverDirectory(settings.drivers.tables(), settings.drivers.default)


def durations_of(settings: Settings) -> DurationModel:
    """How long actions are expected to take.  Raises ``InputError``."""
    from entropy.scheduling.durations import DurationModel

    with _from(settings, "durations"):
        return DurationModel(dict(settings.durations))


def planner_of(settings: LoopSettings, durations: DurationModel, clock: Callable[[], float]) -> Planner:
    """The planner of the house with the loop's limits; ``clock`` in seconds, for ``timeLimit``."""
    from entropy.planning.options import PlanOptions
    from entropy.planning.planner import plan

    def planned(cluster: Cluster, policy: Policy, objective: Objective, held: frozenset[str], /) -> Planned:
        options = PlanOptions(
            objective=objective, time_limit=settings.time_limit, work_limit=settings.work_limit, workers=settings.workers,
            dask=settings.dask, seed=settings.seed, best_effort=settings.best_effort, held=held, durations=durations, clock=clock,
        )  # fmt: skip
        return plan(cluster, policy, options)

    return planned


def read_policy(settings: Settings) -> Policy:
    """The configured Policy document, or one without rules.  Raises ``InputError``."""
    file = settings.policy_file
    return Policy() if file is None else documents.read(str(file), Policy)


@contextmanager
def _from(settings: Settings, section: str) -> Iterator[None]:
    """A part's own error says which key; this adds the file and the section."""
    try:
        yield
    except InputError as problem:
        if problem.where and problem.where != "execution":
            raise
        path = problem.path if problem.path.startswith(section) else ".".join(part for part in (section, problem.path) if part)
        raise InputError(problem.message, where=str(settings.file), path=path, accepted=problem.accepted) from problem
