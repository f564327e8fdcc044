"""The Cluster view in a terminal while a rehearsal runs: sentence first, nodes as bars, nodes in use over the day, what is under way.

LiveView(console, static, title).tick(rehearsal)         draws at most eight times a (real) second
frame(scene, width, height) -> what is drawn
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from entropy.cli.charts import area, bar, level, resampled, thin
from entropy.cli.render.clock import clock
from entropy.model.amounts import count, memory, three_digits

if TYPE_CHECKING:
    from entropy.control.rehearsal import Rehearsal, Said
    from entropy.simulation.meter import Glance, NodeLoad

__all__ = ["LiveView", "Move", "Scene", "frame"]

_LEAST_PAUSE = 1 / 8
_TILES_FROM = 81
"""From so many nodes on, a node is one character."""
_WIDE = 118
"""Columns from which figures are written out."""
_ACCENT, _WAITS, _WRONG, _QUIET = "cyan", "yellow", "bold red", "dim"


@dataclass(frozen=True, kw_only=True)
class Move:
    """An operation under way; ``done``: share of its expected time; ``text``: ``web-3  4 GiB  n07 → n02``."""

    text: str
    done: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One instant, as it is drawn.  ``in_use``: nodes, one number a period, of ``periods`` that there will be.  ``static``: nodes of the
    static allocation.  ``moved_memory`` in MiB, ``seconds`` in all."""

    title: str
    sentence: str
    warning: bool
    glance: Glance
    in_use: Sequence[int]
    periods: int
    period: float
    static: int
    migrations: int
    moved_memory: float
    moves: tuple[Move, ...]
    changes: tuple[Said, ...]


class LiveView:
    """Draws on ``console`` while it is entered; ``now`` gives real seconds."""

    def __init__(self, console: Console, title: str, static: int, now: Callable[[], float]) -> None:
        self._console, self._title, self._static, self._now = console, title, static, now
        self._live = Live(console=console, auto_refresh=False, screen=True, redirect_stdout=False, redirect_stderr=False)
        self._drawn, self._plan, self._over = float("-inf"), -1, False
        self.last: Scene | None = None

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._live.__exit__(kind, problem, trace)

    def tick(self, rehearsal: Rehearsal) -> None:
        """Something is new."""
        now = self._now()
        begun = bool(rehearsal.operations) and rehearsal.diary.plans != self._plan
        over = len(rehearsal.meter.in_use) * rehearsal.meter.period >= rehearsal.seconds and not self._over
        if now - self._drawn < _LEAST_PAUSE and not begun and not over:
            return
        self._over |= over
        if begun:
            self._plan = rehearsal.diary.plans
        self.last = scene_of(rehearsal, self._title, self._static)
        size = self._console.size
        self._live.update(frame(self.last, size.width, size.height), refresh=True)
        self._drawn = self._now()


def scene_of(rehearsal: Rehearsal, title: str, static: int) -> Scene:
    """What there is to see now."""
    meter, diary = rehearsal.meter, rehearsal.diary
    figures = rehearsal.figures()
    now = rehearsal.world.now()
    moves = []
    for op in rehearsal.operations:
        vm = rehearsal.world.vm(op.vm) if op.vm else None
        size = f"{memory(vm.demand.get('memory', 0.0)):>7}  " if vm else ""
        moves.append(
            Move(text=f"{op.subject:<10} {size}{op.source} → {op.target}", done=(now - op.begun) / op.duration if op.duration else 1.0)
        )
    return Scene(
        title=title,
        sentence=rehearsal.sentence,
        warning=diary.level != "info",
        glance=meter.look(),
        in_use=meter.in_use,
        periods=round(rehearsal.seconds / meter.period),
        period=meter.period,
        static=static,
        migrations=figures.migrations,
        moved_memory=figures.moved_memory,
        moves=tuple(moves),
        changes=tuple(diary.changes)[-12:],
    )


# -- the picture ---------------------------------------------------------------------------------------------------


def frame(scene: Scene, width: int, height: int) -> RenderableType:
    """Everything, fitted to the terminal: what does not fit is left out from the bottom up."""
    width = max(width, 40)
    head: list[Text] = [_title(scene, width), *_sentence(scene, width), _figures(scene, width), Text()]
    tall = height >= len(head) + 2 * _lines_of_grid(scene, width) + 12
    grid = _grid(scene, width, tall)
    rest = height - 1 - len(head) - len(grid)
    parts: list[RenderableType] = [*head, *grid]
    rows = min(max(rest - 10, 2), 8)
    if rest >= rows + 2:
        parts += [Text(), *_curve(scene, width, rows)]
        rest -= rows + 2
    if rest >= 3:
        parts += [Text(), *_lists(scene, width, min(rest - 1, 10))]
    return Group(*parts)


