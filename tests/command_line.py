"""Runs one ``entropy`` command line inside the test's own process, as the shell would."""

from __future__ import annotations

import io
import shlex
import sys
from dataclasses import dataclass

import pytest

from entropy.cli.main import main

__all__ = ["Outcome", "entropy"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class _Bytes(io.StringIO):
    """Standard input: text with the bytes behind it."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw.decode(errors="replace"))
        self.buffer = io.BytesIO(raw)


def entropy(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stdin: bytes = b"") -> Outcome:
    """Run ``entropy COMMAND``; no exception may come out."""
    monkeypatch.setattr(sys, "stdin", _Bytes(stdin))
    capsys.readouterr()
    code = main(shlex.split(command))
    out, err = capsys.readouterr()
    return Outcome(code, out, err)
