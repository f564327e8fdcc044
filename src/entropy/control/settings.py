"""The configuration: one object from ``config/entropy.toml``, ``.yaml`` or the original's ``.properties``.

All durations are in seconds, the simplify threshold in MHz.  Relative paths are relative to the distribution folder: the
parent of ``config/``, or the configuration file's own folder when that is not called ``config``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entropy.execution.settings import ExecutionSettings
from entropy.model.policy import Objective
from entropy.model.values import InvalidValueError

__all__ = [
    "DriverSettings", "ExecutionTable", "LogSettings", "LoopSettings", "MonitoringSettings", "PolicySettings", "Settings",
    "Simplify", "StateSettings", "load_settings",
]  # fmt: skip

Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
_SECTION = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)
_OPEN = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, populate_by_name=True)


class MonitoringSettings(BaseModel):
    """Where the cluster is observed.  Every further table belongs to the adapter of that name (``[monitoring.ganglia]``)."""

    model_config = _OPEN

    adapter: str = "ganglia"
    nodes_blacklist: Path | None = None
    nodes_whitelist: Path | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if self.nodes_blacklist and self.nodes_whitelist:
            raise InvalidValueError(
                "a black list and a white list exclude each other", ("nodesWhitelist",), self.nodes_whitelist, "one of the two"
            )
        return self

    def tables(self) -> Mapping[str, Any]:
        """Adapter name -> its own settings."""
        return dict(self.model_extra or {})


class DriverSettings(BaseModel):
    """Who acts.  ``default`` is the driver of nodes that name none; every further table belongs to the driver of that name."""

    model_config = _OPEN

    default: str | None = None

    def tables(self) -> Mapping[str, Any]:
        """Driver name -> its own settings."""
        return dict(self.model_extra or {})


class PolicySettings(BaseModel):
    """The Policy document; without one named, ``policy.yaml`` beside the configuration if it is there, else no rules."""

    model_config = _SECTION

    file: Path | None = None


class Simplify(BaseModel):
    """Active and inactive VMs (see ``control/simplify.py``).  ``threshold`` in MHz."""

    model_config = _SECTION

    activate: bool = False
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 500.0


class LoopSettings(BaseModel):
    """When to look and when to act; ``docs/operating.md`` explains each."""

    model_config = _SECTION

    interval: PositiveSeconds = 20.0
    reconfigure: bool = True
    objective: Objective | None = None
    best_effort: bool = True
    time_limit: PositiveSeconds = 20.0
    work_limit: PositiveSeconds | None = None  # deterministic units, not seconds
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    dask: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    horizon: PositiveSeconds = 3600.0
    move_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    min_gain: Annotated[int, Field(ge=1)] = 1
    min_spread_gain: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 5.0  # percentage points
    cool_down: Seconds = 600.0
    headroom: Annotated[float, Field(ge=0, lt=1)] | None = None
    peak_window: Seconds = 300.0
    back_off: PositiveSeconds = 300.0
    simplify: Simplify = Simplify()

    @property
    def kept_free(self) -> float:
        """Share of every node's cpu that consolidation and balance leave free: as set; else 10 %, or none with whole processing units."""
        if self.headroom is not None:
            return self.headroom
        return 0.0 if self.simplify.activate else 0.1


class ExecutionTable(ExecutionSettings):
    """Limits of the executor, spelt as every other key is."""

    model_config = _SECTION


class StateSettings(BaseModel):
    """``directory`` holds lock, status and journal; ``journal`` is a database URL, SQLite in the directory by default."""

    model_config = _SECTION

    directory: Path | None = None
    journal: str | None = None


class LogSettings(BaseModel):
    """``file`` is rotated every midnight, ``keep`` days are kept."""

    model_config = _SECTION

    file: Path | None = None
    level: Literal["debug", "info", "warning", "error"] = "info"
    keep: Annotated[int, Field(ge=0)] = 30


class Settings(BaseSettings):
    """Everything that can be set.  ``ENTROPY_LOOP__INTERVAL=5`` in the environment beats the file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="ENTROPY_", env_nested_delimiter="__", populate_by_name=True)

    monitoring: MonitoringSettings = MonitoringSettings()
    drivers: DriverSettings = DriverSettings()
    policy: PolicySettings = PolicySettings()
    loop: LoopSettings = LoopSettings()
    durations: Mapping[str, str] = Field(default_factory=dict)
    execution: ExecutionTable = Field(default_factory=ExecutionTable)
    state: StateSettings = StateSettings()
    log: LogSettings = LogSettings()

    _file: Path = PrivateAttr(default=Path("entropy.toml"))
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file."""
        return env_settings, init_settings

    @property
    def file(self) -> Path:
        """The configuration file, absolute."""
        return self._file

    @property
    def warnings(self) -> tuple[str, ...]:
        """Known keys that no longer mean anything, and the like; one sentence each."""
        return self._warnings

    @property
    def home(self) -> Path:
        """The distribution folder; relative paths start here."""
        folder = self._file.parent
        return folder.parent if folder.name == "config" else folder

    @property
    def _system(self) -> bool:
        return self.home.is_relative_to("/etc")

    @property
    def state_directory(self) -> Path:
        """Lock, status and journal: ``state``, or ``/var/lib/entropy`` for a configuration in ``/etc``."""
        default = Path("/var/lib/entropy") if self._system else Path("state")
        return self.home / (self.state.directory or default)

    @property
    def journal_url(self) -> str:
        """Database URL of the journal."""
        return self.state.journal or f"sqlite:///{self.state_directory / 'journal.sqlite'}"

    @property
    def log_file(self) -> Path:
        """``logs/entropy.log``, or ``/var/log/entropy/entropy.log`` for a configuration in ``/etc``."""
        default = Path("/var/log/entropy/entropy.log") if self._system else Path("logs/entropy.log")
        return self.home / (self.log.file or default)

    @property
    def policy_file(self) -> Path | None:
        """The Policy document to read, if any."""
        if self.policy.file is not None:
            return self.home / self.policy.file
        beside = self._file.parent / "policy.yaml"
        return beside if beside.is_file() else None

    def adapter_settings(self) -> dict[str, Any]:
        """What the configured adapter's ``from_settings`` gets."""
        table = dict(self.monitoring.tables().get(self.monitoring.adapter, {}))
        if self.monitoring.nodes_blacklist:
            table["nodesBlacklist"] = str(self.home / self.monitoring.nodes_blacklist)
        if self.monitoring.nodes_whitelist:
            table["nodesWhitelist"] = str(self.home / self.monitoring.nodes_whitelist)
        return table

    def with_loop(self, **changes: Any) -> Settings:
        """The same settings with parts of ``loop`` replaced."""
        found = self.model_copy(update={"loop": self.loop.model_copy(update=changes)})
        return found.placed(self._file, self._warnings)

    def placed(self, file: Path, warnings: tuple[str, ...]) -> Settings:
        """The same settings, knowing the file they were read from."""
        found = self.model_copy()
        found._file, found._warnings = file, warnings  # noqa: SLF001 - its own class
        return found


def load_settings(path: str | None = None) -> Settings:
    """The settings in ``path``, or where they are looked for (see ``find_file``).

    Raises ``InputError`` naming file, key, value and what is accepted; an unknown key names its nearest known one.
    """
    from entropy.control.settings_files import read_settings

    return read_settings(path, os.environ)
