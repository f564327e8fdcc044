"""Command transcripts: each file in ``transcripts/`` is one story of commands with what they must print.

A file holds ``why`` (a sentence), ``files`` (name -> content) and ``steps``; a step has ``command``, ``exit``, and lists of
regular expressions that must (``stdout``, ``stderr``) or must not (``never``) be found; ``json`` must be part of the printed
document; ``writes`` are files that must exist afterwards, ``leaves`` files that must not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from command_line import entropy

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").rglob("*.yaml"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: p.stem)
def test_transcript(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    story = yaml.safe_load(path.read_text())
    assert story["why"]
    monkeypatch.chdir(tmp_path)
    for name, content in story.get("files", {}).items():
        (tmp_path / name).write_text(content)
    for step in story["steps"]:
        unknown = set(step) - {"command", "stdin", "exit", "stdout", "stderr", "never", "json", "writes", "leaves"}
        assert not unknown, f"no such keys in a step: {unknown}"
        ended = entropy(step["command"], capsys, monkeypatch, step.get("stdin", "").encode())
        told = f"{step['command']}\n--- {ended.code}\n{ended.out}\n--- stderr\n{ended.err}"
        assert ended.code == step["exit"], told
        for pattern in step.get("stdout", ()):
            assert re.search(pattern, ended.out, re.MULTILINE), f"{pattern!r} is not on standard output of {told}"
        for pattern in step.get("stderr", ()):
            assert re.search(pattern, ended.err, re.MULTILINE), f"{pattern!r} is not on standard error of {told}"
        for pattern in ("Traceback", *step.get("never", ())):
            assert not re.search(pattern, ended.out + ended.err, re.MULTILINE), f"{pattern!r} is in {told}"
        if "json" in step:
            _is_part(step["json"], orjson.loads(ended.out), "")
        assert all((tmp_path / name).exists() for name in step.get("writes", ())), told
        assert not any((tmp_path / name).exists() for name in step.get("leaves", ())), told


def _is_part(wanted: Any, found: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert isinstance(found, dict), f"{where} is {found!r}"
        for key, item in wanted.items():
            assert key in found, f"{where}.{key} is missing in {found!r}"
            _is_part(item, found[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), f"{where} is {found!r}"
        assert len(found) == len(wanted), f"{where} has {len(found)} items: {found!r}"
        for k, item in enumerate(wanted):
            _is_part(item, found[k], f"{where}[{k}]")
    else:
        assert found == wanted, f"{where} is {found!r}"
