"""Dual-feasible functions: weighings of VMs that see what volume does not, such as that two large VMs never share a node.

A function that is superadditive, f(x) + f(y) <= f(x + y), and never falls weighs VMs so that no node of capacity C holds more than
f(C), whatever the other nodes' capacities: so one function serves heterogeneous nodes.  Several resources are weighed by any
non-negative combination of them first (no node holds more of the combination than its capacities' combination).  Families:

* ``_over``     x from a threshold on, else 0; on all numbers
* ``_rounded``  mixed-integer rounding (Burdett and Johnson), on all numbers; with a step just above C/k it counts VMs above C/k
* ``_large``    Martello and Toth's: VMs above C - threshold fill a node, those below the threshold are nothing; up to C
* ``_steps``    Fekete and Schepers' u(k): multiples of C/(k + 1); up to C
* ``_halves``   Carlier, Clautiaux and Moukrim's (also Boschetti and Mingozzi's): multiples of a step counted from both ends; up to C

Those up to C are used with the largest capacity as C.  Sources: Clautiaux, Alves and Valerio de Carvalho, "A survey of dual-feasible
and superadditive functions", Annals of OR 179 (2010), sections 3 and 4; the same and Rietz on vector packing, "Multidimensional
dual-feasible functions and fast lower bounds for the vector packing problem", EJOR 233 (2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from entropy.placement.bounds.cover import cover, cover_scores
from entropy.problem.problem import Integers

__all__ = ["FAMILIES", "directions", "dual_bound", "histogram"]

_VALUES = 4_096
"""Distinct sizes that are told apart; more are merged downwards, which keeps the bound valid."""
_WORK = 1_000_000
"""Function values computed per family and direction, a node's counting as many: sets how many parameters are tried."""
_SORTING = 30
_PARAMETERS, _TOO_FEW = 256, 3
_EXACT = float(1 << 54)
_COUNTED = 1 << 22
"""Up to this size amounts are counted instead of sorted."""

Family = Callable[[Integers, Integers, int], Integers]
"""(x, parameter, C) -> f(x); the arrays broadcast."""


def _over(x: Integers, threshold: Integers, _capacity: int) -> Integers:
    return np.where(x >= threshold, x, 0)


def _rounded(x: Integers, step: Integers, capacity: int) -> Integers:
    loose = capacity % step
    whole, rest = np.divmod(x, step)
    return np.asarray(whole * (step - loose) + np.maximum(rest - loose, 0))


def _large(x: Integers, threshold: Integers, capacity: int) -> Integers:
    return np.where(x > capacity - threshold, capacity, np.where(x >= threshold, x, 0))


def _steps(x: Integers, k: Integers, capacity: int) -> Integers:
    whole, rest = np.divmod((k + 1) * x, capacity)
    return np.where(rest == 0, whole * k, whole * (k + 1))


