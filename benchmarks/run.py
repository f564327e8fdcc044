"""Measures planning: ``python benchmarks/run.py [--sizes 50,500] [--families a,b] [--seeds 1] [--time-limit 10] [-o FILE]``.

Each instance runs in a process of its own (so peak memory is its own), from the documents in memory to the verified plan; reading files
and the first import of the solver are not counted, compilation is kept out by a warm-up.  Prints and stores one table.
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

import entropy

HERE = Path(__file__).resolve().parent
HEAD = ("instance", "VMs", "first s", "plan s", "status", "nodes", "bound", "moved GiB", "bound", "actions", "makespan s", "peak MiB")


def measure(family: str, nodes: int, seed: int, limit: float, workers: int) -> dict[str, object]:
    """Plan one instance in this process."""
    from entropy.model.errors import EntropyError
    from entropy.placement.warmup import warm_up
    from entropy.planning.planner import PlanOptions, plan
    from instances import make

    cluster, policy = make(family, nodes, seed)
    warm_up()
    first: list[float] = []
    began = time.perf_counter()
    options = PlanOptions(time_limit=limit, workers=workers, seed=seed, progress=lambda _: first.append(time.perf_counter() - began))
    row: dict[str, object] = {"instance": f"{family} {nodes} s{seed}", "vms": len(cluster.vms)}
    try:
        made = plan(cluster, policy, options).plan
    except EntropyError as problem:
        return row | {"status": type(problem).__name__, "seconds": time.perf_counter() - began}
    summary = made.summary
    assert summary is not None
    assert summary.nodes is not None
    assert summary.moved_memory is not None
    assert summary.duration is not None
    return row | {
        "first": first[0] if first else None,
        "seconds": time.perf_counter() - began,
        "status": made.status,
        "nodes": summary.nodes.after,
        "nodes_bound": summary.nodes.lower_bound,
        "moved": summary.moved_memory.value / 1024,
        "moved_bound": (summary.moved_memory.lower_bound or 0) / 1024,
        "actions": len(made.actions),
        "makespan": summary.duration.value,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table."""

    def cell(row: dict[str, object], key: str, form: str = "{}") -> str:
        value = row.get(key)
        return "-" if value is None else form.format(value)

    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for row in rows:
        keys = [("instance", "{}"), ("vms", "{}"), ("first", "{:.2f}"), ("seconds", "{:.2f}"), ("status", "{}"), ("nodes", "{}")]
        keys += (
            ("nodes_bound", "{}"),
            ("moved", "{:.0f}"),
            ("moved_bound", "{:.0f}"),
            ("actions", "{}"),
            ("makespan", "{:.0f}"),
            ("peak", "{:.0f}"),
        )
        lines.append("| " + " | ".join(cell(row, key, form) for key, form in keys) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default="")
    parser.add_argument("--sizes", default="50,200,1000,5000")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--time-limit", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-o", "--output", default=str(HERE / "results" / f"{entropy.__version__}.md"))
    parser.add_argument("--one", nargs=3, metavar=("FAMILY", "NODES", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        family, nodes, seed = args.one
        print(json.dumps(measure(family, int(nodes), int(seed), args.time_limit, args.workers)))
        return
    from instances import FAMILIES

    rows = []
    for family in args.families.split(",") if args.families else FAMILIES:
        for size in args.sizes.split(","):
            for seed in args.seeds.split(","):
                command = [sys.executable, __file__, "--one", family, size, seed, "--time-limit", str(args.time_limit)]
                command += ["--workers", str(args.workers)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{family} {size} {seed}: {done.stderr}")
                rows.append(json.loads(done.stdout))
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    text = f"# Entropy {entropy.__version__}, {args.workers} workers, time limit {args.time_limit:g} s\n\n{table(rows)}\n"
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    Path(args.output).write_text(text)
    print(f"\nstored in {args.output}")


if __name__ == "__main__":
    main()
