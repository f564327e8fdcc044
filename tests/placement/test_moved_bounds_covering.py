"""The lightest sets whose departure suffices, against every subset."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entropy.placement.bounds.covering import cheapest_covers


def _lightest(demand: list[tuple[int, int]], weight: list[int], excess: tuple[int, int]) -> int:
    covers = [
        sum(w for w, x in zip(weight, takes, strict=True) if x)
        for takes in product((False, True), repeat=len(weight))
        if all(sum(d[r] for d, x in zip(demand, takes, strict=True) if x) >= excess[r] for r in range(2))
    ]
    return min(covers, default=sum(weight))


_node = st.tuples(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9),
    st.tuples(st.integers(-5, 25), st.integers(-5, 25)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_node, min_size=1, max_size=4), st.sampled_from([1, 3, 100_000]))
@example([([(1, 1, 5), (1, 1, 5), (1, 1, 5)], (2, 2))], 100_000)
@example([([(0, 0, 1)], (1, 0)), ([(4, 4, 10**15), (4, 4, 10**15 + 1), (3, 3, 1)], (5, 5))], 100_000)
def test_lightest_cover_is_found_or_bounded_from_below(
    nodes: list[tuple[list[tuple[int, int, int]], tuple[int, int]]], search: int
) -> None:
    start = np.cumsum([0, *(len(vms) for vms, _ in nodes)])
    rows = np.array([vm for vms, _ in nodes for vm in vms], dtype=np.int64)
    excess = np.array([needed for _, needed in nodes], dtype=np.int64)
    least, chosen = np.zeros(len(nodes), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    demand, weight = np.ascontiguousarray(rows[:, :2]), rows[:, 2].copy()
    cheapest_covers.python(start, demand, weight, excess, search, least, chosen)
    for k, (vms, needed) in enumerate(nodes):
        mine = slice(start[k], start[k + 1])
        lightest = _lightest([(a, b) for a, b, _ in vms], [w for *_, w in vms], needed)
        found, total = demand[mine][chosen[mine]].sum(axis=0), demand[mine].sum(axis=0)
        assert least[k] <= lightest
        assert (found >= np.minimum(needed, total)).all()
        if search > 1000:
            assert least[k] == lightest == weight[mine][chosen[mine]].sum()
