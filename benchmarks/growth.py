"""Draws time against size from the results of the suite ``growth``: ``python benchmarks/growth.py [-o docs/growth.svg]``."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

import entropy

HERE = Path(__file__).resolve().parent


def draw(rows: list[dict[str, Any]], output: str) -> None:
    """One line a family, and what n log n would be from its first point."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "entropy"  # the same picture from the same figures
    figure, axes = pyplot.subplots(figsize=(8, 5))
    families = sorted({row["instance"].split()[1] for row in rows})
    for family, colour in zip(families, ("#20639b", "#a0522d", "#3b7d3b"), strict=False):
        for key, style in (("first s", ":"), ("plan s", "-")):
            points = sorted((row["nodes"], row[key]) for row in rows if row["instance"].split()[1] == family and row.get(key))
            label = f"{family.removesuffix('-million')}: {'first viable plan' if key == 'first s' else 'decided, ordered and verified'}"
            axes.plot(*zip(*points, strict=True), style, marker="o", color=colour, label=label)
            if key == "plan s":
                n, seconds = points[0]
                expected = [seconds * m * math.log(m) / (n * math.log(n)) for m, _ in points]
                axes.plot([m for m, _ in points], expected, "--", color=colour, alpha=0.5, label="n log n from its first point")
    axes.set(xscale="log", yscale="log", xlabel="nodes (ten VMs each)", ylabel="seconds, two cores", title="Time against size")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", default=str(HERE.parent / "docs" / "growth.svg"))
    parser.add_argument("--results", default=str(HERE / "results" / entropy.__version__ / "growth.json"))
    args = parser.parse_args()
    draw(json.loads(Path(args.results).read_text()), args.output)


if __name__ == "__main__":
    main()
