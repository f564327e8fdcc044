"""Plans as pictures and tables: every action is shown, nothing covers anything, any name is drawn as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given

from document_strategies import clusters, plans
from entropy.cli.render import dot, svg, text
from entropy.cli.render.effects import Effect, figures, replay, with_rules
from entropy.model.amounts import memory, seconds, three_digits
from entropy.model.cluster import VM, Cluster, Node
from entropy.model.plan import Action, Figure, NodesFigure, Plan, Summary
from entropy.model.policy import Policy
from entropy.model.rules import Overbook, Preserve

SVG = "{http://www.w3.org/2000/svg}"


def small_plan() -> tuple[Cluster, Plan]:
    nodes = tuple(Node(name=name, capacity={"cpu": 4.0, "memory": 8192.0}) for name in ("n1", "n2", "n3"))
    vms = (
        VM(name="a", node="n1", demand={"cpu": 3.0, "memory": 4096.0}),
        VM(name="b", node="n1", demand={"cpu": 2.0, "memory": 2048.0}),
        VM(name="c", node="n2", state="sleeping", demand={"cpu": 1.0, "memory": 1024.0}),
        VM(name="d", state="ready", demand={"cpu": 1.0, "memory": 512.0}),
    )
    actions = (
        Action(id="m", type="migrate", vm="b", source="n1", target="n3", start=0.0, end=17.4),
        Action(id="r", type="resume", vm="c", source="n2", target="n3", start=17.4, end=26.6, after=("m",)),
        Action(id="s", type="run", vm="d", node="n2", start=0.0, end=5.0),
        Action(id="x", type="stop", vm="a", node="n1", start=26.6, end=28.6, after=("r", "m")),
        Action(id="o", type="shutdown", node="n1", start=28.6, end=58.6, after=("x",)),
    )
    summary = Summary(
        objective="consolidate",
        nodes=NodesFigure(before=1, after=2, lower_bound=2),
        moved_memory=Figure(value=3072.0, lower_bound=2048.0),
        duration=Figure(value=58.6),
        migrations=1,
        solve_seconds=0.0123,
    )
    return Cluster(name="prod", nodes=nodes, vms=vms), Plan(status="feasible", actions=actions, summary=summary)


def test_each_action_is_shown_with_what_it_changes() -> None:
    cluster, plan = small_plan()
    assert [(action.id, effect) for action, effect in replay(cluster, plan)] == [
        ("m", Effect(2, 0)),
        ("s", Effect(3, 0)),
        ("r", Effect(3, 0)),
        ("x", Effect(2, 0)),
        ("o", Effect(2, 0)),
    ]
    assert (
        text.render(cluster, plan, Policy(), sentence="A sentence.", command="entropy apply p.json")
        == """\
A sentence.

    action    what  where      memory  when         waits for  nodes in use  overloaded
1.  migrate   b     n1 -> n3    2 GiB  0-17.4 s     -                     2           0
2.  run       d     n2        512 MiB  0-5 s        -                     3           0
3.  resume    c     n2 -> n3    1 GiB  17.4-26.6 s  1                     3           0
4.  stop      a     n1          4 GiB  26.6-28.6 s  3, 1                  2           0
5.  shutdown  n1                       28.6-58.6 s  4                     2           0

feasible: nodes in use 1 -> 2 (proven the least); moved memory 3 GiB (proven: at least 2 GiB); duration 58.6 s; 1 migration; \
solved in 0.01 s

