"""What a simulated run came to: figures for programs, a table and a sentence for people.  Everything is measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entropy.model.amounts import count, memory, seconds, three_digits

if TYPE_CHECKING:
    from entropy.control.rehearsal import Figures
    from entropy.simulation.baselines import Baseline

__all__ = ["Summary"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """``scene``: what was simulated, for programs; ``title``: the same for people.  ``step``: seconds between two rounds; ``took``: real
    seconds of the run."""

    scene: dict[str, Any]
    title: str
    step: float
    entropy: Figures
    static: Baseline
    repacked: Baseline
    took: float
    warnings: tuple[str, ...] = ()

    # ---------------------------------------------------------------- for programs

    def tree(self) -> dict[str, Any]:
        """For ``--json``.  Only what stands under ``real`` differs from run to run."""
        mine = self.entropy
        return {
            "apiVersion": "entropy/v1",
            "kind": "Simulation",
            "scene": self.scene,
            "sentence": self.sentence(),
            "entropy": {
                "nodeHours": _round(mine.node_hours),
                "overloadMinutes": _round(mine.overload_minutes),
                "migrations": mine.migrations,
                "movedMemory": _round(mine.moved_memory),
                "failedActions": mine.failed_actions,
                "incidents": [event.text for event in mine.incidents],
                "mistakes": list(mine.mistakes),
                "rounds": mine.rounds,
                "plans": mine.plans,
                "inUse": list(mine.in_use),
            },
            "static": _tree(self.static),
            "repacking": _tree(self.repacked),
            "period": mine.period,
            "warnings": list(self.warnings),
            "real": {
                "seconds": round(self.took, 3),
                "decisionSeconds": {"median": round(self._median, 4), "max": round(max(mine.decision_seconds, default=0.0), 4)},
            },
        }

    # ---------------------------------------------------------------- for people

    def text(self) -> str:
        """Title, table, what deciding took, the sentence."""
        mine, static, packed = self.entropy, self.static, self.repacked
        rows = [
            ("", "Entropy", "static allocation", f"FFD every {_step(self.step)}"),
            ("node-hours", *(_hours(n) for n in (mine.node_hours, static.node_hours, packed.node_hours))),
            ("nodes in use, mean", *(three_digits(_mean(values)) for values in (mine.in_use, static.in_use, packed.in_use))),
            ("nodes in use, most", *(f"{max(values, default=0)}" for values in (mine.in_use, static.in_use, packed.in_use))),
            (
                "overload, node-minutes",
                *(three_digits(m) for m in (mine.overload_minutes, static.overload_minutes, packed.overload_minutes)),
            ),
            ("migrations", f"{mine.migrations:,}", f"{static.migrations:,}", f"{packed.migrations:,}"),
            ("memory moved", *(memory(m) if m else "0" for m in (mine.moved_memory, static.moved_memory, packed.moved_memory))),
            ("failed actions", f"{mine.failed_actions}", "-", "-"),
        ]
        most = max(mine.decision_seconds, default=0.0)
        lines = [
            f"{self.title}, in {seconds(self.took)}.",
            "",
            *_table(rows),
            "",
            f"{count(mine.rounds, 'round')}, {count(mine.plans, 'plan')} executed; deciding took {_moment(self._median)} (median), "
            f"{_moment(most)} at most.",
            *(f"Incident: {event.text}." for event in mine.incidents[:5]),
            *(f"A round failed inside Entropy: {mistake}" for mistake in mine.mistakes[:5]),
            *self._sentences(),
        ]
        return "\n".join(lines) + "\n"

    def sentence(self) -> str:
        """What was won, and what it cost."""
        return " ".join(self._sentences())

    def _sentences(self) -> tuple[str, ...]:
        return self._against_static(), self._against_packing(), self._overload()

    def _against_static(self) -> str:
        mine, static = self.entropy.node_hours, self.static.node_hours
        saved = static - mine
        share = f" ({abs(saved) / static * 100:.0f} %)" if static else ""
        if round(saved) == 0:
            return "Entropy used as many node-hours as static allocation."
        if saved < 0:
            return f"Entropy used {_hours(-saved)} node-hours more than static allocation{share}: nothing was won."
        moved = f"{count(self.entropy.migrations, 'migration')}, {memory(self.entropy.moved_memory)} moved"
        return f"Entropy saved {_hours(saved)} of the {_hours(static)} node-hours of static allocation{share} with {moved}."

    def _against_packing(self) -> str:
        packed, mine = self.repacked, self.entropy
        difference = packed.node_hours - mine.node_hours
        if round(abs(difference)) == 0:
            much = "as many node-hours"
        else:
            much = f"{_hours(abs(difference))} node-hours {'more' if difference > 0 else 'less'}"
        if not packed.migrations:
            return f"Packing anew (FFD) every {_step(self.step)} would use {much}, with no migration."
        moves = f"{count(packed.migrations, 'migration')} and {memory(packed.moved_memory)}"
        times = f", {three_digits(packed.moved_memory / mine.moved_memory)} times what Entropy moved" if mine.moved_memory else ""
        return f"Packing anew (FFD) every {_step(self.step)} would use {much}, with {moves} moved{times}."

    def _overload(self) -> str:
        mine, static, packed = self.entropy, self.static, self.repacked
        used = sum(mine.in_use) * mine.period / 60.0
        if not mine.overload_minutes:
            text = "No node was overloaded at any time."
        else:
            share = mine.overload_minutes / used * 100 if used else 0.0
            figure = f"{share:.2f}" if share >= 0.01 else "less than 0.01"
            text = f"Nodes were overloaded for {three_digits(mine.overload_minutes)} node-minutes, {figure} % of their time in use"
            text += f" (static: {three_digits(static.overload_minutes)}, FFD: {three_digits(packed.overload_minutes)})."
        if static.crowded:
            text += f" The peaks of {count(static.crowded, 'VM')} found no room in static allocation."
        return text

    @property
    def _median(self) -> float:
        return statistics.median(self.entropy.decision_seconds) if self.entropy.decision_seconds else 0.0


def _tree(baseline: Baseline) -> dict[str, Any]:
    return {
        "nodeHours": _round(baseline.node_hours),
        "overloadMinutes": _round(baseline.overload_minutes),
        "migrations": baseline.migrations,
        "movedMemory": _round(baseline.moved_memory),
        "crowded": baseline.crowded,
        "inUse": list(baseline.in_use),
    }


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]


def _mean(values: Sequence[int]) -> float:
    return float(sum(values)) / len(values) if len(values) else 0.0


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else three_digits(value)


def _step(value: float) -> str:
    return f"{three_digits(value / 60)} min" if value >= 60 else f"{three_digits(value)} s"


def _moment(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 0.9995 else seconds(value)


def _round(value: float) -> float:
    return round(value, 3)
