"""A placement from the exchanges of the bound on moved memory: one of each node, chosen so that arrivals and departures match.

The linear program behind the bound (``bounds.displacement``) is solved once more in integers over the exchanges that nodes have
answered with, near-best ones included (restricted master heuristic; Joncour et al. 2010).  VMs of a class then take the places of the
class; who finds his taken, because the class is not quite uniform or a rule is in the way, displaces others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from entropy.placement.bounds.linear import INFINITE, Sparse, linear
from entropy.placement.bounds.prices import Market
from entropy.placement.displacing import displace
from entropy.placement.goals import observed_hosts
from entropy.placement.kernels.state import admits, arrive
from entropy.placement.metric import Floats
from entropy.placement.returning import bring_home
from entropy.placement.viability import is_viable
from entropy.placement.working import Working
from entropy.problem.problem import Bools, Indices, Problem, positions

__all__ = ["exchange_plan"]

_HAGGLES = 40
"""Answers asked for beside those that the bound has heard."""
_OF_A_NODE, _COLUMNS = 40, 60_000
"""Exchanges of one node, and of all, that are considered: those that cost least at the best prices."""
_BRANCHES = 500
"""Branches of the integer program, at most: what it does not find soon, it seldom finds."""
_TRIED = 24
"""VMs of a class that are tried for one place."""
_WORK = 1e-5
"""Work of one iteration of the simplex method, in the exact model's units."""


class _Choice(NamedTuple):
    """One exchange of a node: what it costs beyond the node's best, memory that leaves, who stays, who arrives, is it in use."""

    regret: int
    leaves: int
    kept: Bools
    arrivals: Indices
    used: bool


def exchange_plan(
    problem: Problem, market: Market, price: Floats, rng: np.random.Generator, remaining: Callable[[], float], over: Callable[[], bool]
) -> tuple[Indices | None, float]:
    """(a viable placement int32[V] near the bound, or ``None``; work done in the exact model's units).

    ``remaining()`` seconds for the integer program, ``over()`` ends what comes after it; ``price``: as in ``displacing.displace``.
    """
    before = market.nodes.steps
    market.haggle(rng, _HAGGLES)
    work = (market.nodes.steps - before) * 3e-9
    choices = _choices(market)
    chosen, iterations = _chosen(market, choices, remaining())
    work += iterations * _WORK
    if chosen is None:
        return None, work
    return _realised(problem, market, chosen, price, over), work


