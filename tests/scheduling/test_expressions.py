"""Arithmetic expressions: the original's syntax, and errors that point at the place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropy.model.errors import InputError
from entropy.scheduling.expressions import EvaluationError, parse

KNOWN = ("VM#memory", "VM#cpu_nb", "node#memory")
VALUES = {"VM#memory": 4096.0, "VM#cpu_nb": 2.0, "node#memory": 8192.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("VM#memory / 10", 409.6),
        (" 1 + VM#memory/125 ", 1 + 4096 / 125),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("20 - 5 - 5", 10),
        ("100 / 5 / 2", 10),
        ("7 % 4", 3),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("--3", 3),
        ("1.5e2 + .5", 150.5),
        ("node#memory % VM#memory + VM#cpu_nb", 2),
    ],
)
def test_value(text: str, value: float) -> None:
    assert parse(text, KNOWN).value(VALUES) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "column", "accepted"),
    [
        ("", 1, "a number"),
        ("1 +", 4, "a number"),
        ("VM#memory / VM#disk", 13, "VM#cpu_nb"),
        ("(1 + 2", 7, 'for the "(" in column 1'),
        ("1 2", 3, "an operator or the end"),
        ("3 $ 4", 3, "+ - * / % ^"),
        ("__import__('os')", 1, "a number"),
        ("1 ** 2", 4, "a number"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, column: int, accepted: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, KNOWN, path="plan.action.duration.run")
    assert f"in column {column} of" in str(caught.value)
    assert accepted in caught.value.accepted
    assert caught.value.path == "plan.action.duration.run"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / (VM#cpu_nb - 2)", "division by zero"),
        ("1 % (VM#cpu_nb - 2)", "division by zero"),
        ("0 ^ -1", "division by zero"),
        ("10 ^ 400", "too large"),
        ("9 ^ 9 ^ 9 ^ 9", "too large"),
        ("1e400", "inf"),
        ("(-8) ^ 0.5", "no real number"),
    ],
)
def test_what_has_no_value_says_why(text: str, why: str) -> None:
    with pytest.raises(EvaluationError, match=why):
        parse(text, KNOWN).value(VALUES)


@pytest.mark.parametrize("text", ["(" * 5000 + "1", "2" + "^2" * 300, "1" * 2000])
def test_endless_input_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text, KNOWN)


@given(
    st.recursive(
        st.integers(0, 9).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        max_leaves=12,
    )
)
def test_agrees_with_python(text: str) -> None:
    """On +, - and * of small integers, where Python's own reading of the text is the reference."""
    assert parse(text, ()).value({}) == eval(text)


@given(st.text(max_size=30))
def test_any_text_has_a_value_or_a_clear_error(text: str) -> None:
    try:
        value = parse(text, KNOWN).value(VALUES)
    except (InputError, EvaluationError):
        return
    assert math.isfinite(value)
