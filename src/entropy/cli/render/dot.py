"""A plan as a Graphviz graph: one box an action, one arrow from each action to those that wait for it."""

from __future__ import annotations

from entropy.model.amounts import seconds
from entropy.model.plan import Plan

__all__ = ["render"]

_COLOURS = {
    "migrate": "#2f6f9f", "run": "#3b7d3b", "resume": "#3b7d3b", "startup": "#3b7d3b",
    "stop": "#a0522d", "suspend": "#a0522d", "shutdown": "#a0522d",
}  # fmt: skip


def render(plan: Plan) -> str:
    """Text for ``dot -Tsvg``.  Boxes say what happens and when; an arrow means "must have succeeded before"."""
    lines = [
        "digraph plan {",
        "  rankdir=LR;",
        '  graph [fontname="sans-serif"];',
        '  node [shape=box, style="rounded,filled", fillcolor="#f7f7f7", fontname="monospace", fontsize=11];',
        '  edge [color="#666666", arrowsize=0.7];',
    ]
    for action in plan.actions:
        label = f"{action.describe()}\n{action.id}: {seconds(action.start)} to {seconds(action.end)}"
        lines.append(f'  {_quoted(action.id)} [label={_quoted(label)}, color="{_COLOURS[action.type]}"];')
    for action in plan.actions:
        lines.extend(f"  {_quoted(other)} -> {_quoted(action.id)};" for other in dict.fromkeys(action.after))
    if not plan.actions:
        lines.append('  nothing [label="nothing to do", shape=plaintext, style=""];')
    lines.append("}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
