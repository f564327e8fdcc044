"""Node bounds that may take a while, and the placements that come with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropy.placement.bounds.classes import Classes, merged
from entropy.placement.bounds.columns import Columns, Pool, generate
from entropy.placement.bounds.effort import Effort
from entropy.placement.bounds.matching import placed
from entropy.placement.bounds.nodes import node_bound, volume_bound
from entropy.placement.bounds.parts import Given, given
from entropy.placement.bounds.patterns import Uses, whole_patterns
from entropy.problem.problem import Indices, Integers, Problem

__all__ = ["PatternOptimum", "Source", "pattern_optimum", "pattern_placement", "strong_node_bound"]

Source = Literal["volume", "dual-feasible function", "column generation"]

_VM_CLASSES, _NODE_CLASSES = 3_000, 300
"""Classes up to which columns are generated."""
_RELAXATION = 0.6
"""Part of the effort that the relaxation may take, where whole patterns are wanted too."""


@dataclass(frozen=True)
class PatternOptimum:
    """``bound``: proven least cost of the nodes in use, from ``source``; ``uses``: how many VMs of each of ``classes`` on how many nodes
    (``None``: none found); ``cost`` of the nodes in use so.  Capacities, sets of nodes and held VMs are respected, other rules not."""

    bound: int
    source: Source
    classes: Classes | None = None
    uses: Uses | None = None

    @property
    def cost(self) -> int | None:
        """What the uses cost, with the nodes in use anyway."""
        return None if self.uses is None or self.classes is None else self.classes.base + self.uses.cost


def strong_node_bound(problem: Problem, node_cost: Integers, effort: Effort) -> tuple[int, Source]:
    """(least total ``node_cost`` of the nodes in use at the end, what proves it); stops at the effort's target, and any time."""
    bound, source = _quick(problem, node_cost)
    if _enough(bound, effort):
        return bound, source
    classes, found = _columns(problem, given(problem, node_cost), bound, effort)
    if classes is None or found is None or classes.base + found.bound <= bound:
        return bound, source
    return classes.base + found.bound, "column generation"


def pattern_optimum(problem: Problem, node_cost: Integers, effort: Effort) -> PatternOptimum:
    """Bound and cheapest whole patterns; exact where the VMs fall into few classes."""
    return _patterns(problem, node_cost, given(problem, node_cost), effort)


def pattern_placement(problem: Problem, node_cost: Integers, effort: Effort) -> tuple[PatternOptimum, Indices | None]:
    """As ``pattern_optimum``, and hosts int32[V] that follow the patterns and keep as much memory where it is as they allow."""
    known = given(problem, node_cost)
    if not len(known.free):
        return PatternOptimum(*_quick(problem, node_cost)), known.on.copy()
    best = _patterns(problem, node_cost, known, effort)
    if best.uses is None or best.classes is None:
        return best, None
    return best, placed(problem, known, best.classes, best.uses)


def _patterns(problem: Problem, node_cost: Integers, known: Given, effort: Effort) -> PatternOptimum:
    bound, source = _quick(problem, node_cost)
    classes, found = _columns(problem, known, bound, effort.share(_RELAXATION))
    if classes is None or found is None:
        return PatternOptimum(bound, source)
    better, uses = whole_patterns(classes, found, max(bound - classes.base, 0), effort)
    if classes.base + better > bound:
        bound, source = classes.base + better, "column generation"
    return PatternOptimum(bound, source, classes, uses)


def _quick(problem: Problem, node_cost: Integers) -> tuple[int, Source]:
    volume, dual = volume_bound(problem, node_cost), node_bound(problem, node_cost)
    return (dual, "dual-feasible function") if dual > volume else (volume, "volume")


def _enough(bound: int, effort: Effort) -> bool:
    return effort.over or (effort.target is not None and bound >= effort.target)


def _columns(problem: Problem, known: Given, bound: int, effort: Effort) -> tuple[Classes | None, Columns | None]:
    classes = merged(problem, known, most_classes=_VM_CLASSES, most_nodes=_NODE_CLASSES) if len(known.free) else None
    if classes is None:
        return None, None
    return classes, generate(classes, Pool(), effort, known=max(bound - classes.base, 0))
