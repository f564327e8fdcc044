"""The compiled kernels do exactly what the plain functions do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.placement.jit import Kernel
from entropy.placement.metric import Metric, best_fit, even_fit, widest_fit
from entropy.placement.returning import bring_home
from entropy.placement.squeeze import squeeze
from entropy.placement.working import Working
from entropy.problem.compile import compile_problem
from entropy.problem.problem import Problem, positions
from small_clusters import clusters, policies


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_compiled_and_plain_kernels_agree(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=True, nodes=5, vms=12))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    everywhere = np.ones(problem.n_nodes, dtype=np.bool_)
    metric = data.draw(st.sampled_from([best_fit, widest_fit, lambda p, n: even_fit(p, n, 0.3)]))(problem, everywhere)
    answers = [_everything(problem, metric, twin) for twin in ("python", "compiled")]
    assert answers[0] == answers[1]


def _everything(problem: Problem, metric: Metric, twin: str) -> object:
    """What all kernels in a row make of a problem."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "on", lambda self, _pairs: getattr(self, twin))
        everywhere = np.ones(problem.n_nodes, dtype=np.bool_)
        w = Working(problem, np.where(problem.runs_at_end(), problem.host, -1))
        movers = positions(w.runs & ~problem.held)
        w.take_out(movers)
        left = w.fit(w.largest_first(movers), everywhere, metric)
        used = w.used
        emptied = w.empty(positions(used), ~problem.held, used, best_fit(problem, everywhere), chains=True)
        bring_home(w)
        few = np.arange(problem.n_nodes) % 3 != 1
        out = positions(w.runs & (w.host >= 0) & ~few[w.host] & ~problem.held)
        w.take_out(out)
        packed = squeeze(w, out, few, np.random.default_rng(3), 500, lambda: False)
        return left, emptied, packed, w.host.tolist(), w.free.tolist()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_fit_keeps_capacities_domains_and_groups(data: st.DataObject) -> None:
    cluster = data.draw(clusters(viable=True, nodes=4, vms=8))
    problem = compile_problem(cluster, data.draw(policies(cluster)))
    w = Working(problem, np.full(problem.n_vms, -1, dtype=np.int32))
    everywhere = np.ones(problem.n_nodes, dtype=np.bool_)
    left = w.fit(w.largest_first(positions(w.runs)), everywhere, best_fit(problem, everywhere))
    placed = positions(w.host >= 0)
    load = np.zeros_like(problem.capacity)
    np.add.at(load, w.host[placed], problem.demand[placed])
    assert (load <= problem.capacity).all()
    assert (problem.capacity - load == w.free).all()
    assert left == int(w.runs.sum()) - len(placed)
    assert all(problem.domains[problem.domain_of[v], w.host[v]] for v in placed)
    for limit in problem.limits:
        members = limit.members[w.host[limit.members] >= 0]
        assert np.bincount(limit.zone_of[w.host[members]], minlength=1).max() <= limit.most
