"""Amounts as integers: exact for every document whose numbers have at most six decimals.

Floating point sums of demands are not exact (0.1 + 0.2), and a proof needs exact sums.  Each resource is multiplied by the
smallest power of ten that makes its amounts whole, then divided by the greatest common divisor of all demands: a node's
capacity may be rounded down to a multiple of it, since every sum of demands is one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Integers

__all__ = ["scale_of", "whole"]

_MOST_DECIMALS = 6
_EXACT = float(1 << 53)
"""Doubles hold integers exactly up to here; totals stay below."""
_NOISE = 1e-6
"""Rounding noise of a product such as 64 x 1.1, in scaled units."""


def scale_of(demands: npt.NDArray[np.float64], capacities: npt.NDArray[np.float64]) -> tuple[float, int]:
    """(scale, divisor) of one resource: amount x scale / divisor is the integer of the arrays.

    ``demands`` are all amounts that are summed (demands and consumptions), ``capacities`` what they are held against.
    """
    largest = max(float(demands.sum()), float(capacities.max(initial=0.0)), 1.0)
    decimals = 0
    while decimals < _MOST_DECIMALS and largest * 10.0 ** (decimals + 1) < _EXACT and not _is_whole(demands * 10.0**decimals):
        decimals += 1
    scale = 10.0**decimals
    divisor = int(np.gcd.reduce(whole(demands * scale, up=True), initial=0)) if len(demands) else 0
    return scale, max(divisor, 1)


def whole(amounts: npt.NDArray[np.float64], *, up: bool) -> Integers:
    """Amounts as integers, demands rounded ``up``, capacities down, rounding noise ignored."""
    rounded = np.ceil(amounts - _NOISE) if up else np.floor(amounts + _NOISE)
    return np.asarray(rounded, dtype=np.int64)


def _is_whole(amounts: npt.NDArray[np.float64]) -> bool:
    return bool(np.all(np.abs(amounts - np.rint(amounts)) < _NOISE))
