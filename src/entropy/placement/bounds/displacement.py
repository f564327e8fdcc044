"""Least moved memory, counting what arrivals displace: a Lagrangian bound over the exchanges of nodes.

Let every class of VMs have a price, which a node pays when it lets one go and earns when it takes one in.  For any prices, what all nodes
pay at least, each choosing its best exchange by itself, is no more than what any viable placement moves (weak duality).  The best prices
are those of the linear program over all exchanges (Dantzig and Wolfe 1960), found by cutting planes on its dual (Kelley 1960) with HiGHS;
each query lies between the best prices so far and the model's (Wentges 1997), within a box around the former (Marsten, Hogan and
Blankenship 1975).  The solver only proposes prices: they are rounded to whole numbers, and what is stated is computed from these in
integers.

Where the cost of the nodes in use is limited, it has a price as well, the rent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from entropy.placement.bounds.covering import must_leave
from entropy.placement.bounds.exchange import Exchange, exchange_of
from entropy.placement.bounds.moved import kept_weight, moved_bound
from entropy.placement.bounds.prices import Answer, Market, Nodes, Prices
from entropy.problem.problem import Integers, Problem

__all__ = ["StrongBound", "strong_moved_bound"]

_CLASSES = (48, 144, 432)
"""Classes of VMs, at most: the price of each costs time, and finer ones prove more."""
_ROUNDS = 400
_RADIUS, _LEAST_RADIUS = 8.0, 0.05
"""The box around the best prices: at first and at least, in medians of what a move costs."""
_STEP, _LEAST_STEP = 0.5, 0.1
"""How far towards the model's prices: at first and at least."""
_CLOSE, _ROUGHLY = 1e-4, 1e-3
"""The prices are good enough when the model promises less than this share of the bound on top; before classes are made finer."""
_WORK = 3e-9
"""Work of a step (``Nodes.steps``) in the exact model's units: about as many seconds on an ordinary machine."""

_SIMPLE = "what must leave each node"
_DISPLACED = "what must leave each node, and what its arrival displaces elsewhere"

Floats = npt.NDArray[np.float64]


class StrongBound(NamedTuple):
    """``value``: least moved memory in the problem's units; ``why``: the argument in a sentence.

    ``price`` float64[V]: what finding another place for each VM displaces elsewhere, at least about so much memory (``None``: not looked
    at); ``solved``: this argument proves no more; ``work`` done, in the exact model's units; ``market``: prices, and what nodes answered.
    """

    value: int
    why: str
    price: Floats | None
    solved: bool
    work: float
    market: Market | None = None


def strong_moved_bound(
    problem: Problem,
    remaining: Callable[[], float],
    *,
    leaving: Integers | None = None,
    most_nodes: int | None = None,
    node_cost: Integers | None = None,
    most_cost: int | None = None,
    work: float | None = None,
    enough: int | None = None,
) -> StrongBound:
    """Least moved memory of all viable placements; of those on at most ``most_nodes`` nodes, or whose nodes cost at most ``most_cost``.

    ``remaining()`` seconds are left, asked between rounds; ``work`` limits it in deterministic units instead.  ``leaving``: what
    ``must_leave`` found, if known.  ``enough``: a value that is reached already; proving it ends the search.
    """
    if most_nodes is not None:
        node_cost, most_cost = np.ones(problem.n_nodes, dtype=np.int64), most_nodes
    if leaving is None:
        leaving, _ = must_leave(problem)
    found = StrongBound(moved_bound(problem, leaving, most_nodes), _SIMPLE, None, False, 0.0)
    kept, distinct, rent = kept_weight(problem, leaving), 0, 0.0
    for classes in _CLASSES:
        exchange = exchange_of(problem, classes=classes)
        if len(exchange.size) == distinct:  # no finer than before
            break
        distinct = len(exchange.size)
        left = None if work is None else work - found.work
        if _over(found.value, enough, remaining, left):
            return found._replace(solved=False)
        nodes = Nodes(exchange, node_cost, most_cost)
        dual = _Dual(nodes, float(max(np.median(problem.weight[exchange.class_of >= 0]), 1.0)))
        if found.price is None:
            start, radius = _first(kept, node_cost, most_cost, distinct + 1) / dual.unit, _RADIUS
        else:
            start, radius = np.append(_refined(found.price, exchange), rent) / dual.unit, _RADIUS / 32
        market, solved = _ascend(nodes, dual, start, radius, remaining, left, enough, _CLOSE if classes == _CLASSES[-1] else _ROUGHLY)
        best = market.best
        rent = best.prices.rent / nodes.scale
        value = max(found.value, best.value)
        why = found.why if value == found.value else _DISPLACED
        price = np.where(exchange.class_of >= 0, best.prices.value[exchange.class_of] / nodes.scale, 0.0)
        found = StrongBound(value, why, price, solved, found.work + nodes.steps * _WORK, market)
        if not solved:
            return found
    return found._replace(solved=True)


def _over(value: int, enough: int | None, remaining: Callable[[], float], work: float | None) -> bool:
    return (enough is not None and value >= enough) or (remaining() <= 0 if work is None else work <= 0)


