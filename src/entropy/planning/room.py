"""Which VMs some node could take, were it empty."""

from __future__ import annotations

import numpy as np

from entropy.problem.problem import Bools, Indices, Integers, Problem, positions

__all__ = ["fit_somewhere"]

_ONE_BY_ONE, _PAIRS = 32, 1 << 20
"""Capacities that all VMs are held against first, the roomiest before the others; then VM-capacity pairs that are compared at a time."""


def fit_somewhere(problem: Problem, vms: Indices, row_of: Indices, domains: Bools) -> Bools:
    """bool[len(vms)]: those that fit on a node of their row of ``domains``, which ``row_of`` int32[V] tells."""
    fit = np.zeros(len(vms), dtype=np.bool_)
    if not len(vms) or not problem.n_nodes:
        return fit
    kinds, kind_of = np.unique(problem.capacity, axis=0, return_inverse=True)
    order = np.argsort(row_of[vms], kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(row_of[vms[order]])) + 1):
        there = np.bincount(kind_of[domains[row_of[vms[part[0]]]]], minlength=len(kinds)) > 0
        fit[part] = _under_one(problem.demand[vms[part]], kinds[there])
    return fit


def _under_one(demand: Integers, capacity: Integers) -> Bools:
    """bool[len(demand)]: demands that are within one of the capacities in every resource."""
    fit = np.zeros(len(demand), dtype=np.bool_)
    if not len(capacity):
        return fit
    most = capacity.max(axis=0)
    left = positions((demand <= most).all(axis=1))
    capacity = capacity[np.argsort(-(capacity / np.maximum(most, 1)).sum(axis=1), kind="stable")]
    for one in capacity[:_ONE_BY_ONE]:
        fits = (demand[left] <= one).all(axis=1)
        fit[left[fits]] = True
        left = left[~fits]
    rest = capacity[_ONE_BY_ONE:]
    at_a_time = max(_PAIRS // max(len(rest), 1), 1)
    for k in range(0, len(left), at_a_time):
        some = left[k : k + at_a_time]
        fit[some] = np.any(np.all(demand[some, None, :] <= rest, axis=2), axis=1)
    return fit