def _title(scene: Scene, width: int) -> Text:
    left, right = f"Entropy ─ {scene.title} ", f" {clock(scene.glance.at)}"
    fill = max(0, width - len(left) - len(right) - 1)
    return Text.assemble((left, "bold"), ("─" * fill, _QUIET), (right, "bold"), no_wrap=True, overflow="crop")


def _sentence(scene: Scene, width: int) -> list[Text]:
    """Always two lines, so that the picture does not jump."""
    mark, style = ("▲ ", _WAITS) if scene.warning else ("● ", _ACCENT if scene.moves else "green")
    parts = [*wrap(scene.sentence, width - 3, max_lines=2, placeholder=" …"), "", ""][:2]
    return [Text.assemble((mark if k == 0 else "  ", style), part, no_wrap=True, overflow="crop") for k, part in enumerate(parts)]


def _figures(scene: Scene, width: int) -> Text:
    nodes, wide = scene.glance.nodes, width >= _WIDE
    saved = sum(scene.static - n for n in scene.in_use) * scene.period / 3600
    over = len(scene.glance.overloaded)
    loads = [n for n in nodes if n.vms]
    memory_share = _percent(sum(n.memory for n in loads), sum(n.node.limit("memory") for n in loads))
    cpu_share = _percent(sum(n.cpu for n in loads), sum(n.node.limit("cpu") for n in loads))
    return Text.assemble(
        ("nodes in use " if wide else "nodes ", _QUIET), (f"{scene.glance.in_use}", "bold"), (f" (static {scene.static})", _QUIET),
        ("  cpu ", _QUIET), cpu_share, ("  memory ", _QUIET), memory_share,
        ("  overloaded ", _QUIET), (f"! {over}" if over else "0", _WRONG if over else ""),
        ("  saved ", _QUIET), f"{three_digits(saved)} node-{'hours' if wide else 'h'}",
        ("  moved ", _QUIET), memory(scene.moved_memory) + (f" in {count(scene.migrations, 'move')}" if wide else ""),
        no_wrap=True, overflow="ellipsis",
    )  # fmt: skip


def _percent(part: float, whole: float) -> str:
    return f"{part / whole * 100:.0f} %" if whole else "-"


# -- nodes ---------------------------------------------------------------------------------------------------------