def _halves(x: Integers, step: Integers, capacity: int) -> Integers:
    above = 2 * (capacity // step - (capacity - x) // step)
    return np.where(2 * x > capacity, above, np.where(2 * x == capacity, capacity // step, 2 * (x // step)))


FAMILIES: dict[str, tuple[Family, bool]] = {
    "over": (_over, True),
    "rounded": (_rounded, True),
    "large": (_large, False),
    "steps": (_steps, False),
    "halves": (_halves, False),
}
"""Name -> function, and whether it is superadditive on all numbers (otherwise on 0..C)."""


def dual_bound(demand: Integers, capacity: Integers, cost: Integers, available: Integers, *, combined: bool = True) -> int:
    """Best proven cost over all functions: ``demand`` int64[V, R] on nodes of ``capacity`` int64[M, R], ``available[m]`` of each.

    ``combined``: weigh combinations of resources too, not only each by itself.
    """
    best = (-1.0, 0, np.zeros(len(capacity), dtype=np.int64))
    for direction in directions(demand, capacity) if combined else np.eye(demand.shape[1], dtype=np.int64):
        room = capacity @ direction
        most = int(room.max(initial=0))
        values, counts = _merged(*histogram(np.minimum(demand @ direction, most)))
        if not len(values) or most == 0:
            continue
        for total, supply in _weighings(values, counts, room):
            scores = cover_scores(
                total.astype(np.float64), supply.astype(np.float64), cost.astype(np.float64), available.astype(np.float64)
            )
            k = int(scores.argmax())
            if scores[k] > best[0]:
                best = (float(scores[k]), int(total[k]), supply[k])
    if best[0] <= 0:
        return 0
    return cover(best[1], best[2].tolist(), cost.tolist(), available.tolist())


def directions(demand: Integers, capacity: Integers) -> Integers:
    """int64[D, R]: each resource by itself, then pairs and all, each resource measured in what the largest node offers of it."""
    n = demand.shape[1]
    total, largest = demand.sum(axis=0).astype(np.float64), capacity.max(axis=0, initial=0)
    useful = [r for r in range(n) if total[r] > 0 and largest[r] > 0]
    out = [np.eye(n, dtype=np.int64)[r] for r in useful]
    groups: list[tuple[int, ...]] = [*combinations(useful, 2)] if len(useful) <= 4 else []
    if len(useful) > 2:
        groups.append(tuple(useful))
    for group in groups:
        unit = np.zeros(n, dtype=np.int64)
        unit[list(group)] = 16 * int(largest[list(group)].max()) // largest[list(group)]
        if float(unit @ np.maximum(total, largest.astype(np.float64))) < _EXACT:
            out.append(unit)
    return np.stack(out) if out else np.zeros((0, n), dtype=np.int64)


def histogram(amounts: Integers) -> tuple[Integers, Integers]:
    """(distinct positive amounts ascending, how often each)."""
    if len(amounts) > 1_000 and int(amounts.max()) < _COUNTED:
        often = np.bincount(amounts)
        values = np.flatnonzero(often).astype(np.int64)
        counts = often[values].astype(np.int64)
    else:
        values, counts = np.unique(amounts, return_counts=True)
        counts = counts.astype(np.int64)
    positive = values > 0
    return values[positive], counts[positive]


def _merged(values: Integers, counts: Integers) -> tuple[Integers, Integers]:
    if len(values) <= _VALUES:
        return values, counts
    edges = np.unique(np.linspace(0, len(values), _VALUES, endpoint=False).astype(np.int64))
    return values[edges], np.add.reduceat(counts, edges)


def _weighings(values: Integers, counts: Integers, room: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Per family and capacity: the VMs' total weight int64[P] and each node's supply int64[P, M], for P parameters."""
    tried = min(_WORK // (len(values) + _SORTING * len(room)), _PARAMETERS)
    if tried < _TOO_FEW:
        return
    largest = int(room.max())
    kinds, often = np.unique(room[room > 0], return_counts=True)
    references = {largest, *(int(c) for c in kinds[np.argsort(-often, kind="stable")[:2]])}
    for capacity in sorted(references, reverse=True):
        for name, (function, everywhere) in FAMILIES.items():
            if (name == "over" or not everywhere) and capacity != largest:
                continue
            parameter = _thin(_parameters(name, values, capacity), tried)[:, None]
            if len(parameter):
                yield function(values, parameter, capacity) @ counts, function(room, parameter, capacity)


def _parameters(name: str, values: Integers, capacity: int) -> Integers:
    """What is worth trying: sizes of VMs, what they leave of a node, and parts of a node."""
    parts = np.arange(1, 32, dtype=np.int64)
    sizes = np.unique(np.concatenate((values, capacity - values)))
    match name:
        case "over":
            return np.unique(values)
        case "rounded":
            sizes = np.unique(np.concatenate((sizes, capacity // parts, capacity // parts + 1)))
            return sizes[(sizes > 0) & (sizes <= capacity + 1)]
        case "steps":
            return parts[parts < max(capacity, 2)]
        case _:
            return sizes[(sizes > 0) & (2 * sizes <= capacity)]


def _thin(parameters: Integers, most: int) -> Integers:
    if len(parameters) <= most:
        return parameters
    return parameters[np.linspace(0, len(parameters) - 1, most).astype(np.int64)]
