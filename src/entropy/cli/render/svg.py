"""A plan as a timeline (Gantt): one row a node, one bar an action, the forecast's seconds from left to right.

A migration stands in two rows: outlined where the VM leaves, filled where it arrives.  Bars that overlap in time share a row
in lanes; a label stands inside its bar if it fits there, else beside it, and nothing is drawn over it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from entropy.cli.render.effects import in_order
from entropy.model.amounts import count, seconds, three_digits
from entropy.model.cluster import Cluster
from entropy.model.plan import Action, Plan

__all__ = ["render"]

_WIDTH, _RIGHT, _TOP = 1200, 24, 64
_LANE, _BAR, _GAP = 18, 14, 6  # heights: a lane, the bar in it, between rows
_CHARACTER = 6.7  # width of a monospace character at 11 px
_LEAST_BAR = 3.0

_STYLE = """
  text { font: 11px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #222; }
  .title { font: 600 15px system-ui, 'DejaVu Sans', sans-serif; } .small { fill: #666; }
  .background { fill: #fff; } .band { fill: #f6f6f6; } .grid { stroke: #ddd; }
  .in { fill: #2f6f9f; stroke: #2f6f9f; } .out { fill: #dbe9f3; stroke: #2f6f9f; stroke-dasharray: 3 2; }
  .begin { fill: #3b7d3b; stroke: #3b7d3b; } .end { fill: #a0522d; stroke: #a0522d; } .power { fill: #777; stroke: #777; }
  .on-dark { fill: #fff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd; } .small { fill: #999; } .background { fill: #1b1b1b; } .band { fill: #242424; } .grid { stroke: #3a3a3a; }
    .out { fill: #22384a; stroke: #6aa9d6; }
  }
"""
_LEGEND = (("in", "arrives"), ("out", "leaves"), ("begin", "run, resume"), ("end", "stop, suspend"), ("power", "node"))


@dataclass(frozen=True, slots=True)
class _Bar:
    """One bar in a node's row; times in seconds, ``x`` and ``width`` in pixels, ``left``..``right`` what it covers with its label."""

    action: Action
    kind: str
    label: str
    x: float
    width: float
    text_x: float
    anchor: str  # where the label stands from text_x: start or end
    left: float
    right: float

    @property
    def inside(self) -> bool:
        return self.x <= self.text_x < self.x + self.width and self.anchor == "start"


def render(cluster: Cluster, plan: Plan) -> str:
    """An SVG document; system fonts, light and dark, exact times on hover."""
    rows = _rows(cluster, plan)
    left = min(240.0, 24 + _CHARACTER * max((len(_cut(name)) for name in rows), default=4))
    span = max((a.end for a in plan.actions), default=0.0) or 1.0
    scale = (_WIDTH - left - _RIGHT) / span
    lanes = {name: _lanes([_bar(a, kind, label, left, scale) for a, kind, label in bars]) for name, bars in rows.items()}
    height = _TOP + sum(_LANE * len(row) + _GAP for row in lanes.values()) + 68
    body = "\n".join((*_head(cluster, plan), *_axis(left, scale, span, height - 62), *_body(lanes, left), *_legend(height)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f'<style>{_STYLE}</style>\n<rect class="background" width="{_WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )


def _rows(cluster: Cluster, plan: Plan) -> dict[str, list[tuple[Action, str, str]]]:
    """Node -> its bars (action, kind, label), nodes in the cluster's order, those that take no part left out."""
    rows: dict[str, list[tuple[Action, str, str]]] = {node.name: [] for node in cluster.nodes}
    for action in in_order(plan):
        for node, kind, label in _places(action):
            rows.setdefault(node, []).append((action, kind, label))
    return {name: bars for name, bars in rows.items() if bars}


def _places(action: Action) -> Iterator[tuple[str, str, str]]:
    source, target, node, vm = action.source or "", action.target or "", action.node or "", action.vm or ""
    match action.type:
        case "migrate" | "resume" if source != target:
            verb = "" if action.type == "migrate" else "resume "
            yield source, "out", f"{verb}{vm} → {target}"
            yield target, "in" if action.type == "migrate" else "begin", f"{verb}{vm}"
        case "run" | "resume":
            yield node or target, "begin", f"{action.type} {vm}"
        case "stop" | "suspend":
            yield node, "end", f"{action.type} {vm}"
        case _:
            yield node, "power", "start" if action.type == "startup" else "shut down"


def _bar(action: Action, kind: str, label: str, left: float, scale: float) -> _Bar:
    x, width = left + action.start * scale, max(_LEAST_BAR, (action.end - action.start) * scale)
    room = _CHARACTER * len(label) + 8
    if room <= width:
        return _Bar(action, kind, label, x, width, x + 4, "start", x, x + width)
    if x + width + room <= _WIDTH:
        return _Bar(action, kind, label, x, width, x + width + 4, "start", x, x + width + room)
    return _Bar(action, kind, label, x, width, x - 4, "end", x - room, x + width)


def _lanes(bars: list[_Bar]) -> list[list[_Bar]]:
    """Bars in as few lanes as first-fit needs so that no bar and no label covers another."""
    lanes: list[list[_Bar]] = []
    for bar in sorted(bars, key=lambda b: b.left):
        free = next((lane for lane in lanes if lane[-1].right <= bar.left), None)
        if free is None:
            lanes.append([bar])
        else:
            free.append(bar)
    return lanes


def _head(cluster: Cluster, plan: Plan) -> Iterator[str]:
    end = max((a.end for a in plan.actions), default=0.0)
    what = f"{count(len(plan.actions), 'action')}, {seconds(end)} (forecast)" if plan.actions else "nothing to do"
    name = f"Plan for {cluster.name}" if cluster.name else "Plan"
    yield f'<text class="title" x="16" y="26">{escape(f"{name}: {what}")}</text>'


def _axis(left: float, scale: float, span: float, bottom: float) -> Iterator[str]:
    step = _step(span)
    heights = (_TOP - 16.0, bottom + 12) if bottom > 700 else (_TOP - 16.0,)  # both ends of a tall picture
    for k in range(math.floor(span / step + 1e-9) + 1):
        x = left + k * step * scale
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 10}" x2="{x:.1f}" y2="{bottom}"/>'
        anchor = "end" if x > _WIDTH - 40 else "middle"
        for y in heights:
            yield f'<text class="small" x="{x:.1f}" y="{y:.0f}" text-anchor="{anchor}">{_tick(k * step, step)}</text>'


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten (above ten minutes: of whole minutes), for at most twelve ticks."""
    unit = 60.0 if span > 600 else 1.0
    rough = span / unit / 12
    power = 10.0 ** math.floor(math.log10(rough))
    return unit * power * next(m for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _tick(value: float, step: float) -> str:
    return f"{three_digits(value / 60)} min" if step >= 60 else f"{value:.10g} s"


def _body(lanes: dict[str, list[list[_Bar]]], left: float) -> Iterator[str]:
    y = float(_TOP)
    for k, (name, row) in enumerate(lanes.items()):
        height = _LANE * len(row) + _GAP
        if k % 2 == 0:
            yield f'<rect class="band" x="0" y="{y:.0f}" width="{_WIDTH}" height="{height}" opacity="0.6"/>'
        yield f'<text x="{left - 10:.1f}" y="{y + _GAP / 2 + 13:.1f}" text-anchor="end">{escape(_cut(name))}</text>'
        for j, lane in enumerate(row):
            for bar in lane:
                yield _drawn(bar, y + _GAP / 2 + j * _LANE + (_LANE - _BAR) / 2)
        y += height


def _drawn(bar: _Bar, y: float) -> str:
    action = bar.action
    after = f"; after {', '.join(action.after[:12])}{', ...' if len(action.after) > 12 else ''}" if action.after else ""
    hover = f"{action.id}: {action.describe()}, {seconds(action.start)} to {seconds(action.end)}{after}"
    style = ' class="on-dark"' if bar.inside and bar.kind != "out" else ""
    return (
        f"<g><title>{escape(hover)}</title>"
        f'<rect class="{bar.kind}" x="{bar.x:.1f}" y="{y:.1f}" width="{bar.width:.1f}" height="{_BAR}" rx="2"/>'
        f'<text{style} x="{bar.text_x:.1f}" y="{y + 11:.1f}" text-anchor="{bar.anchor}">{escape(bar.label)}</text></g>'
    )


def _legend(height: float) -> Iterator[str]:
    x = 16.0
    for kind, text in _LEGEND:
        yield f'<rect class="{kind}" x="{x:.1f}" y="{height - 30:.1f}" width="18" height="{_BAR}" rx="2"/>'
        yield f'<text class="small" x="{x + 24:.1f}" y="{height - 19:.1f}">{text}</text>'
        x += 24 + _CHARACTER * len(text) + 22


def _cut(name: str, most: int = 30) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
