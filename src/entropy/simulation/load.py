"""A seeded day of load that looks like a company's cluster: web, batch, databases, office desktops.

    synthetic(count, seconds, seed=0, period=60.0) -> Workload

Each VM is drawn from a stream of its own (seed, number), so a larger cluster begins with the VMs of the smaller one.

* web: a curve of the day (low at night, a plateau from late morning, a second rise in the evening), its height and hour
  differing from VM to VM
* batch: idle, then whole runs at nearly full speed; half of the VMs work at night
* database: steady, a little more by day
* office: asleep outside working hours

The curve is multiplied by a lognormal noise that remembers (an AR(1) process of about ten minutes), and short bursts are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from entropy.simulation.workload import GIB, Machine, Workload

__all__ = ["KINDS", "size_of", "synthetic"]

Floats = NDArray[np.float64]

HOUR = 3600.0
DAY = 24 * HOUR
LEAST = 0.02
"""Cores that even an idle VM demands."""
MEMORY_OF_NOISE = 600.0
"""Seconds after which the noise has forgotten most of what it was."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``share`` of all VMs; ``vcpus`` and ``memory`` (GiB) with their odds; ``sigma`` of the noise's logarithm; ``bursts`` a day, each
    adding up to ``height`` of the vCPUs."""

    share: float
    vcpus: Mapping[int, float]
    memory: Mapping[int, float]
    sigma: float
    bursts: float
    height: float
    curve: Callable[[Generator, Floats], Floats]


def _web(rng: Generator, hours: Floats) -> Floats:
    """Share of the vCPUs at each hour of the day."""
    night, day = rng.uniform(0.04, 0.10), rng.uniform(0.42, 0.74)
    shift = rng.normal(0.0, 0.8)
    return night + (day - night) * np.maximum(_bump(hours, 13.5 + shift, 5.5), 0.8 * _bump(hours, 20.0 + shift, 2.5))


def _batch(rng: Generator, hours: Floats) -> Floats:
    """Runs of half an hour to four hours, most of them in the half of the day that this VM works in."""
    busy = np.full(len(hours), 0.02)
    nightly = rng.random() < 0.5
    days = int(np.ceil(hours[-1] / 24.0)) + 1
    for day in range(-1, days):
        for _ in range(rng.poisson(1.6)):
            middle = rng.normal(2.0, 2.0) if nightly else rng.uniform(8.0, 20.0)
            start, lasts = day * 24.0 + middle, rng.uniform(0.5, 4.0)
            busy[(hours >= start) & (hours < start + lasts)] = rng.uniform(0.8, 0.98)
    return busy


def _database(rng: Generator, hours: Floats) -> Floats:
    """Steady, with some of the day in it."""
    level = rng.uniform(0.22, 0.48)
    return level * (1.0 + 0.3 * _bump(hours, 14.0, 6.0))


def _office(rng: Generator, hours: Floats) -> Floats:
    """From about 8 to about 18 o'clock."""
    begins, ends, level = rng.normal(8.3, 0.7), rng.normal(17.5, 0.8), rng.uniform(0.10, 0.30)
    return 0.02 + level * (_step(hours, begins) - _step(hours, ends))


def _bump(hours: Floats, middle: float, width: float) -> Floats:
    """1 at ``middle`` o'clock, falling to 0 within about twice ``width`` hours, every day."""
    distance = np.abs((hours - middle + 12.0) % 24.0 - 12.0)
    return np.asarray(np.exp(-((distance / width) ** 4)))


