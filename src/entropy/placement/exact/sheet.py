"""A CP-SAT model as rows of integers, written straight into its protocol buffer.

Variables are numbers; the negation of boolean ``x`` is ``-x - 1``.  A Python object a variable, as the library's own layer makes, takes a
multiple of the time that small problems take to solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

__all__ = ["Expression", "Numbers", "Sheet", "Variables", "negated", "sum_of"]

Variables = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.signedinteger[Any]]
"""Positions or indices of any width."""
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
"""What CP-SAT takes for unbounded."""


class Expression(NamedTuple):
    """``constant`` plus the sum of coefficient x variable."""

    ids: Variables
    coefficients: Variables
    constant: int = 0

    def __bool__(self) -> bool:
        """Does it depend on anything?"""
        return bool(len(self.ids))

    def plus(self, *others: Expression) -> Expression:
        """The sum, each variable once."""
        parts = (self, *others)
        ids, where = np.unique(np.concatenate([p.ids for p in parts]), return_inverse=True)
        coefficients = np.zeros(len(ids), dtype=np.int64)
        np.add.at(coefficients, where, np.concatenate([p.coefficients for p in parts]))
        return Expression(ids, coefficients, sum(p.constant for p in parts))

    def times(self, factor: int) -> Expression:
        """The product with an integer."""
        return Expression(self.ids, self.coefficients * factor, self.constant * factor)

    def value(self, solution: Variables) -> int:
        """Its value where variable k is ``solution[k]``."""
        return int((self.coefficients * solution[self.ids]).sum()) + self.constant


def sum_of(ids: Variables, coefficients: Variables | int = 1, constant: int = 0) -> Expression:
    """``constant`` plus the sum of the variables, each times its coefficient."""
    return Expression(ids, np.broadcast_to(np.asarray(coefficients, dtype=np.int64), ids.shape), constant)


def negated(literals: Variables) -> Variables:
    """The negations of booleans."""
    return -literals - 1


@cache
def _blocks() -> tuple[tuple[int, Any], ...]:
    """Models of nothing but 1024, 32 and 1 booleans: copying is quicker than adding."""
    models = [(size, cp_model.CpModel()) for size in (1024, 32, 1)]
    for size, model in models:
        model.proto.merge_text_format("variables{domain:[0,1]}" * size)
    return tuple((size, model.proto) for size, model in models)


class Sheet:
    """Collects variables and constraints; ``model`` is what the solver takes."""

    def __init__(self) -> None:
        self.model = cp_model.CpModel()
        self._proto = self.model.proto
        self.size = 0

    def booleans(self, count: int) -> Variables:
        """So many new booleans."""
        rest = count
        for size, block in _blocks():
            for _ in range(rest // size):
                self._proto.merge_from(block)
            rest %= size
        return self._numbered(count)

    def integer(self, most: int) -> int:
        """A new integer between 0 and ``most``."""
        self._proto.variables.add().domain.extend((0, most))
        return int(self._numbered(1)[0])

    def _numbered(self, count: int) -> Variables:
        first, self.size = self.size, self.size + count
        return np.arange(first, self.size, dtype=np.int64)

    def exactly_one(self, literals: Variables) -> None:
        """One of the booleans holds."""
        self._proto.constraints.add().exactly_one.literals.extend(literals.tolist())

    def at_most_one(self, literals: Variables) -> None:
        """No two of the booleans hold."""
        self._proto.constraints.add().at_most_one.literals.extend(literals.tolist())

    def one_of(self, literals: Variables | Sequence[int]) -> None:
        """At least one of the booleans holds; never, if there are none."""
        self._proto.constraints.add().bool_or.literals.extend([int(x) for x in literals])

    def none_unless(self, condition: int, literals: Variables) -> None:
        """The booleans are false unless ``condition`` holds."""
        row = self._proto.constraints.add()
        row.enforcement_literal.append(-condition - 1)
        row.bool_and.literals.extend(negated(literals).tolist())

    def none(self, literals: Variables) -> None:
        """The booleans are false."""
        self._proto.constraints.add().bool_and.literals.extend(negated(literals).tolist())

    def at_most(self, sum_: Expression, most: int) -> None:
        """``sum_`` is no more than ``most``."""
        self._linear(sum_, _LEAST, most - sum_.constant)

    def at_least(self, sum_: Expression, least: int) -> None:
        """``sum_`` is no less than ``least``."""
        self._linear(sum_, least - sum_.constant, _MOST)

    def equal(self, sum_: Expression, value: int) -> None:
        """``sum_`` is ``value``."""
        self._linear(sum_, value - sum_.constant, value - sum_.constant)

    def _linear(self, sum_: Expression, least: int, most: int) -> None:
        row = self._proto.constraints.add().linear
        row.vars.extend(sum_.ids.tolist())
        row.coeffs.extend(sum_.coefficients.tolist())
        row.domain.extend((least, most))

    def minimise(self, goal: Expression) -> None:
        """The goal, instead of any before; its constant is left to the caller."""
        self._proto.clear_objective()
        self._proto.objective.vars.extend(goal.ids.tolist())
        self._proto.objective.coeffs.extend(goal.coefficients.tolist())

    def hint(self, ids: Variables, values: Variables) -> None:
        """A solution to start from, instead of any before; variables may be left out."""
        self._proto.clear_solution_hint()
        self._proto.solution_hint.vars.extend(ids.tolist())
        self._proto.solution_hint.values.extend(values.tolist())
