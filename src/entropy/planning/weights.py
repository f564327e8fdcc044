"""What a policy's ``weights`` and ``tradeOff`` are in the integers of the compiled problem."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from entropy.model.errors import InputError
from entropy.model.policy import Policy
from entropy.problem.problem import Integers, Problem

__all__ = ["exchange_rate", "resource_weights"]

_THOUSANDTHS = 1000
_FINEST, _LARGEST = 1 << 10, 1 << 40
"""Exchange rates are fractions: the smaller part is at most this, the larger at most that."""


def resource_weights(problem: Problem, policy: Policy) -> Integers:
    """int64[R]: how much each resource counts for balance, in thousandths.

    All the same without ``weights``; with it, a resource that it does not name does not count.  Raises ``InputError`` for a resource that
    the cluster does not have.
    """
    if policy.weights is None:
        return np.full(len(problem.resources), _THOUSANDTHS, dtype=np.int64)
    known = {*problem.resources, *problem.cluster.resources}
    for name in policy.weights:
        if name not in known:
            raise InputError(f"names {name!r}, which no node and no VM has", path="weights", accepted=", ".join(sorted(known)) or "nothing")
    return np.array([round(policy.weights.get(r, 0.0) * _THOUSANDTHS) for r in problem.resources], dtype=np.int64)


def exchange_rate(problem: Problem, policy: Policy, unit: int) -> tuple[int, int] | None:
    """What one unit of the search's primary goal and one of moved memory count (``Goals.exchange``); ``None``: strict priorities.

    ``unit``: how many of the search's units make the policy's one: a node, a watt, or a percentage point of weighted spread.
    """
    if policy.trade_off is None:
        return None
    scale = float(problem.scale[problem.resources.index("memory")]) if "memory" in problem.resources else 1.0
    rate = Fraction(policy.trade_off) * Fraction(scale) / unit
    if rate < 1:
        inverse = min(1 / rate, Fraction(_LARGEST)).limit_denominator(_FINEST)
        return inverse.denominator, inverse.numerator
    rate = min(rate, Fraction(_LARGEST)).limit_denominator(_FINEST)
    return rate.numerator, rate.denominator
