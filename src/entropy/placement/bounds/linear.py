"""Linear programmes for HiGHS, silent and deterministic; it is loaded when the first is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["INFINITE", "Sparse", "linear"]

INFINITE = float("inf")

Numbers = Sequence[float] | npt.NDArray[Any]


class Sparse:
    """Columns of a matrix, one after the other."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.index: list[int] = []
        self.entry: list[float] = []

    def add(self, index: Sequence[int], entry: Sequence[float]) -> None:
        """One column more: its rows and what is there."""
        self.starts.append(len(self.index))
        self.index += index
        self.entry += entry


def linear(cost: Numbers, upper: Numbers, row_lower: Numbers, row_upper: Numbers, columns: Sparse, *, whole: bool = False) -> Any:
    """A ``highspy.Highs`` with the programme min cost x, row_lower <= columns x <= row_upper, 0 <= x <= upper; ``whole``: in integers."""
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(columns.starts), len(row_lower)
    lp.col_cost_ = np.asarray(cost, dtype=np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(lp.num_col_), np.asarray(upper, dtype=np.float64)
    lp.row_lower_, lp.row_upper_ = np.asarray(row_lower, dtype=np.float64), np.asarray(row_upper, dtype=np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.array([*columns.starts, len(columns.index)], dtype=np.int32)
    lp.a_matrix_.index_ = np.array(columns.index, dtype=np.int32)
    lp.a_matrix_.value_ = np.array(columns.entry, dtype=np.float64)
    if whole:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * lp.num_col_
    highs = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 0)):
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    return highs
