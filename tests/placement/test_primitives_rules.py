"""Rules, hard and soft, from the policy to the placement: what is found is what trying every assignment finds, by the contract's words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import Cluster
from entropy.model.policy import Policy
from entropy.placement.exact import Exact, ExactModel, Limits
from entropy.problem.compile import compile_problem
from entropy.problem.problem import SOFT_SCALE, Problem, positions
from small_clusters import GROUPS, PLAIN, brute_force, clusters, excess_of, policies

LIMITS = Limits(seconds=60.0)


def _solve(problem: Problem, policy: Policy) -> tuple[Exact, Exact, Exact]:
    vms, nodes = positions(problem.runs_at_end()), np.arange(problem.n_nodes, dtype=np.int32)
    model = ExactModel(problem, np.full(problem.n_vms, -1, dtype=np.int32), vms, nodes, np.ones(problem.n_nodes, dtype=np.int64))
    soft = model.solve_soft(LIMITS)
    if soft.host is None:
        return soft, soft, soft
    model.cap_soft(soft.value)
    used = model.solve_nodes(LIMITS) if policy.objective == "consolidate" else soft
    if policy.objective == "consolidate":
        model.cap_nodes(used.value)
    return soft, used, model.solve_moves(LIMITS)


@pytest.mark.parametrize("kind", [*GROUPS, "fence", "ban", "spread", "several"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_optimum_by_brute_force(kind: str, data: st.DataObject) -> None:
    cluster = data.draw(clusters(vms=5))
    policy = data.draw(policies(cluster, kinds=PLAIN + GROUPS if kind == "several" else (kind,), soft=True))
    best = brute_force(cluster, policy)
    problem = compile_problem(cluster, policy)
    if best is None or problem.contradictions:
        assert best is None  # what cannot be had at all is refused before placement
        return
    scale = float(problem.scale[problem.resources.index("memory")]) if "memory" in problem.resources else 1.0
    soft, used, moves = _solve(problem, policy)
    assert (soft.status, used.status, moves.status) == ("optimal",) * 3
    assert soft.value / SOFT_SCALE == pytest.approx(best.soft)
    if policy.objective == "repair":
        assert moves.value / scale == best.repair
    else:
        assert (used.value, moves.value / scale) == best.consolidate
    assert moves.host is not None
    place = {v.name: cluster.nodes[n].name for v, n in zip(cluster.vms, moves.host, strict=True) if n >= 0}
    _check_hard(cluster, policy, place)


def _check_hard(cluster: Cluster, policy: Policy, place: dict[str, str]) -> None:
    demand = {v.name: v.demand for v in cluster.vms}
    for rule in policy.constraints:
        if not rule.soft and rule.type not in ("preserve", "running", "ready"):
            assert not excess_of(rule, cluster, demand)(place)
