"""The heaviest set of items closed under "needs": a minimum cut.

J.-C. Picard, "Maximal closure of a graph and applications to combinatorial problems", Management Science 22 (1976),
section 2.  The cut is found by Dinic's blocking flows (Soviet Mathematics Doklady 11, 1970), without recursion, as a chain
of actions can be as long as the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

__all__ = ["heaviest_closure"]


def heaviest_closure(weight: Sequence[float], needs: Sequence[Sequence[int]]) -> tuple[float, frozenset[int]]:
    """Weight and members of the heaviest set of items that holds, with each item, all that it ``needs``.

    Items are 0..n-1; the empty set counts, so the weight is never negative.  Of several heaviest sets the smallest is given.
    """
    network = _Network(len(weight) + 2)
    source, sink = len(weight), len(weight) + 1
    total = 0.0
    for item, w in enumerate(weight):
        if w > 0:
            network.join(source, item, w)
            total += w
        elif w < 0:
            network.join(item, sink, -w)
        for other in needs[item]:
            network.join(item, other, inf)
    network.saturate(source, sink, max(1e-7, total * 4e-15))
    chosen = frozenset(item for item in range(len(weight)) if network.level[item] >= 0)
    return max(0.0, sum(weight[item] for item in chosen)), chosen


class _Network:
    """Arcs are numbered; arc ``e ^ 1`` is the way back of arc ``e``."""

    def __init__(self, size: int) -> None:
        self.out: list[list[int]] = [[] for _ in range(size)]
        self.head: list[int] = []
        self.room: list[float] = []
        self.level = [-1] * size

    def join(self, tail: int, head: int, room: float) -> None:
        self.out[tail].append(len(self.head))
        self.out[head].append(len(self.head) + 1)
        self.head += (head, tail)
        self.room += (room, 0.0)

    def saturate(self, source: int, sink: int, least: float) -> None:
        """Flow until no path has more than ``least`` of room; ``level`` then tells the source's side (>= 0)."""
        while self._rank(source, sink, least):
            self._block(source, sink, least)

    def _rank(self, source: int, sink: int, least: float) -> bool:
        self.level = level = [-1] * len(self.out)
        level[source] = 0
        queue = [source]
        for tail in queue:
            for arc in self.out[tail]:
                head = self.head[arc]
                if level[head] < 0 and self.room[arc] > least:
                    level[head] = level[tail] + 1
                    queue.append(head)
        return level[sink] >= 0

    def _block(self, source: int, sink: int, least: float) -> None:
        head, room, level = self.head, self.room, self.level
        untried = [iter(arcs) for arcs in self.out]
        path: list[int] = []
        here = source
        while True:
            if here == sink:
                flow = min(room[arc] for arc in path)
                for arc in path:
                    room[arc] -= flow
                    room[arc ^ 1] += flow
                full = next(k for k, arc in enumerate(path) if room[arc] <= least)
                here = head[path[full] ^ 1]
                del path[full:]
                continue
            for arc in untried[here]:
                if room[arc] > least and level[head[arc]] == level[here] + 1:
                    path.append(arc)
                    here = head[arc]
                    break
            else:
                if not path:
                    return
                level[here] = -1  # a dead end for the rest of this phase
                here = head[path.pop() ^ 1]
