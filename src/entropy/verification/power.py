"""Nodes that are started, shut down or under maintenance: is each one up whenever something uses it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entropy.model.cluster import Node
from entropy.model.plan import Action
from entropy.verification.case import Case
from entropy.verification.violation import Violation

__all__ = ["check_maintenance", "check_power"]


def check_power(case: Case) -> Iterator[Violation]:
    """Every use of a node lies after its startup and before its shutdown, in every order of events."""
    dark = {node.name for node in case.cluster.nodes if node.state == "offline"}
    concerned = dark | set(case.replay.switches)
    uses: dict[str, list[Action]] = {}
    if concerned:
        for action in case.plan.actions:
            if action.vm is not None:
                for name in action.nodes:
                    uses.setdefault(name, []).append(action)
    for node in case.cluster.nodes:
        if node.name not in concerned:
            continue
        switches = case.replay.switches.get(node.name, ())
        yield from _alternate(case, node, switches)
        ups = [a for a in switches if a.type == "startup"]
        if node.name in dark:
            yield from _used_while_dark(case, node.name, ups, uses.get(node.name, ()))
        for down in (a for a in switches if a.type == "shutdown"):
            yield from _used_while_going_down(case, node.name, down, ups, uses.get(node.name, ()))
        if switches and node.name not in case.switchable:
            first = switches[0]
            text = f"node {node.name}: {first.id} ({first.describe()}) switches it, and neither a rule nor the target asks for that"
            yield Violation("state", node.name, text, actions=tuple(a.id for a in switches))


def _alternate(case: Case, node: Node, switches: Sequence[Action]) -> Iterator[Violation]:
    state: str = node.state
    for previous, action in zip((None, *switches), switches, strict=False):
        if previous is not None and not case.order.before(previous.id, action.id):
            text = f"node {node.name}: {previous.id} and {action.id} may run at the same time, neither waits for the other"
            yield Violation("order", node.name, text, actions=(previous.id, action.id))
        after = "online" if action.type == "startup" else "offline"
        if state == after:
            text = f"node {node.name}: {action.id} cannot {action.describe()}: it is {state} then"
            yield Violation("power", node.name, text, actions=(action.id,))
        state = after


def _used_while_dark(case: Case, node: str, ups: Sequence[Action], uses: Sequence[Action]) -> Iterator[Violation]:
    for action in uses:
        if any(case.order.before(up.id, action.id) for up in ups):
            continue
        why = f"does not wait for {ups[0].id}, which starts it" if ups else "nothing starts it"
        text = f"node {node} is offline, and {action.id} ({action.describe()}) uses it: {why}"
        yield Violation("power", node, text, actions=(action.id, *(up.id for up in ups)))


def _used_while_going_down(case: Case, node: str, down: Action, ups: Sequence[Action], uses: Sequence[Action]) -> Iterator[Violation]:
    order = case.order

    def after_next_start(action: str) -> bool:
        return any(order.before(down.id, up.id) and order.before(up.id, action) for up in ups)

    blamed: set[str] = set()
    for vm, _, came, left in case.replay.spells_on(node):
        gone = left is not None and order.before(left, down.id)
        if gone or (came is not None and after_next_start(came)):
            continue
        involved = tuple(a for a in (came, left) if a is not None)
        blamed.update(involved)
        cause = f"{down.id} does not wait for {left}" if left is not None else "nothing takes it away"
        text = f"node {node}: {down.id} shuts it down while {vm} can still run there: {cause}"
        yield Violation("power", node, text, actions=(down.id, *involved))
    for action in uses:
        if action.id in blamed or order.before(action.id, down.id) or after_next_start(action.id):
            continue
        text = f"node {node}: {down.id} may shut it down before or while {action.id} ({action.describe()}) uses it"
        yield Violation("power", node, text, actions=(down.id, action.id))


def check_maintenance(case: Case) -> Iterator[Violation]:
    """A node under maintenance is left by all that run there and entered by nobody; images may stay."""
    for node in case.cluster.nodes:
        if not node.maintenance:
            continue
        for vm, _, came, left in case.replay.spells_on(node.name):
            if came is not None:
                text = f"node {node.name} is under maintenance, and {came} brings {vm} there"
                yield Violation("maintenance", node.name, text, actions=(came,))
            elif left is None:
                text = f"node {node.name} is under maintenance, and {vm} still runs there at the end"
                yield Violation("maintenance", node.name, text)
