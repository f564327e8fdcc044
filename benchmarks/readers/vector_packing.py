"""Reads vector bin packing instances (``.vbp``): the number of resources, the bins' capacities, the number of items, and one item a line,
its sizes and how many there are of it.

An item becomes a VM that is not started yet and must run, a bin a node: every VM could have a node of its own.  So the plan is a
packing and nothing else; no migration restricts it.  A size below 0 (two published instances have some) is read as 0, so that the optimum
given for such an instance may be out of reach.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Running

__all__ = ["Known", "known", "read"]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of an instance: a lower bound, the optimum (``None``: open), and what the best known heuristic reached."""

    file: str
    bound: int
    optimum: int | None
    heuristic: int


def known(folder: Path) -> Iterator[Known]:
    """The rows of ``optima.csv`` in ``folder``."""
    with (folder / "optima.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            optimum = int(row["optimum (-1 = open)"])
            yield Known(
                file=row["file"],
                bound=int(row["lower_bound"]),
                optimum=optimum if optimum >= 0 else None,
                heuristic=int(row["best_heuristic"]),
            )


def read(path: Path) -> tuple[Cluster, Policy]:
    """The instance as a cluster and a policy; raises ``ValueError`` when the file is not as described above."""
    numbers = iter(path.read_text().split())
    try:
        names = _names(int(next(numbers)))
        capacity = {name: float(next(numbers)) for name in names}
        vms: list[VM] = []
        for _ in range(int(next(numbers))):
            demand = {name: max(float(next(numbers)), 0.0) for name in names}
            for _ in range(int(next(numbers))):
                vms.append(VM(name=f"v{len(vms)}", state="ready", demand=demand))
    except StopIteration:
        raise ValueError(f"{path}: ends in the middle of an item") from None
    nodes = tuple(Node(name=f"n{k}", capacity=capacity) for k in range(len(vms)))
    return Cluster(name=path.stem, nodes=nodes, vms=tuple(vms)), Policy(objective="consolidate", constraints=(Running(vms=("*",)),))


def _names(count: int) -> tuple[str, ...]:
    """The first resource is called cpu, the second memory."""
    return ("cpu", "memory", *(f"r{k}" for k in range(3, count + 1)))[:count]
