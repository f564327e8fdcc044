"""Arithmetic expressions such as ``VM#memory / 10``: the original's way to say how long an action takes.

Grammar, loosest binding first; ``^`` binds to the right and tighter than a sign, as in mathematics::

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/" | "%") signed }
    signed  = { "+" | "-" } power
    power   = operand [ "^" signed ]
    operand = number | variable | "(" sum ")"

Nothing is ever handed to ``eval``; numbers are floats, so no expression can ask for unbounded work.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from entropy.model.errors import InputError

__all__ = ["EvaluationError", "Expression", "parse"]

_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z]\w*#\w+)|(?P<sign>[-+*/%^()]))")
_LONGEST = 1000
_DEEPEST = 50

Evaluate = Callable[[Mapping[str, float]], float]


class EvaluationError(ValueError):
    """An expression has no value for these variables; the message says why."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its ``text``, the ``variables`` that it reads, and its value for given ones."""

    text: str
    variables: frozenset[str]
    _evaluate: Evaluate

    def value(self, variables: Mapping[str, float]) -> float:
        """The value.  Raises ``EvaluationError`` on a division by zero or a result that is no finite real number."""
        try:
            result = self._evaluate(variables)
        except ZeroDivisionError:
            raise EvaluationError("division by zero") from None
        except OverflowError:
            raise EvaluationError("the result is too large") from None
        if isinstance(result, complex):
            raise EvaluationError("the result is no real number")
        if not math.isfinite(result):
            raise EvaluationError(f"the result is {result}")
        return result


def parse(text: str, known: Collection[str], *, path: str = "") -> Expression:
    """``text`` as an expression over the variables ``known``.

    Raises ``InputError`` at ``path`` with the column (from 1) of what cannot be read and what is accepted there.
    """
    if len(text) > _LONGEST:
        raise InputError(f"is {len(text)} characters long", path=path, accepted=f"an expression of at most {_LONGEST} characters")
    return _Parser(text, known, path).parse()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


class _Parser:
    def __init__(self, text: str, known: Collection[str], path: str) -> None:
        self._text, self._known, self._path = text, known, path
        self._variables: set[str] = set()
        self._tokens = self._split()
        self._at = 0
        self._depth = 0

    def parse(self) -> Expression:
        evaluate = self._sum()
        if (rest := self._next()).kind != "end":
            raise self._unexpected(rest, "an operator or the end")
        return Expression(self._text.strip(), frozenset(self._variables), evaluate)

    def _split(self) -> list[_Token]:
        tokens, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._unexpected(
                    _Token("character", self._text[at], at + 1), f"a number, a variable ({self._names()}) or + - * / % ^ ( )"
                )
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
            at = match.end()
        return [*tokens, _Token("end", "the end", end + 1)]

    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> str | None:
        token = self._tokens[self._at]
        if token.kind == "sign" and token.text in signs:
            self._at += 1
            return token.text
        return None

    def _sum(self) -> Evaluate:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _binary(operator.add if sign == "+" else operator.sub, left, self._product())
        return left

    def _product(self) -> Evaluate:
        left = self._signed()
        while sign := self._take("*", "/", "%"):
            left = _binary({"*": operator.mul, "/": operator.truediv, "%": operator.mod}[sign], left, self._signed())
        return left

    def _signed(self) -> Evaluate:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._power()
        return (lambda variables: -value(variables)) if negative else value

    def _power(self) -> Evaluate:
        base = self._operand()
        if not self._take("^"):
            return base
        self._descend()
        exponent = self._signed()
        self._depth -= 1
        return _binary(operator.pow, base, exponent)

    def _operand(self) -> Evaluate:
        token = self._next()
        if self._take("("):
            self._descend()
            inner = self._sum()
            if not self._take(")"):
                raise self._unexpected(self._next(), f'")" for the "(" in column {token.column}')
            self._depth -= 1
            return inner
        if token.kind == "number":
            self._at += 1
            number = float(token.text)
            return lambda _variables: number
        if token.kind == "name":
            if token.text not in self._known:
                raise self._unexpected(token, self._names())
            self._at += 1
            self._variables.add(name := token.text)
            return lambda variables: variables[name]
        raise self._unexpected(token, f"a number, a variable ({self._names()}) or (")

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InputError(f"is nested too deeply in {self._text[:60]!r}", path=self._path, accepted=f"{_DEEPEST} levels")

    def _names(self) -> str:
        return ", ".join(sorted(self._known))

    def _unexpected(self, token: _Token, accepted: str) -> InputError:
        shown = token.text if token.kind == "end" else repr(token.text)
        return InputError(f"unexpected {shown} in column {token.column} of {self._text!r}", path=self._path, accepted=accepted)


def _binary(operation: Callable[[float, float], float], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda variables: operation(left(variables), right(variables))
