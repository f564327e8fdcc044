"""What the board writes into the log: warnings when they begin and when they are over, not every round."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from entropy.control.board import Board
from entropy.control.settings import Settings


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[_Lines]:
    handler, logger = _Lines(), logging.getLogger("entropy.test-board")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def board(tmp_path: Path, lines: _Lines) -> Board:
    settings = Settings().placed(tmp_path / "entropy.toml", ())
    return Board(settings, logging.getLogger("entropy.test-board"), lambda: 0.0, 1)


def test_a_warning_is_said_when_it_begins_and_when_it_is_over(board: Board, lines: _Lines) -> None:
    for texts in (("b is odd", "a is odd"), ("a is odd",), ("a is odd", "a is odd"), ()):
        board.warned(texts)
    assert lines.lines == ["b is odd", "a is odd", "No longer: b is odd", "No longer: a is odd"]


def test_a_warning_of_which_only_a_figure_changes_goes_on(board: Board, lines: _Lines) -> None:
    """A dead host is silent for a second more every round, for ever."""
    for tn in (80, 81, 82.5, 10_000):
        board.warned((f"node1, silent for {tn} s, is taken as offline; its VMs are left out: web-1",))
    board.warned(())
    text = "node1, silent for {} s, is taken as offline; its VMs are left out: web-1"
    assert lines.lines == [text.format(80), f"No longer: {text.format(10_000)}"]


def test_names_and_addresses_are_no_figures(board: Board, lines: _Lines) -> None:
    for name in ("web-1", "web-2", "n3", "10.0.0.1", "10.0.0.2"):
        board.warned((f"nobody reports {name} (80 s)",))
    assert [line for line in lines.lines if not line.startswith("No longer")] == [
        f"nobody reports {name} (80 s)" for name in ("web-1", "web-2", "n3", "10.0.0.1", "10.0.0.2")
    ]


def test_warnings_that_differ_in_a_figure_are_both_said(board: Board, lines: _Lines) -> None:
    board.warned(("limit 1 is odd", "limit 2 is odd"))
    assert lines.lines == ["limit 1 is odd", "limit 2 is odd"]
