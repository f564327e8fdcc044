"""What the nodes of an exchange answer to prices: exactly, in integers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from entropy.placement.bounds.covering import cheapest_covers
from entropy.placement.bounds.exchange import Exchange, exchange_of
from entropy.placement.bounds.exchange_kernels import arrival_table, best_exchanges
from entropy.placement.jit import Kernel
from entropy.placement.metric import Floats
from entropy.problem.problem import Bools, Indices, Integers, Problem

__all__ = ["Answer", "Market", "Nodes", "Prices", "compile_steps"]

_FINE = 1 << 30
"""Prices are multiples of the unit of memory by this, or less finely where totals would leave 62 bits."""
_DEAREST = 16
"""No class costs more than so many times the memory on the fullest node."""
_GROUPS = 400
"""Above so many nodes, several share a cut."""
_SEARCH, _SEARCHES = 1 << 14, 1 << 28
"""Sets of leavers that are looked at before a node's best exchange is only estimated: of one node, and of all."""


_REMEMBERED = 20_000_000
"""Numbers of arrivals that are remembered."""
_HAGGLE = 0.2
"""By which share prices are blurred to hear of other exchanges."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """``value`` int64[C] of an arrival of each class and ``rent`` of a unit of node cost, in units of memory / ``scale``."""

    value: Integers
    rent: int
    scale: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the nodes pay at ``prices``.

    ``exact``: no viable placement moves less memory than this / scale; ``value``: rounded up.  ``kept`` bool[M], ``arrivals``
    int32[N, C] and ``used`` bool[N]: the exchanges that cost so much.  What group g pays at any prices is at most
    ``constant[g]`` + ``slope[g]`` x prices (classes, then rent).
    """

    prices: Prices
    exact: int
    kept: Bools
    arrivals: Indices
    used: Bools
    constant: Floats
    slope: Floats

    @property
    def value(self) -> int:
        """Least moved memory, in the problem's units."""
        return -(-self.exact // self.prices.scale)


class Nodes:
    """The nodes of ``exchange``; where ``most_cost`` is given, those in use cost at most so much, ``node_cost`` int64[N] each."""

    def __init__(self, exchange: Exchange, node_cost: Integers | None, most_cost: int | None, *, search: int = _SEARCH) -> None:
        self.exchange, self.most_cost = exchange, most_cost
        residents, levels = exchange.residents, exchange.table.levels
        n = len(residents.room)
        self.cost = node_cost if node_cost is not None and most_cost is not None else np.zeros(n, dtype=np.int64)
        self.group = np.arange(n) if n <= _GROUPS else np.arange(n) * _GROUPS // n
        self.groups = int(self.group.max(initial=0)) + 1
        self.resident_node = np.repeat(np.arange(n), np.diff(residents.start))
        # sums of prices stay in 62 bits: of all VMs, and of as many arrivals on every node as its room has levels
        weightless = int(exchange.members[exchange.weightless].sum())
        many = len(exchange.class_of) + n * (int(levels.sum()) + weightless) + 1
        on_node = np.zeros(n + 1, dtype=np.int64)
        np.add.at(on_node, self.resident_node, residents.weight)
        dearest = _DEAREST * max(int(on_node.max()), 1)
        self.scale = max(min(_FINE, (1 << 60) // (many * dearest)), 1)
        self.most_price = min(dearest * self.scale, (1 << 60) // many)
        self.most_rent = self.most_price // max(int(self.cost.max(initial=0)), 1)
        self._cells = int(np.prod(levels))
        self._search = min(search, max(_SEARCHES // max(n, 1), 256))
        self.steps = 0
        """Steps of all answers so far: cells and classes, sets of VMs looked at."""

    def ask(self, prices: Prices, *, compiled: bool = False) -> Answer:
        """Each node's best exchange at ``prices``; ``compiled``: by compiled kernels in any case."""
        exchange, residents = self.exchange, self.exchange.residents
        n, classes, profiles = len(residents.room), len(exchange.size), len(exchange.allowed)
        worth, choice = np.zeros((profiles, self._cells), dtype=np.int64), np.full((profiles, self._cells), -1, dtype=np.int32)
        wanted = exchange.allowed & (prices.value > 0)
        steps = profiles * self._cells * classes
        table = arrival_table.compiled if compiled else arrival_table.on(steps)
        run = best_exchanges.compiled if compiled else best_exchanges.on(64 * (len(exchange.vms) + n))
        for p in range(profiles):
            heavy = wanted[p] & ~exchange.weightless
            if heavy.any():
                table(exchange.table.levels, exchange.size, prices.value, heavy, worth[p], choice[p])
        gifts = np.where(wanted & exchange.weightless, exchange.members, 0)  # what takes no room arrives in any number
        kept, used = np.zeros(len(exchange.vms), dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        arrivals, value = np.zeros((n, classes), dtype=np.int32), np.zeros(n, dtype=np.int64)
        rent = self.cost * prices.rent - (gifts @ prices.value)[residents.profile]
        self.steps += steps + run(
            residents,
            exchange.table,
            exchange.size,
            prices.value,
            worth,
            choice,
            self._density(prices, wanted & ~exchange.weightless),
            rent,
            prices.scale,
            self._search,
            value,
            kept,
            used,
            arrivals,
        )
        arrivals[used] += gifts[residents.profile[used]].astype(np.int32)
        pay = prices.scale * residents.weight + prices.value[residents.class_of]
        moved = prices.scale * exchange.sure + int(exchange.arriving @ prices.value)
        exact = moved + int(pay.sum()) - int(value.sum()) - prices.rent * (self.most_cost or 0)
        constant, slope = self._cut(kept, used, arrivals)
        return Answer(prices=prices, exact=exact, kept=kept, arrivals=arrivals, used=used, constant=constant, slope=slope)

    def _density(self, prices: Prices, wanted: Bools) -> Floats:
        """float64[P, R + 1, R]: rates at which no class is worth more than it takes: of one resource, or of what it takes most of."""
        exchange, n_resources = self.exchange, len(self.exchange.table.unit)
        rates = np.zeros((len(wanted), n_resources + 1, n_resources))
        most = np.argmax(exchange.size / exchange.table.levels, axis=1) if n_resources else np.zeros(0, dtype=np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(prices.value[:, None] > 0, prices.value[:, None] / exchange.size, 0.0)
        for p, mine in enumerate(wanted):
            for r in range(n_resources):
                rates[p, n_resources, r] = each[mine & (most == r), r].max(initial=0.0)
            for r in range(n_resources):
                alone = each[mine, r].max(initial=0.0)
                rates[p, r] = rates[p, n_resources]
                if np.isfinite(alone):
                    rates[p, r] = 0.0
                    rates[p, r, r] = alone
        return np.asarray(rates * (1 + 1e-12) / exchange.table.unit)

    def _cut(self, kept: Bools, used: Bools, arrivals: Indices) -> tuple[Floats, Floats]:
        residents, classes = self.exchange.residents, arrivals.shape[1]
        constant, slope = np.zeros(self.groups), np.zeros((self.groups, classes + 1))
        where = self.group[self.resident_node[~kept]]
        np.add.at(constant, where, residents.weight[~kept].astype(np.float64))
        np.add.at(slope, (where, residents.class_of[~kept]), 1.0)
        np.subtract.at(slope[:, :classes], self.group, arrivals.astype(np.float64))
        np.add.at(slope[:, classes], self.group[used], self.cost[used].astype(np.float64))
        return constant, slope


class Market:
    """Nodes, the ``best`` of their answers, and the exchanges that they chose: ``kept``, ``arrivals`` and ``used`` of each answer.

    Of many nodes and classes only as many answers are remembered as fit into some memory, the last ones.
    """

    def __init__(self, nodes: Nodes, first: Answer) -> None:
        self.nodes, self.best = nodes, first
        self.exchanges: deque[tuple[Bools, Indices, Bools]] = deque(maxlen=max(_REMEMBERED // max(first.arrivals.size, 1), 1))
        self.hear(first)

    def hear(self, answer: Answer) -> None:
        """Remember an answer."""
        self.exchanges.append((answer.kept, answer.arrivals, answer.used))
        if answer.exact > self.best.exact:
            self.best = answer

    def haggle(self, rng: np.random.Generator, times: int) -> None:
        """More exchanges that are nearly best: at prices near the best ones."""
        prices = self.best.prices
        for _ in range(times):
            value = np.minimum(prices.value * rng.uniform(1 - _HAGGLE, 1 + _HAGGLE, len(prices.value)), self.nodes.most_price)
            rent = min(int(prices.rent * rng.uniform(1 - _HAGGLE, 1 + _HAGGLE)), self.nodes.most_rent)
            self.hear(self.nodes.ask(Prices(value=value.astype(np.int64), rent=rent, scale=prices.scale)))


def compile_steps(problem: Problem) -> tuple[tuple[Kernel[..., Any], Callable[[], object]], ...]:
    """For ``warmup``: the kernels of the bounds on moved memory, and a call of each on ``problem``."""
    nodes = Nodes(exchange_of(problem, classes=1), None, None)
    prices = Prices(value=np.ones(len(nodes.exchange.size), dtype=np.int64), rent=0, scale=nodes.scale)
    residents, nobody = nodes.exchange.residents, np.zeros(0, dtype=np.int64)
    excess, chosen = np.zeros((0, residents.demand.shape[1]), dtype=np.int64), np.zeros(0, dtype=np.bool_)
    start, demand = np.zeros(1, dtype=np.int64), residents.demand[:0]
    return (
        (cheapest_covers, lambda: cheapest_covers.compiled(start, demand, nobody, excess, 1, nobody, chosen)),
        (arrival_table, lambda: nodes.ask(prices, compiled=True)),
        (best_exchanges, lambda: None),  # compiled with the table
    )
