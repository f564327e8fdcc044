"""A cluster as nodes that exchange VMs: what the bound on moved memory sees of a problem.

Whatever leaves a node must arrive at another, and its arrival may push out what runs there.  Each node by itself chooses an exchange: which
of its residents stay and which VMs arrive, within its capacities.  The nodes are coupled by one row for each class of VMs alone: arrivals
of the class are at least its departures and its newcomers.  Group limits, identities and rounding (below) are relaxed, so every viable
placement is one of these.

VMs of similar demand form a class, whose arrival takes the least of each resource that any member takes, rounded down to whole units.
Domains are told apart for the most frequent ones; the rest may arrive wherever any of them may.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entropy.placement.bounds.exchange_kernels import Residents, Table
from entropy.placement.goals import observed_hosts
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["Exchange", "exchange_of"]

_DOMAINS = 3
"""Domains that are told apart; the others count as one."""
_CELLS = 1 << 15
"""Cells of the grid over what room a node may have."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """C classes, P kinds of nodes by what may arrive there.

    vms         int32[M]     the VMs of ``residents``, by node: those that may stay or leave
    size        int64[C, R]  what an arrival takes, in units of ``table``; classes of no size are in ``weightless``
    members     int64[C]     VMs of the class that are to run and may move
    arriving    int64[C]     VMs that certainly arrive: newcomers, and those that may not stay
    allowed     bool[P, C]   may the class arrive at a node of the kind?
    weightless  bool[C]      takes no unit of anything: never more arrivals on a node than ``members``
    sure        int          memory that moves in any case: of VMs that may not stay
    class_of    int64[V]     class of each VM, -1 for those that do not move
    """

    vms: Indices
    residents: Residents
    table: Table
    size: Integers
    members: Integers
    arriving: Integers
    allowed: Bools
    weightless: Bools
    sure: int
    class_of: Integers


def exchange_of(problem: Problem, *, classes: int, cells: int = _CELLS) -> Exchange:
    """The exchange that ``problem`` relaxes to, with at most ``classes`` classes of VMs per group of domains."""
    home = observed_hosts(problem)
    runs = problem.runs_at_end()
    free = runs & ~problem.held
    driven = free & (home >= 0)
    driven[driven] = ~problem.domains[problem.domain_of[driven], home[driven]]
    movable = positions(free)
    rows, row_of = _frequent(problem, movable)
    room = _room(problem, runs & problem.held)
    table = _grid(np.maximum(room, 0), problem.demand[movable], cells)
    grid = problem.demand[movable] // table.unit
    kind = np.zeros(len(movable), dtype=np.int64)
    for row in range(len(rows)):
        of_row = row_of == row
        kind[of_row] = kind.max(initial=-1) + 1 + _split(grid[of_row], classes)
    _, kind = np.unique(kind, return_inverse=True)
    count = int(kind.max(initial=-1)) + 1
    size = np.full((count, len(problem.resources)), np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(size, kind, grid)
    class_of = np.full(problem.n_vms, -1, dtype=np.int64)
    class_of[movable] = kind
    class_row = np.zeros(count, dtype=np.int64)
    class_row[kind] = row_of
    profiles, profile = np.unique(rows, axis=1, return_inverse=True)
    stay = positions(free & (home >= 0) & ~driven)
    stay = stay[np.argsort(home[stay], kind="stable")]
    arriving = free & ((home < 0) | driven)
    forced = np.zeros(problem.n_nodes, dtype=np.bool_)
    forced[problem.host[runs & problem.held]] = True
    return Exchange(
        vms=stay,
        residents=Residents(
            start=np.searchsorted(home[stay], np.arange(problem.n_nodes + 1)).astype(np.int64),
            demand=np.ascontiguousarray(problem.demand[stay]),
            weight=problem.weight[stay].copy(),
            class_of=class_of[stay].copy(),
            room=room,
            profile=profile.reshape(-1).astype(np.int64),
            forced=forced,
        ),
        table=table,
        size=size,
        members=np.bincount(kind, minlength=count).astype(np.int64),
        arriving=np.bincount(class_of[arriving], minlength=count).astype(np.int64),
        allowed=np.ascontiguousarray(profiles.T[:, class_row]),
        weightless=np.asarray(~size.any(axis=1)),
        sure=int(problem.weight[driven].sum()),
        class_of=class_of,
    )


def _room(problem: Problem, held: Bools) -> Integers:
    """int64[N, R]: capacity less what is held there; never more than all that is demanded."""
    room = np.minimum(problem.capacity, problem.demand[problem.runs_at_end()].sum(axis=0))
    np.subtract.at(room, problem.host[held], problem.demand[held])
    return np.ascontiguousarray(room)


def _frequent(problem: Problem, movable: Indices) -> tuple[Bools, Integers]:
    """(bool[K, N] sets of nodes, int64[M] the one of each movable VM): the most frequent domains, and the union of the others."""
    used, row_of, count = np.unique(problem.domain_of[movable], return_inverse=True, return_counts=True)
    if not len(used):
        return np.zeros((1, problem.n_nodes), dtype=np.bool_), np.zeros(0, dtype=np.int64)
    order = np.argsort(-count, kind="stable")
    place = np.empty(len(used), dtype=np.int64)
    place[order] = np.minimum(np.arange(len(used)), _DOMAINS)
    sets = np.zeros((int(place.max()) + 1, problem.n_nodes), dtype=np.bool_)
    for k, row in enumerate(used):
        sets[place[k]] |= problem.domains[row]
    return sets, place[row_of]


def _grid(room: Integers, demand: Integers, cells: int) -> Table:
    """The finest grid of at most so many cells: units of one where that is possible, else doubled where there are most levels."""
    most = room.max(axis=0, initial=0)
    unit = np.maximum(np.gcd.reduce(demand, axis=0), 1).astype(np.int64) if len(demand) else np.ones(room.shape[1], dtype=np.int64)
    while np.prod((most // unit + 1).astype(np.float64)) > cells:
        unit[np.argmax(most // unit)] *= 2
    return Table(levels=most // unit + 1, unit=unit)


def _split(grid: Integers, classes: int) -> Integers:
    """int64[M]: at most ``classes`` classes, each of VMs whose sizes are close: split by the resource with fewest sizes first."""
    kind = np.zeros(len(grid), dtype=np.int64)
    if not len(grid):
        return kind
    exact = kind
    for column in grid.T:  # number the distinct rows, column by column
        found, rank = np.unique(column, return_inverse=True)
        exact = np.unique(exact * len(found) + rank, return_inverse=True)[1]
    if int(exact.max()) < classes:
        return np.asarray(exact, dtype=np.int64)
    order = np.argsort([len(np.unique(column)) for column in grid.T], kind="stable")
    for step, r in enumerate(order):
        groups = int(kind.max()) + 1
        share = max(int((classes / groups) ** (1 / (len(order) - step))), 1)
        kind = _refine(kind, grid[:, r], share)
    return kind


def _refine(kind: Integers, values: Integers, parts: int) -> Integers:
    """Each group of ``kind`` split into at most ``parts`` ranges of ``values``: one value each, else of equal numbers."""
    finer = np.zeros_like(kind)
    groups = 0
    for group in range(int(kind.max()) + 1):
        mine = kind == group
        found, rank = np.unique(values[mine], return_inverse=True)
        if len(found) > parts:
            cut = np.quantile(values[mine], np.arange(1, parts) / parts, method="lower")
            _, rank = np.unique(np.searchsorted(np.unique(cut), values[mine], side="right"), return_inverse=True)
        finer[mine] = groups + rank
        groups += int(rank.max()) + 1
    return finer
