"""Parts of a problem that can be solved apart: because nothing joins them, or because little is lost by cutting there.

``components``: nodes that no VM can go between and no rule joins, so that the parts' optima (and bounds) add up.  ``cuts``: nodes in
parts of a wanted size, cut where least moved memory crosses: pairs of nodes that a moved VM joins are united, the heaviest first, as
long as they stay small (Kruskal's order), and the pieces are dealt out so that each part has full and empty nodes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from entropy.placement.goals import Goals, observed_hosts
from entropy.placement.jit import kernel
from entropy.placement.neighbourhoods import View
from entropy.placement.restriction import Part, Restrictor
from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["components", "cuts", "independent_parts"]

_MOST_PARTS = 64
"""Independent parts, at most: more of them share one."""


@kernel
def unite(one: Indices, other: Indices, group: Indices, size: Indices, most: int) -> int:
    """Unite the groups of each pair in turn while the union has at most ``most`` members; how many unions were made.

    ``group`` is a forest of parents, ``size`` the size of each root's tree; both are changed.  At the end every parent is a root.
    """
    made = 0
    for k in range(len(one)):
        a, b = one[k], other[k]
        while group[a] != a:
            group[a] = group[group[a]]
            a = group[a]
        while group[b] != b:
            group[b] = group[group[b]]
            b = group[b]
        if a != b and size[a] + size[b] <= most:
            low, high = min(a, b), max(a, b)
            group[high] = low
            size[low] += size[high]
            made += 1
    for n in range(len(group)):
        root = group[n]
        while group[root] != root:
            root = group[root]
        group[n] = root
    return made


def components(problem: Problem, host: Indices) -> Indices:
    """int32[N]: the component of each node, 0 upwards.

    Nodes are joined by a VM that may go from one to the other, by members of one group, and by rules over sets of nodes.
    """
    runs = problem.runs_at_end()
    chains: list[Indices] = []
    free = runs & ~problem.held
    for row in np.unique(problem.domain_of[free]):
        chains.append(positions(problem.domains[row]))
    # a VM joins where it is to where it may go
    anchors = np.array([_first(problem.domains[row]) for row in range(len(problem.domains))], dtype=np.int32)
    vms = positions(free & (host >= 0))
    vms = vms[anchors[problem.domain_of[vms]] >= 0]
    pairs = [(host[vms], anchors[problem.domain_of[vms]])]
    for members in (*(g.members for g in problem.limits), *(g.members for g in problem.together)):
        there = members[runs[members]]
        at = np.where(problem.held[there], host[there], anchors[problem.domain_of[there]])
        chains.append(at[at >= 0].astype(np.int32))
    families = {g.family for g in problem.together if g.family >= 0}
    for family in sorted(families):
        members = np.concatenate([g.members for g in problem.together if g.family == family])
        at = anchors[problem.domain_of[members[runs[members]]]]
        chains.append(at[at >= 0].astype(np.int32))
    chains += [s.nodes for s in problem.set_limits] + [u.nodes for u in problem.usage_limits]
    pairs += [(chain[:-1], chain[1:]) for chain in chains]
    one, other = (np.concatenate(side).astype(np.int32) for side in zip(*pairs, strict=True))
    group = _united(problem.n_nodes, one, other, problem.n_nodes)
    return np.unique(group, return_inverse=True)[1].astype(np.int32)


def independent_parts(problem: Problem, goals: Goals) -> list[Part]:
    """The parts that nothing joins and in which something may be decided; fewer than two: the problem is one whole.

    Spread is no sum over parts, so balancing always looks at the whole.
    """
    if goals.objective == "balance":
        return []
    host = observed_hosts(problem)
    label = components(problem, host)
    runs = problem.runs_at_end()
    anchors = np.array([_first(row) for row in problem.domains], dtype=np.int32)
    at = np.where(host >= 0, host, anchors[problem.domain_of])
    if (at[runs] < 0).any():  # somebody may go nowhere: for the search to say
        return []
    with_choice = np.unique(label[at[runs & ~problem.held]])
    if len(with_choice) < 2:
        return []
    # what has no choice goes along with the first; many small components share a part
    part_of = np.zeros(int(label.max()) + 1, dtype=np.int32)
    part_of[with_choice] = np.arange(len(with_choice)) % _MOST_PARTS
    restrictor = Restrictor(problem, goals)
    waiting = positions(runs & (host < 0))
    of_node = part_of[label]
    return [
        restrictor.restrict(host, positions(of_node == k), extra=waiting[of_node[at[waiting]] == k])
        for k in range(min(len(with_choice), _MOST_PARTS))
    ]


def cuts(view: View, size: int, rng: np.random.Generator) -> list[Indices]:
    """The open nodes in parts of about ``size``, each once."""
    problem, home = view.problem, observed_hosts(view.problem)
    moved = view.moved
    weight = problem.weight[moved]
    order = np.lexsort((rng.random(len(moved)), -weight))
    group = _united(problem.n_nodes, home[moved][order], view.host[moved][order], max(size // 4, 2))
    nodes = positions(view.open)
    pieces, piece_of = np.unique(group[nodes], return_inverse=True)
    load = np.bincount(piece_of.ravel(), 1.0 - view.slack[nodes]) / np.bincount(piece_of.ravel())
    parts = max(-(-len(nodes) // size), 1)
    # dealt like cards, by load: every part gets of everything
    rank = np.empty(len(pieces), dtype=np.int64)
    rank[np.argsort(load + 0.1 * rng.random(len(load)), kind="stable")] = np.arange(len(pieces))
    part_of = rank[piece_of.ravel()] % parts
    order = np.argsort(part_of, kind="stable")
    starts = np.searchsorted(part_of[order], np.arange(parts + 1))
    return [nodes[order[a:b]] for a, b in pairwise(starts) if b > a]


def _united(n: int, one: Indices, other: Indices, most: int) -> Indices:
    group, size = np.arange(n, dtype=np.int32), np.ones(n, dtype=np.int32)
    unite.on(len(one))(one.astype(np.int32), other.astype(np.int32), group, size, most)
    return group


def _first(row: Bools) -> int:
    return int(np.argmax(row)) if row.any() else -1