def _shape(scene: Scene, width: int) -> tuple[int, int]:
    """(cells a line, width of the bar in a cell)."""
    longest = max((len(n.node.name) for n in scene.glance.nodes), default=3)
    per = 10 if (width - 4) // 10 >= longest + 7 else 5
    return per, max(3, min((width - 4) // per - longest - 3, 16))


def _lines_of_grid(scene: Scene, width: int) -> int:
    if len(scene.glance.nodes) >= _TILES_FROM:
        return -(-len(scene.glance.nodes) // (width - 2))
    per, _ = _shape(scene, width)
    return sum(-(-len(nodes) // per) for _, nodes in _racks(scene.glance.nodes))


def _grid(scene: Scene, width: int, tall: bool) -> list[Text]:
    if len(scene.glance.nodes) >= _TILES_FROM:
        return _tiles(scene, width)
    per, room = _shape(scene, width)
    room -= not tall
    longest = max((len(n.node.name) for n in scene.glance.nodes), default=3)
    lines = []
    for rack, nodes in _racks(scene.glance.nodes):
        for k in range(0, len(nodes), per):
            label = (rack if k == 0 else "").ljust(4)
            upper, lower = Text(label, _QUIET, no_wrap=True, overflow="crop"), Text("    ", no_wrap=True, overflow="crop")
            for load in nodes[k : k + per]:
                _cell(load, upper, lower, longest, room, tall)
            lines += [upper, lower] if tall else [upper]
    return lines


def _cell(load: NodeLoad, upper: Text, lower: Text, longest: int, room: int, tall: bool) -> None:
    """One node: a mark, its name, its memory; its cpu below, or behind as one character."""
    name = load.node.name.ljust(longest)
    mark = "!" if load.overloaded else "▸" if load.entering else "◂" if load.leaving else " "
    style = _WRONG if load.overloaded else _ACCENT if load.entering or load.leaving else ""
    if not load.vms:
        state = "off" if load.node.state == "offline" else "empty" if room >= 5 else "free"
        upper.append(f" {name} ", _QUIET).append(state.ljust(room + (not tall))[: room + (not tall)], _QUIET).append(" ")
        lower.append(" " * (longest + room + 3))
        return
    upper.append(f"{mark}{name} ", style).append(bar(load.share_of_memory, room), style)
    if not tall:
        upper.append(level(load.share_of_cpu), style)
    upper.append(" ")
    over = load.share_of_cpu > 1.0
    cpu = f"{load.share_of_cpu * 100:.0f}%".ljust(room)[:room] if over else thin(load.share_of_cpu, room)
    lower.append(("cpu" if longest >= 3 else "").rjust(longest + 1) + " ", _QUIET).append(cpu, _WRONG if over else "blue").append(" ")


def _tiles(scene: Scene, width: int) -> list[Text]:
    """One character a node, as high as the fuller of its resources; ``·`` is empty, ``!`` overloaded."""
    lines = []
    nodes = scene.glance.nodes
    for k in range(0, len(nodes), width - 2):
        line = Text(" ", no_wrap=True, overflow="crop")
        for load in nodes[k : k + width - 2]:
            if load.overloaded:
                line.append("!", _WRONG)
            elif not load.vms:
                line.append("·", _QUIET)
            else:
                line.append(level(max(load.share_of_cpu, load.share_of_memory)), _ACCENT if load.entering or load.leaving else "")
        lines.append(line)
    return lines


def _racks(nodes: Iterable[NodeLoad]) -> list[tuple[str, list[NodeLoad]]]:
    found: dict[str, list[NodeLoad]] = {}
    for load in nodes:
        found.setdefault(load.node.labels.get("rack", ""), []).append(load)
    return list(found.items())


# -- time, moves, decisions ----------------------------------------------------------------------------------------


def _curve(scene: Scene, width: int, rows: int) -> list[Text]:
    """Nodes in use against static allocation, over all of the time; the dots between are what is saved."""
    left = 9
    across = max(10, width - left - 2)
    values = resampled(scene.in_use, across, scene.periods)
    top = float(max([scene.static, *scene.in_use, 1]))
    lines = []
    drawn = area(values, scene.static, across, rows, top)
    for k, (filled, above) in enumerate(drawn):
        label = f"static {scene.static}" if k == 0 else "in use" if k == len(drawn) - 1 else ""
        line = Text(label.rjust(left - 1) + " ", _QUIET, no_wrap=True, overflow="crop")
        for full, empty in zip(filled, above, strict=True):
            line.append(full, "blue") if full != " " else line.append(empty, _QUIET)
        lines.append(line)
    hours = scene.periods * scene.period / 3600
    axis = [" "] * (across + 6)
    for k in range(5):
        text = three_digits(hours * k / 4) + ("h" if k == 4 else "")
        at = min(round(across * k / 4), across - len(text))
        axis[at : at + len(text)] = text
    lines.append(Text(" " * left + "".join(axis).rstrip(), _QUIET, no_wrap=True, overflow="crop"))
    return lines


def _lists(scene: Scene, width: int, rows: int) -> list[Text]:
    """What is under way, and beside it the last rounds that changed something."""
    left = 40 if width >= 100 else 0
    under_way, changes = _moves(scene, rows), _changes(scene, width - left - 2, rows)
    if not left:
        return (under_way[: max(2, rows // 2)] + changes)[:rows] if scene.moves else changes
    lines = []
    for k in range(max(len(under_way), len(changes))):
        line = Text(no_wrap=True, overflow="crop")
        line.append(under_way[k] if k < len(under_way) else Text())
        line.truncate(left - 2, pad=True)
        lines.append(line.append("  ").append(changes[k]) if k < len(changes) else line)
    return lines


def _moves(scene: Scene, rows: int) -> list[Text]:
    if not scene.moves:
        return [Text("nothing under way", _QUIET)]
    lines = [Text(f"under way: {count(len(scene.moves), 'move')}", _QUIET)]
    room = rows - 1
    shown = scene.moves if len(scene.moves) <= room else scene.moves[: room - 1]
    lines += [Text.assemble((bar(min(move.done, 0.999), 5), _ACCENT), " ", move.text) for move in shown]
    if len(shown) < len(scene.moves):
        lines.append(Text(f"and {len(scene.moves) - len(shown)} more", _QUIET))
    return lines


def _changes(scene: Scene, width: int, rows: int) -> list[Text]:
    """The newest first, each with its time, over as many lines as it takes."""
    lines = [Text("last plans" if scene.changes else "no plan so far", _QUIET)]
    for said in reversed(scene.changes):
        at = clock(said.at)
        for k, part in enumerate(wrap(said.text, max(20, width - len(at) - 1))):
            line = Text.assemble((f"{at} " if k == 0 else " " * (len(at) + 1), _QUIET), (part, "" if said.level == "info" else _WAITS))
            lines.append(line)
        if len(lines) >= rows:
            break
    return lines[:rows]