Execute it:  entropy apply p.json
"""
    )


def test_figures_are_recomputed() -> None:
    cluster, plan = small_plan()
    found = figures(cluster, plan)
    assert (found.nodes_before, found.nodes_after, found.moved_memory, found.migrations, found.duration) == (1, 2, 3072.0, 1, 58.6)


def test_a_node_above_its_limit_is_counted_until_it_is_mended() -> None:
    cluster, plan = small_plan()
    crowded = with_rules(cluster, Policy(constraints=(Preserve(vms="a", resource="cpu", amount=5.0),)))
    assert [effect.overloaded for _, effect in replay(crowded, plan)] == [1, 1, 1, 0, 0]
    roomy = with_rules(crowded, Policy(constraints=(Overbook(nodes="*", resource="cpu", ratio=2.0),)))
    assert [effect.overloaded for _, effect in replay(roomy, plan)] == [0, 0, 0, 0, 0]


@given(clusters(), plans())
def test_whatever_plan_is_drawn_whole(cluster: Cluster, plan: Plan) -> None:
    table = text.render(cluster, plan, Policy())
    assert len(re.findall(r"^\s*\d+\. ", table, re.MULTILINE)) == len(plan.actions)
    figure = ElementTree.fromstring(svg.render(cluster, plan))
    bars = figure.findall(f"{SVG}g")
    places = sum(2 if a.type in ("migrate", "resume") and a.source != a.target else 1 for a in plan.actions)
    assert len(bars) == places
    for bar in bars:
        rect = bar.find(f"{SVG}rect")
        assert rect is not None
        assert float(rect.attrib["width"]) > 0
    graph = dot.render(plan)
    assert graph.count(" -> ") >= sum(len(a.after) for a in plan.actions)


def test_no_bar_and_no_label_covers_another() -> None:
    nodes = tuple(Node(name=f"node-{k}", capacity={}) for k in range(8))
    actions = []
    for k in range(200):
        start = (k * 37) % 300 / 2
        source, target = f"node-{k % 8}", f"node-{(k + 1 + k % 5) % 8}"
        actions.append(
            Action(id=f"a{k}", type="migrate", vm=f"application-{k}", source=source, target=target, start=start, end=start + k % 23)
        )
    figure = ElementTree.fromstring(svg.render(Cluster(nodes=nodes, vms=()), Plan(actions=tuple(actions))))
    lanes: dict[str, list[tuple[float, float]]] = {}
    for bar in figure.findall(f"{SVG}g"):
        rect, label = bar.find(f"{SVG}rect"), bar.find(f"{SVG}text")
        assert rect is not None
        assert label is not None
        x, width, at = float(rect.attrib["x"]), float(rect.attrib["width"]), float(label.attrib["x"])
        size = 6.7 * len(label.text or "") * (-1 if label.attrib["text-anchor"] == "end" else 1)
        lanes.setdefault(rect.attrib["y"], []).append((min(x, at, at + size), max(x + width, at, at + size)))
    for spans in lanes.values():
        spans.sort()
        assert all(before[1] <= after[0] + 0.2 for before, after in pairwise(spans))
        assert spans[0][0] >= 0
        assert spans[-1][1] <= 1200


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is missing: apt-get install graphviz")
@given(plan=plans())
def test_graphviz_reads_the_graph(plan: Plan) -> None:
    drawn = subprocess.run(["dot", "-Tplain"], input=dot.render(plan), capture_output=True, text=True, check=True)
    assert drawn.stderr == ""
    assert len(re.findall(r"^node ", drawn.stdout, re.MULTILINE)) == max(len(plan.actions), 1)
    assert len(re.findall(r"^edge ", drawn.stdout, re.MULTILINE)) == sum(len(a.after) for a in plan.actions)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.004, "0"), (0.41, "0.41"), (4.126, "4.13"), (9.999, "10"), (41.26, "41.3"), (99.97, "100"), (1234.5, "1234")],
)
def test_three_digits(value: float, shown: str) -> None:
    assert three_digits(value) == shown


def test_units() -> None:
    assert [memory(x) for x in (512, 1024, 81920, 3 << 19)] == ["512 MiB", "1 GiB", "80 GiB", "1.5 TiB"]
    assert [seconds(x) for x in (0, 12.44, 96.5, 600, 36000)] == ["0 s", "12.4 s", "96.5 s", "10 min", "10 h"]
