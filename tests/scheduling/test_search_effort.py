"""What a search for an order may cost is limited, in moves looked at: states with many pivots cost a hundred times those with few."""

from __future__ import annotations

from typing import Any

import pytest

from entropy.scheduling import effort, ordering
from entropy.scheduling.search import Found, search
from scheduling_problems import case


def test_all_searches_of_one_call_share_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of many knots was ordered for eight seconds where two had been thought of."""
    looked: list[int] = []

    def counted(*arguments: Any, most: int, **options: Any) -> Found:
        found = search(*arguments, most=most, **options)
        looked.append(found.looked)
        assert found.looked <= most + 1_000  # the moves of the state in hand are looked at to the end
        return found

    monkeypatch.setattr(ordering, "search", counted)
    monkeypatch.setattr(ordering, "_LOOKED", 2_000)
    monkeypatch.setattr(effort, "_ALL_LOOKED", 5_000)
    nodes, vms, to = {}, {}, {}
    for k in range(30):  # rings of six nodes, each full, each VM to the next node: no order without a pivot, and one pivot for all
        for j in range(6):
            nodes[f"n{k}{j}"] = 4 + k / 100
            vms[f"v{k}{j}"] = (f"n{k}{j}", 4 + k / 100)
            to[f"v{k}{j}"] = f"n{k}{(j + 1) % 6}"
    nodes["spare"] = 5
    case(nodes, vms, to).actions()
    assert 0 < sum(looked) <= 5_000 + 1_000
