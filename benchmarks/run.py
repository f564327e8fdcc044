"""Measures planning: ``python benchmarks/run.py [--suites generated,families] [--only TEXT] [--time-limit S] [-o FILE]``.

Each instance runs in a process of its own (so peak memory is its own), from the documents in memory to the verified plan; reading files
and the first import of the solver are not counted, compilation is kept out by a warm-up, as in a daemon.  Prints and stores one table a
suite, and the same rows as JSON beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import entropy

HERE = Path(__file__).resolve().parent
COLUMNS = {
    "instance": "{}",
    "nodes": "{:,}",
    "VMs": "{:,}",
    "first s": "{:.2f}",
    "best s": "{:.2f}",
    "plan s": "{:.2f}",
    "status": "{}",
    "goal": "{}",
    "bound": "{}",
    "gap %": "{:.1f}",
    "moved GiB": "{:,.0f}",
    "bound GiB": "{:,.0f}",
    "moved gap %": "{:.1f}",
    "actions": "{:,}",
    "makespan s": "{:,.0f}",
    "peak MiB": "{:,.0f}",
}


def measure(name: str, limit: float, workers: int, work: float | None) -> dict[str, Any]:
    """Plan one instance in this process."""
    from entropy.model.errors import EntropyError
    from entropy.placement.warmup import warm_up
    from entropy.planning.planner import PlanOptions, plan
    from sources import load

    cluster, policy = load(name)
    warm_up()
    better: list[float] = []
    began = time.perf_counter()
    options = PlanOptions(time_limit=limit, work_limit=work, workers=workers, progress=lambda _: better.append(time.perf_counter() - began))
    row: dict[str, Any] = {"instance": name, "nodes": len(cluster.nodes), "VMs": len(cluster.vms)}
    try:
        made = plan(cluster, policy, options).plan
    except EntropyError as problem:
        return row | {"status": type(problem).__name__, "plan s": time.perf_counter() - began}
    row |= {"first s": better[0], "best s": better[-1]} if better else {}
    row |= {"plan s": time.perf_counter() - began, "status": made.status, "actions": len(made.actions)}
    row |= _figures(made.summary)
    return row | {"peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _figures(summary: Any) -> dict[str, Any]:
    moved, spread, power = summary.moved_memory, summary.balance, summary.power
    row: dict[str, Any] = {
        "makespan s": summary.duration.value,
        "moved GiB": moved.value / 1024,
        "bound GiB": (moved.lower_bound or 0) / 1024,
    }
    if spread is not None:  # a share already: how many points above the bound
        bound = spread.lower_bound or 0
        row |= {"goal": f"{spread.value:.2%}", "bound": f"{bound:.2%}", "gap %": 100 * (spread.value - bound)}
    elif power is not None:
        row |= {"goal": f"{power.value:,.0f} W", "bound": f"{power.lower_bound or 0:,.0f} W", "gap %": _gap(power.value, power.lower_bound)}
    elif summary.nodes.lower_bound is not None:
        row |= {"goal": f"{summary.nodes.after:,}", "bound": f"{summary.nodes.lower_bound:,}"}
        row |= {"gap %": _gap(summary.nodes.after, summary.nodes.lower_bound)}
    return row | {"moved gap %": _gap(moved.value, moved.lower_bound)}


def _gap(value: float, bound: float | None) -> float | None:
    """Percent above the bound; ``None`` when nothing is proven."""
    if value <= (bound or 0):
        return 0.0
    return 100 * (value / bound - 1) if bound else None


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = ["-" if row.get(key) is None else form.format(row[key]) for key, form in COLUMNS.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    from suites import SUITES, WORK

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", default="generated,families", help=f"of {', '.join(SUITES)}")
    parser.add_argument("--only", default="", help="instances whose name contains this")
    parser.add_argument("--time-limit", type=float, help="instead of each instance's own")
    parser.add_argument("--work-limit", type=float, help="deterministic work instead of time")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-o", "--output", default=str(HERE / "results" / entropy.__version__), help="folder of the tables")
    parser.add_argument("--one", nargs=2, metavar=("INSTANCE", "LIMIT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], float(args.one[1]), args.workers, args.work_limit)))
        return
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for suite in args.suites.split(","):
        tasks = [(name, args.time_limit or limit) for name, limit in SUITES[suite]() if args.only in name]
        work = args.work_limit or WORK.get(suite)
        rows = [_apart(name, limit, args.workers, work) for name, limit in tasks]
        if not rows:
            print(f"{suite}: no outside data here, nothing to measure")
            continue
        head = f"# Entropy {entropy.__version__}, suite {suite}: {args.workers} workers on {os.cpu_count()} cores"
        (folder / f"{suite}.md").write_text(f"{head}\n\n{table(rows)}\n")
        (folder / f"{suite}.json").write_text(json.dumps(rows, indent=1) + "\n")
        print(f"stored in {folder / suite}.md")


def _apart(name: str, limit: float, workers: int, work: float | None) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, str(limit), "--workers", str(workers)]
    command += ["--work-limit", str(work)] if work else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(table([row]).splitlines()[-1], flush=True)
    return row


if __name__ == "__main__":
    main()
