"""``schedule``: from a placement to actions with ids, order and forecast."""

from __future__ import annotations

from entropy.model.plan import Action
from entropy.problem.problem import Indices, Problem
from entropy.scheduling.dependencies import Linked, link
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.ordering import arrange
from entropy.scheduling.rooms import Books, stays
from entropy.scheduling.steps import Maker, changes
from entropy.scheduling.unorderable import Unorderable

__all__ = ["Unorderable", "schedule"]


def schedule(problem: Problem, host: Indices, durations: DurationModel) -> tuple[Action, ...]:
    """The actions that lead from the observed cluster to ``host``, safe whatever the real durations are.

    ``host[v]`` is the node where VM v runs at the end (goal running) or where its image lies (goal sleeping), -1 for goal
    ready.  Actions are named a1, a2, ... by forecast start; ``after`` holds nothing that follows from the rest of it.  Raises
    ``Unorderable`` when no order was found, ``InputError`` when an expression gives no duration.
    """
    books = Books(problem, stays(problem, host))
    maker = Maker(problem, books, durations)
    found = changes(problem, host, maker)
    sequence = arrange(problem, books, maker, found)
    linked = link(books.room, sequence, found.shutdowns)
    order = sorted(range(len(linked)), key=lambda k: (linked[k].start, k))
    rank = {k: number for number, k in enumerate(order, 1)}
    return tuple(_action(problem, linked[k], rank, f"a{number}") for number, k in enumerate(order, 1))


def _action(problem: Problem, linked: Linked, rank: dict[int, int], name: str) -> Action:
    step = linked.step
    two = step.kind in ("migrate", "resume")
    node = step.target if step.target >= 0 else step.source
    return Action(
        id=name,
        type=step.kind,
        vm=problem.vm_name(step.vm) if step.vm >= 0 else None,
        node=None if two else problem.node_name(node),
        source=problem.node_name(step.source) if two else None,
        target=problem.node_name(step.target) if two else None,
        start=linked.start,
        end=linked.end,
        after=tuple(f"a{rank[k]}" for k in sorted(linked.after, key=rank.__getitem__)),
    )
