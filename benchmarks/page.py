"""Writes ``docs/benchmarks.md`` from the stored results of this version: ``python benchmarks/page.py``."""

from __future__ import annotations

from pathlib import Path

import entropy

HERE = Path(__file__).resolve().parent
HEAD = """# Benchmarks

Made by `make bench` and `python benchmarks/page.py`; version {version}, two cores. Each instance runs in a process of its own,
from the documents in memory to the verified plan, with warm kernels (as in a daemon).

* *first*, *best*, *plan*: seconds to the first viable placement, to the last better one, to the verified plan. A plan that is not proven
  optimal takes the whole of its limit (10 s; 30 s for `cloud`, 60 s for `packing`, 55 s for a million VMs).
* *goal* and *bound*: nodes in use, or spread, and what is proven about it; *gap*: percent above the bound (of
  spread, which is a share itself: percentage points).
* *moved* and *bound*: moved memory and what is proven about it.

```
make bench                                             # suites generated and families
make bench ARGS="--suites huge,growth"                 # up to 100,000 nodes and a million VMs; python benchmarks/growth.py draws
make bench ARGS="--suites vee09,packing"               # a hundred seeds; 147 instances of 60 s each
```

Instances are seeded (`benchmarks/instances.py`); those of the peers' families and outside data are read from `$ENTROPY_SHARED`, and left
out where that is not there.
"""
SECTIONS = (
    ("generated", "## Generated families"),
    ("families", "## The families that the peers were measured on, and outside data"),
    ("huge", "## A hundred thousand nodes, a million VMs"),
    (
        "growth",
        "## Time against size\n\n![Time against size: no faster growth than n log n](growth.svg)\n\nLittle work beyond the kernels.",
    ),
    ("vee09", "## Two hundred nodes, four hundred VMs, a hundred seeds"),
    ("packing", "## Vector packing\n\nA bound or an optimum that is known from elsewhere is not used."),
)


def main() -> None:
    parts = [HEAD.format(version=entropy.__version__)]
    for suite, title in SECTIONS:
        stored = HERE / "results" / entropy.__version__ / f"{suite}.md"
        if stored.is_file():
            parts.append(f"{title}\n\n{stored.read_text().split(chr(10) * 2, 1)[1]}")
    (HERE.parent / "docs" / "benchmarks.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
