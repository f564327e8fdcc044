"""The worlds of this process: adapter and driver, built apart from their settings, must find the same simulated cluster.

    world_of(settings) -> SimulatedCluster      register(name, world)      forget(name)      read_settings(mapping)

A world is found by the text of the setting ``file``: a path to a Cluster document, or a name that ``register`` gave.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entropy.formats import documents
from entropy.model.cluster import VM, Cluster
from entropy.model.errors import InputError
from entropy.model.plan import ActionType
from entropy.model.words import refused
from entropy.simulation.cluster import SimulatedCluster
from entropy.simulation.operations import contract_duration

__all__ = ["SimulationSettings", "forget", "read_settings", "register", "world_of"]


class SimulationSettings(BaseModel):
    """Settings of the adapter and the driver ``simulated``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, description="the Cluster document that the simulated cluster starts from")
    seed: int = Field(0, description="of the durations' noise")
    noise: float = Field(0.0, ge=0, lt=1, description="durations vary by up to this share")
    duration_factor: float = Field(1.0, ge=0, le=1e6, description="durations are multiplied by this")
    lag: float = Field(0.0, ge=0, le=3600, description="seconds by which observations lag behind")


_worlds: dict[str, SimulatedCluster] = {}


def read_settings(settings: Mapping[str, Any]) -> SimulationSettings:
    """Validated.  Raises ``InputError`` naming the key."""
    try:
        return SimulationSettings.model_validate(dict(settings))
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        accepted = ", ".join(f"{name} ({field.description})" for name, field in SimulationSettings.model_fields.items())
        message, _ = refused(first)
        raise InputError(message, where="settings of the simulated cluster", path=key, accepted=accepted) from problem


def world_of(settings: SimulationSettings) -> SimulatedCluster:
    """The world that ``settings.file`` names, made from the document when first asked for.

    Raises ``InputError`` when the file cannot be read or is no Cluster document.
    """
    key = _key(settings.file)
    world = _worlds.get(key)
    if world is None:
        world = _worlds[key] = SimulatedCluster(documents.read(settings.file, Cluster))
    given = settings.model_fields_set  # what only the driver's, or only the adapter's, settings state holds for both
    if "seed" in given:
        world.seed = settings.seed
    if "noise" in given:
        world.noise = settings.noise
    if "duration_factor" in given:
        factor = settings.duration_factor

        def scaled(kind: ActionType, vm: VM | None) -> float:
            return factor * contract_duration(kind, vm)

        world.durations = scaled
    return world


def register(name: str, world: SimulatedCluster) -> None:
    """Settings whose ``file`` is ``name`` find this world."""
    _worlds[_key(name)] = world


def forget(name: str) -> None:
    """The next settings with this ``file`` start from the document again."""
    _worlds.pop(_key(name), None)


def _key(name: str) -> str:
    return os.path.abspath(name)
