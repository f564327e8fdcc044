"""What is measured: (instance, time limit in seconds) per suite; see ``sources`` for the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from readers import vector_packing
from sources import shared

__all__ = ["SUITES", "WORK", "Task"]

Task = tuple[str, float]


def _generated() -> list[Task]:
    """Every family of ``instances``, from fifty nodes to five thousand."""
    families = ("consolidate-easy", "consolidate-real", "heterogeneous", "ruled", "overload", "spread", "drain", "fragmented", "balance")
    return [(f"generated {family} {nodes} 1", 10.0) for family in families for nodes in (50, 200, 1000, 5000)]


def _families() -> list[Task]:
    """The families on which the peers were measured, and outside data."""
    tasks = [(f"family {f} {size} 1", 10.0) for f in ("load", "spread", "tight", "consol") for size in ("50x200", "500x2500", "5000x25000")]
    tasks += [(f"family frag {n}x1 1", 10.0) for n in (20, 50, 200, 500)]
    tasks += [(f"family vtight {n}x1 1", 10.0) for n in (50, 200, 1000)]
    tasks += [(f"family vee09 200x400 {seed}", 10.0) for seed in range(1, 6)]
    names = ("li-r3-c0", "li-r3-c66", "li-r5-c33", "nr-r4-c33", "nr-r6-c0", "issue-131-0", "issue-131-2", "issue-131-4")
    tasks += [(f"file btrplace/{name}.json.gz", 10.0) for name in names]
    tasks += [(f"cloud {k}", 30.0) for k in (0, 1)]
    return tasks if shared() else []


def _huge() -> list[Task]:
    """A hundred thousand nodes and a million VMs."""
    return [("generated consolidate-million 100000 1", 55.0), ("generated overload-million 100000 1", 55.0)]


def _growth() -> list[Task]:
    """Time against size: no limit on time, and little work beyond the kernels."""
    sizes = (500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)
    return [(f"generated {family} {nodes} 1", 60.0) for family in ("consolidate-million", "overload-million") for nodes in sizes]


def _vee09() -> list[Task]:
    """Two hundred nodes and four hundred VMs, a hundred times."""
    return [(f"family vee09 200x400 {seed}", 10.0) for seed in range(1, 101)] if shared() else []


def _packing() -> list[Task]:
    """Vector bin packing instances with known optima."""
    folder = shared()
    return [(f"packing {row.file}", 60.0) for row in vector_packing.known(folder / "data" / "vector-packing")] if folder else []


SUITES: Mapping[str, Callable[[], list[Task]]] = {
    "generated": _generated,
    "families": _families,
    "huge": _huge,
    "growth": _growth,
    "vee09": _vee09,
    "packing": _packing,
}
WORK: Mapping[str, float] = {"growth": 0.5}
"""Suites that are limited by deterministic work, not by time."""
