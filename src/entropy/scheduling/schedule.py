"""``schedule``: from a placement to actions with ids, order and forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from entropy.model.collector import collector_paused
from entropy.model.plan import Action
from entropy.problem.problem import Indices, Problem, positions
from entropy.scheduling.contention import divide, drawn_on
from entropy.scheduling.dependencies import Linked, link
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.effort import Effort
from entropy.scheduling.jobs import Workshop
from entropy.scheduling.ordering import arrange
from entropy.scheduling.rooms import Books, Copy, stays
from entropy.scheduling.steps import KINDS, Maker, Moves, changes, rounded
from entropy.scheduling.unorderable import Unorderable

__all__ = ["Unorderable", "schedule"]

Floats = npt.NDArray[np.float64]


@collector_paused()
def schedule(problem: Problem, host: Indices, durations: DurationModel, remaining: Callable[[], float] | None = None) -> tuple[Action, ...]:
    """The actions that lead from the observed cluster to ``host``, safe whatever the real durations are.

    ``host[v]`` is the node where VM v runs at the end (goal running) or where its image lies (goal sleeping), -1 for goal
    ready.  Actions are named a1, a2, ... by forecast start, of those that start together the one first that most time hangs on;
    ``after`` holds nothing that follows from the rest of it (in plans of thousands of actions that wait: next to nothing).
    ``remaining``: seconds that are left to look for an order of what is knotted; without it the answer is a function of the other
    arguments.  Raises ``Unorderable`` when no order was found, ``InputError`` when an expression gives no duration.
    """

    def workshop() -> Workshop:
        books = Books(problem, stays(problem, host))
        maker = Maker(problem, books, durations)
        return Workshop(problem, books, maker, changes(problem, host, maker))

    shop = workshop()
    division = divide(problem, shop.books, shop.maker, shop.changes)
    arranged = arrange(shop, division, workshop, Effort(remaining) if remaining is not None else Effort())
    bulk = division.bulk[np.full(len(division.bulk), not arranged.all)]
    drawn = drawn_on(problem, arranged.shop.books, bulk, arranged.steps, arranged.room)
    first = [arranged.shop.maker.single(bulk, k) for k in positions(drawn).tolist()]
    room = Copy(arranged.room)
    for step in first:
        for counter, amount in step.takes:
            room[counter] += amount
    bulk = bulk[~drawn]
    seconds = rounded(shop.maker.seconds_of(bulk))
    shutdowns = shop.changes.shutdowns
    waits = _touching(bulk, list(shutdowns))
    latest = {node: float(seconds[k].max()) for node, k in waits.items() if len(k)}
    linked = link(room, [*first, *arranged.steps], shutdowns, latest)
    return _actions(problem, linked, bulk, seconds, waits)


def _touching(bulk: Moves, nodes: Sequence[int]) -> dict[int, Indices]:
    """Node -> the moves in bulk that it takes part in."""
    found: dict[int, Indices] = {}
    for side in (bulk.source, bulk.target) if nodes else ():
        order = np.argsort(side, kind="stable").astype(np.int32)
        first, last = (np.searchsorted(side[order], nodes, side=where) for where in ("left", "right"))
        for node, a, b in zip(nodes, first.tolist(), last.tolist(), strict=True):
            found[node] = np.union1d(found[node], order[a:b]) if node in found else order[a:b]
    return found


def _actions(problem: Problem, linked: Sequence[Linked], bulk: Moves, seconds: Floats, waits: Mapping[int, Indices]) -> tuple[Action, ...]:
    """Everything under its final name: ``linked``, then ``bulk``, which starts at once; a shutdown also ``waits``."""
    many = len(linked)
    start = np.concatenate((np.array([x.start for x in linked]), np.zeros(len(bulk))))
    tail = np.concatenate((_tails(linked), seconds))
    order = np.lexsort((-tail, start)).tolist()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    number: list[int] = rank.tolist()
    vms = [vm.name for vm in problem.cluster.vms]
    nodes = [node.name for node in problem.cluster.nodes]
    names = [f"a{k}" for k in range(len(order) + 1)]
    made: list[Action] = []
    ends, kinds, who, sources, targets = (x.tolist() for x in (seconds, bulk.kind, bulk.vm, bulk.source, bulk.target))
    for name, k in zip(names[1:], order, strict=True):
        if k < many:
            x = linked[k]
            step = x.step
            kind, v, source, target, begin, end = step.kind, step.vm, step.source, step.target, x.start, x.end
            befores = [number[j] for j in x.after]
            if kind == "shutdown" and target in waits:
                befores += rank[waits[target] + many].tolist()
            after = tuple([names[j] for j in sorted(befores)])
        else:
            k -= many
            kind, v, source, target, begin, end = KINDS[kinds[k]], who[k], sources[k], targets[k], 0.0, ends[k]
            after = ()
        two = kind in ("migrate", "resume")
        made.append(
            Action(
                id=name,
                type=kind,
                vm=vms[v] if v >= 0 else None,
                node=None if two else nodes[target if target >= 0 else source],
                source=nodes[source] if two else None,
                target=nodes[target] if two else None,
                start=begin,
                end=end,
                after=after,
            )
        )
    return tuple(made)


def _tails(linked: Sequence[Linked]) -> Floats:
    """float64[K]: seconds from each start to the end of the last that has to wait for it."""
    tail = [0.0] * len(linked)
    for k in range(len(linked) - 1, -1, -1):
        x = linked[k]
        tail[k] += x.step.seconds
        for j in x.after:
            tail[j] = max(tail[j], tail[k])
    return np.array(tail, dtype=np.float64)
