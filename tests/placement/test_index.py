"""A node is found exactly when one exists, in the tree as by looking at all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.policy import Policy
from entropy.placement.jit import Kernel
from entropy.placement.kernels import index as index_kernels
from entropy.placement.kernels.index import arrange, nearest, rate, refresh, seek, shortage
from entropy.placement.kernels.state import State, admits, arrive
from entropy.placement.metric import best_fit, even_fit, widest_fit
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem, positions

METRICS = [best_fit, widest_fit, lambda problem, nodes: even_fit(problem, nodes, 0.3)]


def _problem(rng: np.random.Generator, nodes: int, vms: int, tight: float) -> Problem:
    """Nodes of three sizes, VMs that are nowhere, a domain of all nodes, one of half of them and one of a few."""
    sizes = rng.integers(1, 4, nodes)
    cluster = Cluster(
        nodes=tuple(Node(name=f"n{k}", capacity={"cpu": int(s) * 8, "memory": int(s) * 1024}) for k, s in enumerate(sizes)),
        vms=tuple(
            VM(name=f"v{k}", state="ready", demand={"cpu": round(float(c), 2), "memory": int(m)})
            for k, (c, m) in enumerate(zip(rng.uniform(0.1, 16 * tight, vms), rng.integers(1, int(2048 * tight), vms), strict=True))
        ),
    )
    problem = compile_problem(cluster, Policy())
    domains = np.stack((np.ones(nodes, dtype=np.bool_), rng.random(nodes) < 0.5, rng.random(nodes) < 3 / nodes))
    goal = np.ones(vms, dtype=np.int8)
    return replace(problem, goal=goal, domains=domains, domain_of=rng.integers(0, 3, vms).astype(np.int32))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), nodes=st.integers(20, 150), metric=st.sampled_from(METRICS), rated=st.sampled_from([4, 10_000]))
def test_a_node_is_found_iff_one_exists(seed: int, nodes: int, metric: object, rated: int) -> None:
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_kernels, "SCAN", 8)
        patch.setattr(index_kernels, "RATED", rated)
        problem = _problem(rng, nodes, 40, tight=1.2)
        w = Working(problem, np.full(40, -1, dtype=np.int32))
        open_nodes = rng.random(nodes) < 0.8
        measure = metric(problem, open_nodes)  # type: ignore[operator]
        state, index = w.state(), w.index(open_nodes)
        arrange(w.free, measure.share, index)
        for v in range(40):
            shut = int(rng.integers(nodes))
            index.open[shut] = False
            refresh(shut, w.free, measure.share, index)
            possible = [n for n in range(nodes) if index.open[n] and admits(v, n, state)]
            n = seek(v, state, measure, index)
            assert (n in possible) if possible else n == -1
            if n < 0:
                continue
            if rated == 10_000:
                best = min(rate(v, m, w.free, problem.demand, measure) for m in possible)
                assert rate(v, n, w.free, problem.demand, measure) == pytest.approx(best, abs=1e-9)
            arrive(v, n, state)
            refresh(n, w.free, measure.share, index)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), nodes=st.integers(20, 150))
def test_the_nearest_node_lacks_least(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_kernels, "SCAN", 8)
        problem = _problem(rng, nodes, 60, tight=2.0)
        w = Working(problem, np.full(60, -1, dtype=np.int32))
        w.free //= rng.integers(1, 9, (nodes, 1))
        open_nodes = rng.random(nodes) < 0.8
        share = best_fit(problem, open_nodes).share
        state, index = w.state(), w.index(open_nodes)
        arrange(w.free, share, index)
        for v in range(60):
            allowed = positions(open_nodes & problem.domains[problem.domain_of[v]])
            found = nearest(v, state, share, index)
            assert found == min(len(allowed), index_kernels.NEAR)
            lacks = sorted(shortage(v, int(n), w.free, problem.demand, share) for n in allowed)
            assert index.short[:found].tolist() == pytest.approx(lacks[:found])


@pytest.mark.parametrize("metric", METRICS)
def test_compiled_and_plain_tree_agree(metric: object) -> None:
    rng = np.random.default_rng(5)
    problem = _problem(rng, 700, 1_500, tight=0.8)
    everywhere = np.ones(700, dtype=np.bool_)
    answers = []
    for twin in ("python", "compiled"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Kernel, "on", lambda self, _pairs, twin=twin: getattr(self, twin))
            w = Working(problem, np.full(1_500, -1, dtype=np.int32))
            left = w.fit(w.largest_first(positions(w.runs)), everywhere, metric(problem, everywhere))  # type: ignore[operator]
            answers.append((left, w.host.tolist()))
    assert answers[0] == answers[1]
    assert answers[0][0] < 1_500


def test_a_domain_of_few_nodes_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entropy.placement.tables.SCAN", 8)
    monkeypatch.setattr(index_kernels, "SCAN", 8)
    rng = np.random.default_rng(1)
    problem = _problem(rng, 200, 10, tight=0.1)
    few = np.zeros((1, 200), dtype=np.bool_)
    few[0, [17, 130]] = True
    problem = replace(problem, domains=few, domain_of=np.zeros(10, dtype=np.int32))
    w = Working(problem, np.full(10, -1, dtype=np.int32))
    state: State = w.state()
    assert state.sparse.tolist() == [True]
    assert state.row_nodes.tolist() == [17, 130]
    w.fit(positions(w.runs), np.ones(200, dtype=np.bool_), widest_fit(problem, few[0]))
    assert set(w.host.tolist()) == {17, 130}
