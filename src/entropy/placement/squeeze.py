"""Squeeze: pack into nodes that are too few for simple fitting, by swapping VMs until nothing sticks out.

What finds no room is put where it sticks out least; then the node that sticks out most trades VMs with others, each time by the
move or swap that reduces the overflow most, even if that is by nothing: a VM that moved rests for some steps (tabu search,
Glover 1989).  Pairs are rated all at once over arrays, and only against a sample of nodes, so a step costs about the same at fifty
nodes and at five thousand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropy.placement.bounds import observed_hosts
from entropy.placement.metric import Floats
from entropy.placement.returning import zone_has_room
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["BLOCK", "squeeze", "trades"]

BLOCK = 64
"""Trades between two questions whether time is up."""

_SAMPLE = 40
"""Nodes that the one which sticks out is compared with in a step: half of them the roomiest."""
_REST = (4, 14)
"""A VM that moved rests for a random number of steps in this range."""
_REFRESH = 32
"""Steps after which the roomiest nodes are looked for again."""
_TRIES = 12
"""Candidates of a step that are checked against group limits."""


def trades(problem: Problem) -> int:
    """How many trades are worth trying: on a small cluster the exact model is the quicker judge."""
    return min(20_000, 8 * problem.n_vms * problem.n_nodes)


def squeeze(w: Working, left: Indices, keep: Bools, rng: np.random.Generator, steps: int, over: Callable[[], bool]) -> bool:
    """Place ``left`` on the nodes ``keep`` beside what is there, moving others among them; false when it did not work out.

    ``w`` is changed either way.  At most ``steps`` steps, or until ``over()`` says that time is up.
    """
    search = _Search(w, keep, rng)
    if not search.insert(left):
        return False
    for step in range(steps):
        worst = search.worst()
        if worst < 0:
            return True
        if step % BLOCK == BLOCK - 1 and over():
            return False
        if not search.trade(worst, step):
            return False
    return search.worst() < 0


class _Search:
    def __init__(self, w: Working, keep: Bools, rng: np.random.Generator) -> None:
        self.w, self.rng = w, rng
        self.nodes = positions(keep)
        self.kept = keep
        self.home = observed_hosts(w.problem)
        self.share: Floats = 1.0 / np.maximum(w.problem.capacity, 1).astype(np.float64)
        self.movable = w.runs & ~w.problem.held
        self.rests = np.zeros(w.problem.n_vms, dtype=np.int64)
        self.price = w.problem.weight / max(float(w.problem.weight.sum()), 1.0) * 1e-3
        self.roomiest = self.nodes[:0]
        self.sticking: Floats = np.zeros(w.problem.n_nodes)
        self.on: list[list[int]] = [[] for _ in range(w.problem.n_nodes)]
        for v in positions((w.host >= 0) & self.movable):
            self.on[w.host[v]].append(int(v))

    def overflow(self, free: Integers, share: Floats) -> Floats:
        """Sum over resources of what is missing, as a share of the node's capacity."""
        return np.asarray((np.maximum(-free, 0) * share).sum(axis=-1))

    def insert(self, left: Indices) -> bool:
        """Each VM of ``left`` to the kept node where the overflow grows least, the largest first."""
        problem = self.w.problem
        for v in self.w.largest_first(left):
            allowed = self.nodes[problem.domains[problem.domain_of[v], self.nodes]]
            if not len(allowed):
                return False
            grown = self.overflow(self.w.free[allowed] - problem.demand[v], self.share[allowed])
            order = np.argsort(grown - self.overflow(self.w.free[allowed], self.share[allowed]), kind="stable")
            home = next((int(n) for n in allowed[order[:_SAMPLE]] if zone_has_room(self.w, int(v), int(n))), -1)
            if home < 0:
                return False
            self.w.put(int(v), home)
            self.on[home].append(int(v))
        self.sticking[self.nodes] = self.overflow(self.w.free[self.nodes], self.share[self.nodes])
        return True

    def worst(self) -> int:
        """The kept node that sticks out most, -1 when none does."""
        k = int(np.argmax(self.sticking))
        return k if self.sticking[k] > 0 else -1

    def trade(self, b: int, step: int) -> bool:
        """The best move out of node ``b``, or swap with another node; false when there is no candidate at all."""
        problem, w = self.w.problem, self.w
        mine = np.array([v for v in self.on[b] if self.rests[v] <= step], dtype=np.int32)
        if step % _REFRESH == 0:
            room = (self.w.free[self.nodes] * self.share[self.nodes]).sum(axis=1)
            self.roomiest = self.nodes[np.argsort(-room, kind="stable")[: 4 * _SAMPLE]]
        others = self._sample(b)
        theirs = [v for n in others for v in self.on[n] if self.rests[v] <= step]
        if not len(mine) or not len(others):
            return bool(len(others)) and step < int(self.rests.max())
        # a swap partner -1 - k stands for "nobody, node others[k]": a plain move
        partner = np.array([*theirs, *(-1 - k for k in range(len(others)))], dtype=np.int64)
        at = np.concatenate((w.host[theirs], others)).astype(np.int64)
        back = np.zeros((len(partner), len(problem.resources)), dtype=np.int64)
        back[: len(theirs)] = problem.demand[theirs]
        diff = problem.demand[mine][:, None, :] - back[None, :, :]
        now = self.overflow(w.free[at], self.share[at])
        rate = self.overflow(w.free[b] + diff, self.share[b]) + self.overflow(w.free[at] - diff, self.share[at]) - now
        rate += self.price[mine][:, None] * np.where(self.home[mine][:, None] == at[None, :], -1, (self.home[mine] == b)[:, None])
        returns = np.zeros(len(partner))
        returns[: len(theirs)] = self.price[theirs] * np.where(self.home[theirs] == b, -1, self.home[theirs] == w.host[theirs])
        rate += returns[None, :]
        rate[~problem.domains[problem.domain_of[mine]][:, at]] = np.inf
        rate[:, : len(theirs)][:, ~problem.domains[problem.domain_of[theirs], b]] = np.inf
        best = np.argpartition(rate.ravel(), min(_TRIES, rate.size - 1))[:_TRIES]
        for k in best[np.argsort(rate.ravel()[best], kind="stable")]:
            i, j = divmod(int(k), len(partner))
            if np.isfinite(rate[i, j]) and self._apply(int(mine[i]), int(partner[j]), b, int(at[j])):
                rest = self.rng.integers(*_REST, size=2)
                self.rests[mine[i]] = step + rest[0]
                if partner[j] >= 0:
                    self.rests[partner[j]] = step + rest[1]
                return True
        return True

    def _sample(self, b: int) -> Indices:
        """The nodes to compare with: all if they are few, else some of the roomiest and some others."""
        if len(self.nodes) <= _SAMPLE:
            chosen = self.nodes
        else:
            half = _SAMPLE // 2
            roomy = self.roomiest[self.rng.integers(0, len(self.roomiest), half)]
            chosen = np.unique(np.concatenate((roomy, self.nodes[self.rng.integers(0, len(self.nodes), half)])))
        return np.asarray(chosen[chosen != b])

    def _apply(self, i: int, j: int, b: int, n: int) -> bool:
        """VM i from b to n, VM j (if any) from n to b, if their groups allow it."""
        w = self.w
        pair = np.array([i, j] if j >= 0 else [i], dtype=np.int32)
        w.take_out(pair)
        if not zone_has_room(w, i, n):
            w.put(i, b)
            if j >= 0:
                w.put(j, n)
            return False
        w.put(i, n)
        if j >= 0 and not zone_has_room(w, j, b):
            w.take_out(pair[:1])
            w.put(i, b)
            w.put(j, n)
            return False
        self.on[b].remove(i)
        self.on[n].append(i)
        if j >= 0:
            w.put(j, b)
            self.on[n].remove(j)
            self.on[b].append(j)
        both = np.array([b, n])
        self.sticking[both] = self.overflow(w.free[both], self.share[both])
        return True
