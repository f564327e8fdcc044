"""Amounts as integers: exact for every document whose numbers have at most six decimals, or are whole KiB written in MiB.

Floating point sums of demands are not exact (0.1 + 0.2), and a proof needs exact sums.  Each resource is multiplied by the
smallest factor that makes its amounts whole, then divided by the greatest common divisor of all demands: a node's capacity
may be rounded down to a multiple of it, since every sum of demands is one.

Numbers with more decimals (a third of a core) are cut after as many as fit, demands and capacities alike: since
floor(a) + floor(b) <= floor(a + b), what fits still fits, and what is overlooked stays far below what verification tolerates.
Where that cannot be promised, demands are rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entropy.problem.problem import Integers

__all__ = ["Scale", "scale_of"]

_Amounts = npt.NDArray[np.float64]
_FACTORS = tuple(sorted((*(10.0**k for k in range(7)), *(1024 * 10.0**k for k in range(4)))))
"""Tried in turn: decimals, and KiB in MiB (1/1024) with some decimals of their own."""
_MOST_DECIMALS = 9
_EXACT = float(1 << 53)
"""Doubles hold integers exactly up to here; totals of what is demanded stay below."""
_LARGE = float(1 << 50)
"""A capacity above this and above all that is demanded binds nothing, and is cut, so that sums over nodes stay in range."""
_NOISE, _MOST_NOISE, _ULPS = 1e-6, 1e-2, 2 * float(np.finfo(np.float64).eps)
"""Rounding noise of a product such as 64 x 1.1, in scaled units: the least and the most, between them in units in the last place."""
_OVERLOOKED = 2e-5
"""Most that cutting may overlook on one node, in the documents' units; a fifth of what verification tolerates."""


@dataclass(frozen=True)
class Scale:
    """``amount x factor / divisor`` is the integer of the arrays; ``up``: demands that are not whole are rounded up; ``most``: the
    largest capacity that is told apart, scaled."""

    factor: float
    divisor: int
    up: bool
    most: float

    def demand(self, amounts: _Amounts) -> Integers:
        """What VMs take, as integers."""
        return _whole(amounts * self.factor, up=self.up) // self.divisor

    def capacity(self, amounts: _Amounts) -> Integers:
        """What nodes offer, as integers, rounded down."""
        return _whole(np.minimum(amounts * self.factor, self.most), up=False) // self.divisor


def scale_of(demands: _Amounts, capacities: _Amounts) -> Scale:
    """The scale of one resource: ``demands`` are all amounts that are summed (demands and consumptions), ``capacities`` what
    they are held against."""
    total = max(float(demands.sum()), 1.0)

    def scale(factor: float, up: bool) -> Scale:
        return Scale(factor, _divisor(_whole(demands * factor, up=up)), up, max(total * factor + len(demands), _LARGE))

    for factor in _FACTORS:
        if total * factor < _EXACT and _are_whole(demands * factor):
            return scale(factor, up=True)
    factor = 10.0 ** max((k for k in range(_MOST_DECIMALS + 1) if total * 10.0**k < _EXACT), default=0)
    return scale(factor, up=_most_on_a_node(demands, capacities) / factor > _OVERLOOKED)


def _most_on_a_node(demands: _Amounts, capacities: _Amounts) -> float:
    """No more than so many VMs fit on a node."""
    positive = demands[demands > 0]
    return min(float(len(positive)), float(capacities.max(initial=0.0)) / float(positive.min(initial=np.inf)))


def _divisor(amounts: Integers) -> int:
    return max(int(np.gcd.reduce(amounts, initial=0)), 1) if len(amounts) else 1


def _whole(amounts: _Amounts, *, up: bool) -> Integers:
    """Amounts as integers, rounded up or down, rounding noise ignored."""
    noise = _noise(amounts)
    rounded = np.ceil(amounts - noise) if up else np.floor(amounts + noise)
    return np.asarray(rounded, dtype=np.int64)


def _noise(amounts: _Amounts) -> _Amounts:
    return np.clip(_ULPS * amounts, _NOISE, _MOST_NOISE)


def _are_whole(amounts: _Amounts) -> bool:
    return bool(np.all(np.abs(amounts - np.rint(amounts)) < _noise(amounts)))
