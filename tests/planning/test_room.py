"""Which VMs some node could take: the same as trying every node."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.model.rules import Fence
from entropy.planning import room
from entropy.problem.compile import compile_problem


@given(seed=st.integers(0, 1 << 32), one_by_one=st.integers(0, 3), pairs=st.integers(1, 9))
def test_fits_where_trying_every_node_finds_one(seed: int, one_by_one: int, pairs: int) -> None:
    rng = Random(seed)
    nodes = tuple(Node(name=f"n{k}", capacity={r: float(rng.randint(0, 4)) for r in ("cpu", "memory")}) for k in range(rng.randint(1, 6)))
    vms = tuple(VM(name=f"v{k}", state="ready", demand={r: float(rng.randint(0, 4)) for r in ("cpu", "memory")}) for k in range(8))
    rules = tuple(
        Fence(vms=(f"v{rng.randrange(8)}",), nodes=tuple({node.name for node in rng.choices(nodes, k=3)})) for _ in range(rng.randint(0, 3))
    )
    problem = compile_problem(Cluster(nodes=nodes, vms=vms), Policy(constraints=rules))
    asked = np.array(sorted(rng.sample(range(8), 5)), dtype=np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_ONE_BY_ONE", one_by_one)
        patch.setattr(room, "_PAIRS", pairs)
        found = room.fit_somewhere(problem, asked, problem.domain_of, problem.domains)
    for v, fits in zip(asked, found, strict=True):
        there = problem.domains[problem.domain_of[v]]
        assert fits == (problem.demand[v] <= problem.capacity[there]).all(axis=1).any()
