"""Properties of plans on generated clusters, with an independent brute force on tiny ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import combinations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entropy.model.plan import Action
from entropy.model.rules import Lonely, ResourceCapacity, Rule, Split, Spread
from entropy.scheduling.bound import duration_bound
from entropy.scheduling.durations import DurationModel
from entropy.scheduling.schedule import Unorderable
from scheduling_problems import Case, case, replayed_loads

Where = tuple[str, int, bool]
"""(state, node, still where it was observed)."""


@st.composite
def cases(draw: st.DrawFn, nodes: int, vms: int, *, rich: bool = False) -> Case:
    """A cluster and a viable destination: hosts are drawn, then capacities are what both need, plus little.

    Now and then the cluster is above its capacities at first.  ``rich``: two resources, racks, and a rule over racks.
    """
    resources = ("memory", "cpu") if rich else ("memory",)
    names = [f"n{k}" for k in range(draw(st.integers(2, nodes)))]
    table: dict[str, dict[str, object]] = {}
    to: dict[str, str] = {}
    asked: dict[str, str] = {}
    before = {(n, r): 0.0 for n in names for r in resources}
    after = dict(before)
    for k in range(draw(st.integers(1, vms))):
        state = draw(st.sampled_from(["running"] * 6 + ["sleeping", "ready"]))
        goal = draw(st.sampled_from(["running"] * 6 + ["sleeping", "ready"]))
        here, there = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        migratable = draw(st.integers(0, 7)) > 0
        if (state, goal) == ("ready", "sleeping"):
            goal = "ready"
        if state != "ready" and (not migratable or goal == "sleeping"):
            there = here
        demand = {r: float(draw(st.integers(0 if rich else 1, 4))) for r in resources}
        used = dict(demand)
        fields: dict[str, object] = {"state": state, "demand": demand, "migratable": migratable}
        if state != "ready":
            fields["node"] = here
        if state == "running" and draw(st.integers(0, 3)) == 0:
            used = {r: float(draw(st.integers(0, 5))) for r in resources}
            fields["consumption"] = used
        for r in resources:
            if state == "running":
                before[here, r] += demand[r] if goal == "running" and here == there else used[r]
            if goal == "running":
                after[there, r] += demand[r]
        if goal == "running":
            to[f"v{k}"] = there
        if goal != state:
            asked[f"v{k}"] = goal
        table[f"v{k}"] = fields
    most = draw(st.integers(0, 3))
    above = draw(st.integers(0, 4)) == 0
    room = {
        n: {
            "capacity": {r: (after[n, r] if above else max(before[n, r], after[n, r])) + draw(st.integers(0, most)) for r in resources},
            "labels": {"rack": f"r{k // 2}"},
        }
        for k, n in enumerate(names)
    }
    rules: list[Rule] = []
    if draw(st.integers(0, 2)) == 0:
        members = tuple(list(table)[:3])
        zone = (lambda n: str(room[n]["labels"])) if rich else str
        ends = [zone(to[v]) for v in members if v in to]
        rules.append(Spread(vms=members, across="rack" if rich else "node", max=max([1, *map(ends.count, ends)])))
    if draw(st.integers(0, 2)) == 0:
        some = tuple(draw(st.sets(st.sampled_from(names), min_size=1)))
        ends = sum(table[v]["demand"]["memory"] for v, n in to.items() if n in some)  # type: ignore[index]
        rules.append(ResourceCapacity(nodes=some, resource="memory", max=ends + draw(st.integers(0, 2)), continuous=True))
    if draw(st.integers(0, 2)) == 0:
        shares = {(v, w) for v, n in to.items() for w, m in to.items() if v != w and n == m}
        group = draw(st.sets(st.sampled_from(list(table)), min_size=1, max_size=3))
        if all((v in group) == (w in group) for v, w in shares):
            rules.append(Lonely(vms=tuple(sorted(group))))
    if draw(st.integers(0, 2)) == 0:
        shares = {(v, w) for v, n in to.items() for w, m in to.items() if v != w and n == m}
        group = draw(st.sets(st.sampled_from(list(table)), min_size=1, max_size=4))
        parts = [tuple(v for k, v in enumerate(sorted(group)) if k % 2 == half) for half in range(2)]
        if all(parts) and not any(v in parts[0] and w in parts[1] for v, w in shares):
            rules.append(Split(groups=tuple(parts)))
    return case(room, table, to, states=asked, rules=rules, allow_suspend=draw(st.integers(0, 3)) == 0)


def refusal(asked: Case) -> Unorderable | None:
    try:
        asked.actions()
    except Unorderable as error:
        return error
    return None


def actions_of(asked: Case) -> tuple[Action, ...]:
    try:
        return asked.actions()
    except Unorderable:
        assume(False)
        raise


@settings(max_examples=150, deadline=None)
@given(cases(6, 14, rich=True), st.data())
def test_a_plan_reaches_the_hosts_and_is_safe_whatever_its_actions_take(asked: Case, data: st.DataObject) -> None:
    actions = actions_of(asked)
    lengths = {a.id: data.draw(st.sampled_from([0.001, 1.0, 1.5, 7.0, 100.0, 1e4])) for a in actions}
    replayed_loads(asked, actions, lengths)


@settings(max_examples=100, deadline=None)
@given(cases(4, 8))
def test_no_plan_is_shorter_than_its_bound(asked: Case) -> None:
    actions = actions_of(asked)
    acting = [k for k, v in enumerate(asked.cluster.vms) if (v.state, v.node) != asked.wanted()[v.name]]
    end = max((a.end for a in actions), default=0.0)
    assert duration_bound(asked.problem, acting, asked.host, DurationModel()) <= end
    assert duration_bound(asked.problem, acting, None, DurationModel()) <= end


@settings(max_examples=200, deadline=None)
@given(cases(3, 5))
def test_what_is_proven_impossible_is_impossible_for_brute_force_too(asked: Case) -> None:
    """And on clusters as small as these, what is possible is always found and what is not always proven."""
    if (error := refusal(asked)) is not None:
        assert error.proven, error.reason
        assert not BruteForce(asked).reachable(), error.reason


class BruteForce:
    """Every sequence of actions, one at a time, over whole clusters; written from the contract alone."""

    def __init__(self, asked: Case) -> None:
        self.asked, problem = asked, asked.problem
        self.vms = asked.cluster.vms
        self.nodes = range(len(asked.cluster.nodes))
        self.capacity = problem.capacity[:, 0].tolist() if problem.resources else [0] * len(asked.cluster.nodes)
        self.demand = problem.demand[:, 0].tolist() if problem.resources else [0] * len(self.vms)
        self.used = problem.consumption[:, 0].tolist() if problem.resources else [0] * len(self.vms)
        names = {n.name: k for k, n in enumerate(asked.cluster.nodes)}
        self.first = tuple((v.state, names[v.node] if v.node else -1, v.state == "running") for v in self.vms)
        self.wanted = [(s, names[n] if n else -1) for s, n in (asked.wanted()[v.name] for v in self.vms)]
        self.sets = [
            ({names[n] for n in rule.nodes}, round(rule.max * float(problem.scale[0])))
            for rule in asked.policy.constraints
            if isinstance(rule, ResourceCapacity)
        ]
        self.parts = [
            [int(v.name not in rule.vms) if isinstance(rule, Lonely) else _part(rule, v.name) for v in self.vms]
            for rule in asked.policy.constraints
            if isinstance(rule, Lonely | Split)
        ]
        self.spread = [
            ({k for k, v in enumerate(self.vms) if v.name in rule.vms}, rule.max)
            for rule in asked.policy.constraints
            if isinstance(rule, Spread)
        ]

    def reachable(self) -> bool:
        """Is there a sequence, for some choice of the VMs that ever leave the node where they are observed?"""
        running = [k for k, w in enumerate(self.first) if w[0] == "running"]
        must = {k for k in running if self.wanted[k] != self.first[k][:2]}
        others = [k for k in running if k not in must]
        return any(self._search(must | set(more)) for size in range(len(others) + 1) for more in combinations(others, size))

    def _search(self, leavers: set[int]) -> bool:
        seen, queue = {self.first}, deque([self.first])
        while queue:
            now = queue.popleft()
            if all(w[:2] == self.wanted[k] and not (w[2] and k in leavers) for k, w in enumerate(now)):
                return True
            for then in self._steps(now, leavers):
                if then not in seen:
                    seen.add(then)
                    queue.append(then)
        return False

    def _steps(self, now: tuple[Where, ...], leavers: set[int]) -> Iterator[tuple[Where, ...]]:
        for k, (state, node, observed) in enumerate(now):
            goal, fixed = self.wanted[k][0], not self.vms[k].migratable
            ways: list[Where] = []
            if state == "running" and (k in leavers or not observed):
                if not fixed:
                    ways += [("running", n, False) for n in self.nodes if n != node and self._enters(now, k, n, node, leavers)]
                both = self.vms[k].state == goal == "running"
                if goal == "sleeping" or (both and self.asked.policy.allow_suspend and not fixed):
                    ways.append(("sleeping", node, False))
                if goal == "ready":
                    ways.append(("ready", -1, False))
            elif state == "sleeping" and goal == "ready":
                ways.append(("ready", -1, False))
            elif state == "sleeping" and (self.vms[k].state == "running" or goal == "running"):
                ways += [("running", n, False) for n in self.nodes if (n == node or not fixed) and self._enters(now, k, n, -1, leavers)]
            elif state == "ready" and goal == "running":
                ways += [("running", n, False) for n in self.nodes if self._enters(now, k, n, -1, leavers)]
            for way in ways:
                yield (*now[:k], way, *now[k + 1 :])

    def _enters(self, now: tuple[Where, ...], k: int, target: int, origin: int, leavers: set[int]) -> bool:
        load = self.demand[k]
        for j, (state, node, observed) in enumerate(now):
            if state == "running" and node == target:
                load += self.used[j] if observed and j in leavers else self.demand[j]
        together = (
            sum(w[0] == "running" and w[1] == target and j != k for j, w in enumerate(now) if j in group) + 1 <= most
            for group, most in self.spread
            if k in group and target != origin
        )
        within = (
            origin in some
            or sum(self.demand[j] for j, w in enumerate(now) if w[0] == "running" and w[1] in some and j != k) + self.demand[k] <= most
            for some, most in self.sets
            if target in some and self.demand[k]
        )
        strangers = any(
            part_of[k] >= 0 <= part_of[j] != part_of[k] and w[0] == "running" and w[1] == target and j != k
            for part_of in self.parts
            for j, w in enumerate(now)
        )
        return load <= self.capacity[target] and all(together) and all(within) and not strangers


def _part(rule: Split, name: str) -> int:
    return next((k for k, group in enumerate(rule.groups) if name in group), -1)
