"""A plan as text, like Ganeti's ``hbal``: the sentence, numbered actions with the effect after each, figures with their bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from entropy.cli.render.effects import replay, with_rules
from entropy.model.amounts import count, memory, seconds, three_digits
from entropy.model.cluster import Cluster
from entropy.model.plan import Action, Figure, Plan
from entropy.model.policy import Policy

__all__ = ["render", "summary_line"]

Style = Callable[[str, str], str]
"""``(text, "bold" | "red" | "dim") -> text``, so that this module knows nothing of terminals."""


def _plain(text: str, _kind: str) -> str:
    return text


def render(
    cluster: Cluster,
    plan: Plan,
    policy: Policy,
    *,
    sentence: str = "",
    reasons: Sequence[str] = (),
    command: str = "",
    style: Style = _plain,
) -> str:
    """The whole text, ending in a newline.  ``command`` is what would execute the plan."""
    lines = [style(sentence, "bold")] if sentence else []
    if plan.actions:
        lines += ["", *_table(with_rules(cluster, policy), plan, style), ""]
    if figures := summary_line(plan):
        lines.append(figures)
    if reasons:
        lines += ["", *(f"- {reason}" for reason in reasons)]
    unsatisfied = plan.summary.unsatisfied if plan.summary else ()
    if unsatisfied:
        lines += ["", style("Left as it is:", "red"), *(f"- {text}" for text in unsatisfied)]
    if plan.actions and command:
        lines += ["", f"Execute it:  {command}"]
    return "\n".join(lines).strip("\n") + "\n"


def _table(cluster: Cluster, plan: Plan, style: Style) -> Iterator[str]:
    number = {}
    rows: list[tuple[str, ...]] = []
    above: list[bool] = []
    for k, (action, effect) in enumerate(replay(cluster, plan), start=1):
        number[action.id] = k
        vm = cluster.vm_by_name.get(action.vm or "")
        size = memory(vm.demand.get("memory", 0.0)) if vm is not None else ""
        waits = _some([str(number[other]) for other in action.after if other in number])
        times = f"{three_digits(action.start)}-{seconds(action.end)}"
        rows.append((f"{k}.", *_words(action), size, times, waits, str(effect.nodes_in_use), str(effect.overloaded)))
        above.append(effect.overloaded > 0)
    head = ("", "action", "what", "where", "memory", "when", "waits for", "nodes in use", "overloaded")
    widths = [max(len(row[c]) for row in (head, *rows)) for c in range(len(head))]
    right = {0, 4, 7, 8}
    yield style(_row(head, widths, right), "dim")
    for row, overloaded in zip(rows, above, strict=True):
        text = _row(row, widths, right)
        yield style(text, "red") if overloaded else text


def _some(numbers: Sequence[str], most: int = 4) -> str:
    rest = len(numbers) - most
    return (", ".join(numbers[:most]) + (f" and {rest} more" if rest > 0 else "")) or "-"


def _row(cells: Sequence[str], widths: Sequence[int], right: set[int]) -> str:
    padded = (cell.rjust(width) if c in right else cell.ljust(width) for c, (cell, width) in enumerate(zip(cells, widths, strict=True)))
    return "  ".join(padded).rstrip()


def _words(action: Action) -> tuple[str, str, str]:
    """The verb, who, and where: ``migrate``, ``web-1``, ``n1 -> n2``."""
    match action.type:
        case "migrate" | "resume" if action.source != action.target:
            return action.type, action.vm or "", f"{action.source} -> {action.target}"
        case "startup" | "shutdown":
            return action.type, action.node or "", ""
        case _:
            return action.type, action.vm or "", action.node or action.target or ""


def summary_line(plan: Plan) -> str:
    """One line of figures, each with its bound and whether that proves it; empty when the plan has no summary."""
    summary = plan.summary
    if summary is None:
        return ""
    parts = []
    if (nodes := summary.nodes) is not None:
        change = f"{nodes.before} -> {nodes.after}" if nodes.before != nodes.after else str(nodes.after)
        parts.append(f"nodes in use {change}{_bound(nodes.after, nodes.lower_bound, str)}")
    for name, figure, shown in (
        ("soft violation", summary.soft_violation, three_digits),
        ("balance", summary.balance, lambda x: f"{three_digits(100 * x)} %"),
        ("power", summary.power, lambda x: f"{three_digits(x)} W"),
        ("moved memory", summary.moved_memory, memory),
        ("duration", summary.duration, seconds),
    ):
        if figure is not None:
            parts.append(f"{name} {shown(figure.value)}{_of(figure, shown)}")
    if summary.migrations is not None:
        parts.append(count(summary.migrations, "migration"))
    if summary.solve_seconds is not None:
        parts.append(f"solved in {seconds(summary.solve_seconds)}")
    return f"{plan.status}: " + "; ".join(parts)


def _of(figure: Figure, shown: Callable[[float], str]) -> str:
    return _bound(figure.value, figure.lower_bound, shown)


def _bound(value: float, bound: float | None, shown: Callable[[float], str]) -> str:
    if bound is None:
        return ""
    if value <= bound * (1 + 1e-9) + 1e-9:
        return " (proven the least)" if value > 0 else ""
    return f" (proven: at least {shown(bound)})" if bound > 0 else ""