def _step(hours: Floats, at: float) -> Floats:
    """0 before ``at`` o'clock, 1 after, within half an hour, every day."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip((hours % 24.0 - at) / 0.12, -60.0, 60.0))))


KINDS: Mapping[str, Kind] = {
    "web": Kind(
        share=0.40, vcpus={2: 0.4, 4: 0.45, 8: 0.15}, memory={2: 0.45, 4: 0.4, 8: 0.15}, sigma=0.15, bursts=5, height=0.35, curve=_web
    ),
    "batch": Kind(
        share=0.15, vcpus={1: 0.2, 2: 0.4, 4: 0.4}, memory={2: 0.4, 4: 0.4, 8: 0.2}, sigma=0.04, bursts=0, height=0.0, curve=_batch
    ),
    "db": Kind(
        share=0.20, vcpus={2: 0.3, 4: 0.5, 8: 0.2}, memory={4: 0.4, 8: 0.45, 16: 0.15}, sigma=0.10, bursts=3, height=0.3, curve=_database
    ),
    "office": Kind(share=0.25, vcpus={1: 0.5, 2: 0.5}, memory={1: 0.5, 2: 0.4, 4: 0.1}, sigma=0.30, bursts=6, height=0.5, curve=_office),
}
"""What the VMs are used for."""


def synthetic(count: int, seconds: float, seed: int = 0, period: float = 60.0) -> Workload:
    """``count`` VMs over ``seconds``, a sample every ``period`` seconds, starting at midnight."""
    samples = max(1, int(np.ceil(seconds / period)))
    hours = np.arange(samples, dtype=np.float64) * (period / HOUR)
    machines, rows = [], []
    order = _kinds(count)
    numbers: dict[str, int] = {}
    for v in range(count):
        rng = np.random.default_rng([seed, v])
        name = order[v]
        numbers[name] = numbers.get(name, 0) + 1
        vcpus, memory = size_of(rng, name)
        machines.append(Machine(name=f"{name}-{numbers[name]}", kind=name, vcpus=vcpus, memory=memory))
        rows.append(_demand(rng, KINDS[name], vcpus, hours, period))
    cpu = np.stack(rows) if rows else np.zeros((0, samples))
    return Workload(tuple(machines), np.round(cpu, 3), period)


def size_of(rng: Generator, kind: str) -> tuple[int, int]:
    """(vCPUs, MiB) of a VM of this kind."""
    drawn = KINDS[kind]
    vcpus = int(rng.choice(list(drawn.vcpus), p=list(drawn.vcpus.values())))
    return vcpus, int(rng.choice(list(drawn.memory), p=list(drawn.memory.values()))) * GIB


def _kinds(count: int) -> list[str]:
    """A kind for each VM: at every length as near to the shares as whole VMs allow (the largest lag goes first)."""
    given = dict.fromkeys(KINDS, 0)
    order = []
    for k in range(1, count + 1):
        name = max(KINDS, key=lambda n: KINDS[n].share * k - given[n])
        given[name] += 1
        order.append(name)
    return order


def _demand(rng: Generator, kind: Kind, vcpus: int, hours: Floats, period: float) -> Floats:
    """Cores at each sample."""
    used = kind.curve(rng, hours) * _noise(rng, kind.sigma, len(hours), period)
    used += _bursts(rng, kind, len(hours), period)
    return np.clip(used * vcpus, LEAST, float(vcpus))


def _noise(rng: Generator, sigma: float, samples: int, period: float) -> Floats:
    """Lognormal of mean 1 whose logarithm is an AR(1) process with standard deviation ``sigma``."""
    keep = float(np.exp(-period / MEMORY_OF_NOISE))
    shocks = rng.normal(0.0, sigma * np.sqrt(1.0 - keep**2), samples).tolist()
    value, values = rng.normal(0.0, sigma), []
    for shock in shocks:
        value = keep * value + shock
        values.append(value)
    return np.exp(np.array(values) - sigma**2 / 2.0)


def _bursts(rng: Generator, kind: Kind, samples: int, period: float) -> Floats:
    """Short ones: 2 to 10 minutes."""
    added = np.zeros(samples)
    for start in rng.uniform(0.0, samples, rng.poisson(kind.bursts * samples * period / DAY)).astype(int):
        lasts = max(1, round(rng.uniform(120.0, 600.0) / period))
        added[start : start + lasts] += kind.height * rng.uniform(0.4, 1.0)
    return added