def _choices(market: Market) -> list[list[_Choice]]:
    """Per node, its distinct exchanges, the cheapest at the best prices first."""
    nodes, prices = market.nodes, market.best.prices
    residents, exchange = nodes.exchange.residents, nodes.exchange
    n_nodes, classes = len(residents.room), len(exchange.size)
    pay = prices.scale * residents.weight + prices.value[residents.class_of]
    most = max(min(_OF_A_NODE, _COLUMNS // max(n_nodes, 1)), 3)
    table = []
    for n in range(n_nodes):
        mine = slice(residents.start[n], residents.start[n + 1])
        count = int(residents.start[n + 1] - residents.start[n])
        heard = {(k[mine].tobytes(), a[n].tobytes()): (k[mine], a[n], bool(u[n])) for k, a, u in market.exchanges}
        nobody = np.zeros(classes, dtype=np.int32)
        if (residents.demand[mine].sum(axis=0) <= residents.room[n]).all():
            all_stay = np.ones(count, dtype=np.bool_)
            heard.setdefault((all_stay.tobytes(), nobody.tobytes()), (all_stay, nobody, True))
        if not residents.forced[n]:
            all_leave = np.zeros(count, dtype=np.bool_)
            heard.setdefault((all_leave.tobytes(), nobody.tobytes()), (all_leave, nobody, False))
        rated = [
            _Choice(
                int(pay[mine][~kept].sum()) - int(arrivals @ prices.value) + prices.rent * int(nodes.cost[n]) * used,
                int(residents.weight[mine][~kept].sum()),
                kept,
                arrivals,
                used,
            )
            for kept, arrivals, used in heard.values()
        ]
        rated.sort(key=lambda choice: choice.regret)
        table.append(rated[:most])
    return table


def _chosen(market: Market, choices: list[list[_Choice]], seconds: float) -> tuple[list[_Choice] | None, int]:
    """(one exchange per node with least moved memory, so that all who leave arrive; simplex iterations), by HiGHS."""
    nodes = market.nodes
    residents, exchange = nodes.exchange.residents, nodes.exchange
    n_nodes, classes = len(choices), len(exchange.size)
    columns, cost = Sparse(), []
    for n, mine in enumerate(choices):
        class_of = residents.class_of[residents.start[n] : residents.start[n + 1]]
        for choice in mine:
            net = choice.arrivals - np.bincount(class_of[~choice.kept], minlength=classes)
            rows = np.flatnonzero(net)
            paid = [(n_nodes + classes, float(nodes.cost[n]))] if choice.used and nodes.most_cost is not None else []
            index = [n, *(n_nodes + rows).tolist(), *(row for row, _ in paid)]
            columns.add(index, [1.0, *net[rows].astype(float).tolist(), *(entry for _, entry in paid)])
            cost.append(float(choice.leaves))
    limit = [] if nodes.most_cost is None else [float(nodes.most_cost)]
    low = [*[1.0] * n_nodes, *exchange.arriving.astype(float).tolist(), *[-INFINITE for _ in limit]]
    high = [*[1.0] * n_nodes, *[INFINITE] * classes, *limit]
    highs = linear(cost, np.ones(len(cost)), low, high, columns, whole=True)
    highs.setOptionValue("mip_max_nodes", _BRANCHES)
    if seconds < float("inf"):
        highs.setOptionValue("time_limit", max(seconds, 0.01))
    highs.run()
    info = highs.getInfo()
    if info.primal_solution_status != 2:  # feasible
        return None, int(info.simplex_iteration_count)
    taken = np.array(highs.getSolution().col_value) > 0.5
    first = np.concatenate(([0], np.cumsum([len(mine) for mine in choices])))
    chosen = [mine[int(np.argmax(taken[first[n] : first[n + 1]]))] for n, mine in enumerate(choices)]
    return chosen, int(info.simplex_iteration_count)


def _realised(problem: Problem, market: Market, chosen: list[_Choice], price: Floats, over: Callable[[], bool]) -> Indices | None:
    """The placement: VMs into the places of their class, the others by displacement; ``None`` if it is not viable."""
    exchange = market.nodes.exchange
    runs, home = problem.runs_at_end(), observed_hosts(problem)
    host = np.where(runs & problem.held, problem.host, -1).astype(np.int32)
    kept = np.concatenate([choice.kept for choice in chosen]) if chosen else np.zeros(0, dtype=np.bool_)
    host[exchange.vms[kept]] = home[exchange.vms[kept]]
    working = Working(problem, host)
    state = working.state()
    waiting: list[list[int]] = [[] for _ in range(len(exchange.size))]
    for v in working.largest_first(positions(runs & (host < 0))):
        waiting[exchange.class_of[v]].append(int(v))
    used = np.array([choice.used for choice in chosen], dtype=np.bool_)
    for n in np.flatnonzero(used):
        for c in np.flatnonzero(chosen[n].arrivals):
            for _ in range(chosen[n].arrivals[c]):
                for v in waiting[c][:_TRIED]:
                    if admits(v, int(n), state):
                        arrive(v, int(n), state)
                        waiting[c].remove(v)
                        break
    left = np.array([v for vms in waiting for v in vms], dtype=np.int32)
    if not displace(working, left, used, over, price):
        return None
    bring_home(working)
    return working.host if is_viable(problem, working.host) else None
