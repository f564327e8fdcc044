"""Small problems for scheduling tests, written the way one draws them: ``n1: a b | n2: c``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from checked import assert_safe
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Plan
from entropy.model.policy import Policy
from entropy.model.rules import Killed, Offline, Online, Ready, Rule, Running, Sleeping
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Indices, Problem
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.schedule import schedule

__all__ = ["Case", "case", "replayed_loads"]

DEFAULT = DurationModel()


class Case:
    """A cluster, a policy, and the hosts to reach: what ``schedule`` is asked, and what it must hold to."""

    def __init__(self, cluster: Cluster, to: Mapping[str, str], rules: Sequence[Rule] = (), *, allow_suspend: bool = False) -> None:
        self.cluster, self.to = cluster, to
        self.policy = Policy(constraints=tuple(rules), allow_suspend=allow_suspend)
        self.problem: Problem = compile_problem(cluster, self.policy)
        index = {n.name: k for k, n in enumerate(cluster.nodes)}
        self.host: Indices = np.array([index.get(to.get(v.name, v.node or ""), -1) for v in cluster.vms], dtype=np.int32)
        self.host[self.problem.goal == 0] = -1

    def actions(self, durations: DurationModel = DEFAULT) -> tuple[Action, ...]:
        """The plan's actions, after everything that holds for every plan was checked."""
        actions = schedule(self.problem, self.host, durations)
        assert_safe(self.cluster, Plan(actions=actions), self.policy)
        assert self.reached(actions) == self.wanted()
        assert_forecast(actions)
        return actions

    def wanted(self) -> dict[str, tuple[str, str | None]]:
        """VM -> (state, node) at the end."""
        names = {0: "ready", 1: "running", 2: "sleeping"}
        return {
            vm.name: (names[int(goal)], self.cluster.nodes[h].name if h >= 0 else None)
            for vm, goal, h in zip(self.cluster.vms, self.problem.goal, self.host.tolist(), strict=True)
        }

    def reached(self, actions: Sequence[Action]) -> dict[str, tuple[str, str | None]]:
        """VM -> (state, node) after the actions, one after another."""
        at: dict[str, tuple[str, str | None]] = {v.name: (v.state, v.node) for v in self.cluster.vms}
        for a in actions:
            if a.vm is None:
                continue
            match a.type:
                case "migrate" | "resume":
                    at[a.vm] = ("running", a.target)
                case "run":
                    at[a.vm] = ("running", a.node)
                case "suspend":
                    at[a.vm] = ("sleeping", a.node)
                case "stop":
                    at[a.vm] = ("ready", None)
        return at


def case(
    nodes: Mapping[str, Any],
    vms: Mapping[str, Any],
    to: Mapping[str, str],
    *,
    states: Mapping[str, str] | None = None,
    online: Sequence[str] = (),
    offline: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    allow_suspend: bool = False,
) -> Case:
    """``nodes``: name -> memory, or the fields of ``Node``.  ``vms``: name -> (node, memory), or the fields of ``VM``.
    ``to``: name -> node at the end, where it differs.  ``states``: name -> state asked for."""
    asked: list[Rule] = [*rules]
    for name, state in (states or {}).items():
        asked.append({"running": Running, "sleeping": Sleeping, "ready": Ready, "killed": Killed}[state](vms=(name,)))
    if online:
        asked.append(Online(nodes=tuple(online)))
    if offline:
        asked.append(Offline(nodes=tuple(offline)))
    cluster = Cluster(
        nodes=tuple(
            Node(name=name, **(fields if isinstance(fields, dict) else {"capacity": {"memory": float(fields)}}))
            for name, fields in nodes.items()
        ),
        vms=tuple(
            VM(name=name, **(fields if isinstance(fields, dict) else {"node": fields[0], "demand": {"memory": float(fields[1])}}))
            for name, fields in vms.items()
        ),
    )
    return Case(cluster, to, asked, allow_suspend=allow_suspend)


def assert_forecast(actions: Sequence[Action]) -> None:
    """Ids follow the forecast; each action starts at the very end of what it waits for; ``after`` repeats nothing."""
    assert [a.id for a in actions] == [f"a{k}" for k in range(1, len(actions) + 1)]
    assert [a.start for a in actions] == sorted(a.start for a in actions)
    by_id = {a.id: a for a in actions}
    before: dict[str, set[str]] = {}
    for a in actions:
        assert a.start == max((by_id[b].end for b in a.after), default=0.0)
        behind = set().union(*(before[b] for b in a.after)) if a.after else set()
        assert behind.isdisjoint(a.after), f"{a.id} waits for {behind & set(a.after)} twice"
        before[a.id] = behind | set(a.after)


def replayed_loads(case: Case, actions: Sequence[Action], lengths: Mapping[str, float]) -> None:
    """Carry the actions out with other durations, obeying only ``after``; fails when a node is overdrawn.

    ``lengths``: action id -> its real duration, above 0.  Deliberately naive: the load of every node is summed anew from every
    VM's whereabouts after each event.
    """
    problem, resources = case.problem, range(len(case.problem.resources))
    index = {n.name: k for k, n in enumerate(case.cluster.nodes)}
    number = {v.name: k for k, v in enumerate(case.cluster.vms)}
    end: dict[str, float] = {}
    start: dict[str, float] = {}
    for a in actions:
        start[a.id] = max((end[b] for b in a.after), default=0.0)
        end[a.id] = start[a.id] + lengths[a.id]
    leaves = {a.vm for a in actions if a.leaves}
    on: dict[tuple[str, int, bool], None] = {
        (v.name, index[v.node], v.name in leaves): None for v in case.cluster.vms if v.state == "running" and v.node is not None
    }

    def above() -> set[tuple[int, int]]:
        table = [[0] * len(resources) for _ in case.cluster.nodes]
        for name, n, observed in on:
            row = (problem.consumption if observed else problem.demand)[number[name]]
            for r in resources:
                table[n][r] += int(row[r])
        return {(n, r) for n, row in enumerate(table) for r in resources if row[r] > problem.capacity[n, r]}

    by_id = {a.id: a for a in actions}
    before = above()
    for _, starts, name in sorted([(t, 0, i) for i, t in end.items()] + [(t, 1, i) for i, t in start.items()]):
        a = by_id[name]
        if a.vm is not None and starts and a.enters is not None:
            on[a.vm, index[a.enters], False] = None
        elif a.vm is not None and not starts and a.leaves is not None:
            for key in [key for key in on if key[:2] == (a.vm, index[a.leaves])]:  # none: a stop that discards an image
                del on[key]
        now = above()
        assert now <= before, f"{name} overloads {now - before}"
        if starts and a.enters is not None:
            assert index[a.enters] not in {n for n, _ in now}, f"{name} enters {a.enters}, which is above"
        before = now
