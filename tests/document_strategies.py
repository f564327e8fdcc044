"""Hypothesis strategies for whole documents, every field of the model in play."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, MigrationProfile, Node, Power
from entropy.model.errors import InputError
from entropy.model.plan import Action, Figure, NodesFigure, Plan, Summary

__all__ = ["clusters", "names", "plain_clusters", "plans", "refusal", "trees"]

names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs"]), min_size=1, max_size=12)
amounts = st.one_of(
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**6).map(lambda x: x / 1000),
    st.floats(0, 1e12, allow_nan=False).map(abs),
)
resources = st.sampled_from(["cpu", "memory", "gpu", "network bandwidth"])
_values = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["C", "Zl", "Zp"]), max_size=20)
labels = st.dictionaries(names, _values, max_size=3)
_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda d: d.replace(tzinfo=timezone.utc))
_elsewhere = _moments.map(lambda d: d.astimezone(timezone(timedelta(hours=5, minutes=45))))


@st.composite
def clusters(draw: st.DrawFn, most: int = 5) -> Cluster:
    """Any valid cluster."""
    node_names = draw(st.lists(names, unique=True, max_size=most))
    nodes = tuple(
        Node(
            name=name,
            state=draw(st.sampled_from(["online", "offline"])),
            maintenance=draw(st.booleans()),
            capacity=draw(st.dictionaries(resources, amounts)),
            overcommit=draw(st.dictionaries(resources, st.floats(0.5, 8), max_size=2)),
            labels=draw(labels),
            power=draw(st.none() | st.builds(Power, idle=amounts, max=amounts)),
            untouchable=draw(st.sampled_from(["", "names a VM that nobody reports"])),
        )
        for name in node_names
    )
    online = [n.name for n in nodes if n.state == "online"]
    vms = []
    for name in draw(st.lists(names, unique=True, max_size=most)):
        state = draw(st.sampled_from(["ready", *(["sleeping"] if nodes else []), *(["running"] if online else [])]))
        places = {"ready": st.none(), "sleeping": st.sampled_from(node_names or [""]), "running": st.sampled_from(online or [""])}
        vms.append(
            VM(
                name=name,
                state=state,
                node=draw(places[state]),
                demand=draw(st.dictionaries(resources, amounts)),
                consumption=draw(st.dictionaries(resources, amounts)),
                labels=draw(labels),
                migratable=draw(st.booleans()),
                migration=draw(st.none() | st.builds(MigrationProfile, memory_used=st.none() | amounts)),
            )
        )
    name = draw(st.sampled_from(["", "prod"]))
    return Cluster(name=name, observed_at=draw(st.none() | _moments | _elsewhere), nodes=nodes, vms=tuple(vms))


@st.composite
def plain_clusters(draw: st.DrawFn) -> Cluster:
    """Clusters that Entropy's plain text can hold whole."""
    cluster = draw(clusters())
    counts = st.integers(1, 64).map(str)
    nodes, vms = [], []
    for node in cluster.nodes:
        capacity = {r: draw(amounts) for r in ("cpu", "memory")}
        further = {"column5": "rack7"} if draw(st.booleans()) else {}
        nodes.append(Node(name=f"n{node.name}n", state=node.state, capacity=capacity, labels={"cpus": draw(counts), **further}))
    for vm in cluster.vms:
        demand = {r: draw(amounts) for r in ("cpu", "memory")}
        used = {r: draw(amounts) for r in draw(st.sets(st.sampled_from(["cpu", "memory"])))}
        consumption = {r: amount for r, amount in used.items() if amount != demand[r]}
        further = draw(st.sampled_from([{}, {"vjob": "vj1"}, {"vjob": "vj1", "column6": "x"}]))
        place = None if vm.node is None else f"n{vm.node}n"
        vms.append(
            VM(
                name=f"v{vm.name}v",
                state=vm.state,
                node=place,
                demand=demand,
                consumption=consumption,
                labels={"cpus": draw(counts), **further},
            )
        )
    return Cluster(nodes=tuple(nodes), vms=tuple(vms))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any well-formed plan; it need not make sense for a cluster."""
    actions: list[Action] = []
    times = st.integers(0, 10**7).map(lambda x: x / 1000)
    for name in draw(st.lists(names, unique=True, max_size=6)):
        kind = draw(st.sampled_from(["migrate", "resume", "run", "stop", "suspend", "startup", "shutdown"]))
        fields: dict[str, str] = {}
        if kind in ("migrate", "resume"):
            fields = {"vm": draw(names), "source": draw(names), "target": draw(names)}
        elif kind in ("startup", "shutdown"):
            fields = {"node": draw(names)}
        else:
            fields = {"vm": draw(names), "node": draw(names)}
        after = draw(st.lists(st.sampled_from([a.id for a in actions]), unique=True)) if actions else []
        actions.append(Action(id=name, type=kind, start=draw(times), end=draw(times), after=tuple(after), **fields))
    figure = st.none() | st.builds(Figure, value=amounts, lower_bound=st.none() | amounts)
    counts = st.integers(0, 99)
    summary = st.builds(
        Summary,
        objective=st.sampled_from([None, "repair", "consolidate", "balance"]),
        nodes=st.none() | st.builds(NodesFigure, before=counts, after=counts, lower_bound=st.none() | counts),
        moved_memory=figure,
        duration=figure,
        migrations=st.none() | counts,
        satisfied=st.none() | st.booleans(),
        unsatisfied=st.lists(st.sampled_from(["n1 is overloaded"]), max_size=1).map(tuple),
    )
    status = draw(st.sampled_from(["optimal", "feasible", "unchanged"]))
    return Plan(cluster="sha256:00", status=status, actions=tuple(actions), summary=draw(st.none() | summary))


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["4 GiB", "n1", "*", "app="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""Anything that JSON or YAML can hold, and more: NaN, infinity, huge integers."""


def refusal(call: Callable[[], object]) -> str:
    """The sentence with which ``call`` refuses its input, or nothing; any other exception is the test's failure."""
    try:
        call()
    except InputError as problem:
        return str(problem)
    return ""