def _ascend(
    nodes: Nodes,
    dual: _Dual,
    start: Floats,
    radius: float,
    remaining: Callable[[], float],
    work: float | None,
    enough: int | None,
    close: float,
) -> tuple[Market, bool]:
    """(the answers, whether no prices prove more, or hardly) by cutting planes from ``start``."""
    best = nodes.ask(dual.prices(start))
    market = Market(nodes, best)
    dual.add(best)
    centre, step, failures = dual.centre(best), _STEP, 0
    for _ in range(_ROUNDS):
        if _over(best.value, enough, remaining, None if work is None else work - nodes.steps * _WORK):
            break
        found = dual.solve(centre, radius, remaining() if work is None else float("inf"))
        if found is None:
            break
        target, promised = found
        proven = best.exact / nodes.scale
        inside = np.abs(target - centre).max() < radius * (1 - 1e-6)
        # the dual is concave: what is best within a box around it is best; a little less is accepted off the box's faces only
        if promised <= max(best.value, proven * (1 + close)) + 1e-6 if inside else promised <= proven * (1 + 1e-6) + 1e-6:
            return market, True
        answer = nodes.ask(dual.prices(centre + step * (target - centre)))
        dual.add(answer)
        market.hear(answer)
        if answer.exact > best.exact:
            if not inside:
                radius = min(radius * 1.5, _RADIUS)
            best, centre, step, failures = answer, dual.centre(answer), min(step * 1.5, 1.0), 0
        else:
            failures += 1
            step = max(step * 0.7, _LEAST_STEP)
            if failures % 3 == 0:
                radius = max(radius / 2, _LEAST_RADIUS)
    return market, False


def _refined(price: Floats, exchange: Exchange) -> Floats:
    """float64[C]: the mean price of each class's members, who were of other classes before."""
    mine = exchange.class_of >= 0
    total = np.bincount(exchange.class_of[mine], weights=price[mine], minlength=len(exchange.size))
    return np.asarray(total / np.maximum(exchange.members, 1))


def _first(kept: Integers, node_cost: Integers | None, most_cost: int | None, columns: int) -> Floats:
    """Prices to begin with: no class has one, and rent is what the last node that can be paid for keeps per unit of cost."""
    prices = np.zeros(columns)
    if node_cost is not None and most_cost is not None:
        ratio = kept / np.maximum(node_cost, 1)
        order = np.argsort(-ratio, kind="stable")
        last = int(np.searchsorted(np.cumsum(node_cost[order]), most_cost, side="right")) - 1
        prices[-1] = max(float(ratio[order[last]]), 0.0) if last >= 0 else 0.0
    return prices


class _Dual:
    """The cutting-plane model of the dual, in HiGHS.  Prices are in ``unit``, the rent last."""

    def __init__(self, nodes: Nodes, unit: float) -> None:
        import highspy  # here: an easy cluster needs no linear solver

        self.nodes, self.unit = nodes, unit
        self.columns = len(nodes.exchange.size) + 1
        self._infinity, self._optimal = highspy.kHighsInf, highspy.HighsModelStatus.kOptimal
        self._highs = highspy.Highs()
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        limit = 0 if nodes.most_cost is None else nodes.most_cost
        worth = np.concatenate((nodes.exchange.arriving, [-limit], np.ones(nodes.groups))).astype(np.float64)
        low = np.concatenate((np.zeros(self.columns), np.full(nodes.groups, -self._infinity)))
        high = np.concatenate((np.zeros(self.columns), np.full(nodes.groups, self._infinity)))
        nothing = np.zeros(0, dtype=np.int32)
        self._highs.addCols(len(worth), worth, low, high, 0, nothing, nothing, np.zeros(0))
        self._highs.changeObjectiveSense(highspy.ObjSense.kMaximize)

    def prices(self, point: Floats) -> Prices:
        """The whole prices next to ``point``."""
        most = np.append(np.full(self.columns - 1, self.nodes.most_price), self.nodes.most_rent)
        whole = np.rint(np.minimum(np.maximum(point, 0.0) * (self.unit * self.nodes.scale), most.astype(np.float64)))
        return Prices(value=whole[:-1].astype(np.int64), rent=int(whole[-1]), scale=self.nodes.scale)

    def centre(self, answer: Answer) -> Floats:
        """The point at which ``answer`` was given."""
        return np.append(answer.prices.value, answer.prices.rent) / (self.unit * self.nodes.scale)

    def add(self, answer: Answer) -> None:
        """A cut for each group of nodes: what it pays is at most constant + slope x prices."""
        groups = self.nodes.groups
        rows, columns = np.nonzero(answer.slope)
        row = np.concatenate((rows, np.arange(groups)))
        column = np.concatenate((columns, self.columns + np.arange(groups)))
        value = np.concatenate((-answer.slope[rows, columns], np.ones(groups)))
        order = np.lexsort((column, row))
        start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=groups))[:-1])).astype(np.int32)
        below, above = np.full(groups, -self._infinity), answer.constant / self.unit
        self._highs.addRows(groups, below, above, len(order), start, column[order].astype(np.int32), value[order])

    def solve(self, centre: Floats, radius: float, seconds: float) -> tuple[Floats, float] | None:
        """(the model's best prices within ``radius`` of ``centre``, the memory it promises); ``None`` when time is out."""
        nodes = self.nodes
        most = np.append(np.full(self.columns - 1, nodes.most_price), nodes.most_rent) / (self.unit * nodes.scale)
        high = np.minimum(centre + radius, most)
        low = np.minimum(np.maximum(centre - radius, 0.0), high)
        self._highs.changeColsBounds(self.columns, np.arange(self.columns, dtype=np.int32), low, high)
        if seconds < float("inf"):
            self._highs.setOptionValue("time_limit", self._highs.getRunTime() + max(seconds, 0.01))
        self._highs.run()
        if self._highs.getModelStatus() != self._optimal:
            return None
        point = np.array(self._highs.getSolution().col_value[: self.columns])
        return point, self._highs.getObjectiveValue() * self.unit + nodes.exchange.sure
