"""What holds for every command: it answers at once, and whatever goes wrong ends in a sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import entropy
from entropy.cli.main import COMMANDS
from entropy.cli.terminal import this_command
from entropy.model import errors

HEAVY = ("numpy", "numba", "ortools", "sqlalchemy", "asyncssh", "libvirt", "rich", "yaml", "pandas")
UNEXPECTED = "entropy: something went wrong that should not"
CLUSTER = '{"apiVersion": "entropy/v1", "kind": "Cluster", "nodes": [], "vms": []}'


def loaded_by(*arguments: str) -> set[str]:
    """The heavy packages that a process has imported after running one command line."""
    script = (
        "import sys\nfrom entropy.cli.main import main\n"
        f"code = main({list(arguments)!r})\n"
        "print('LOADED', *(m.partition('.')[0] for m in sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ended.stderr.splitlines()[-1].split()[1:]) & {*HEAVY, "pydantic"}


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",)])
def test_help_loads_nothing_that_takes_time(arguments: tuple[str, ...]) -> None:
    assert loaded_by(*arguments) == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_of_a_command_loads_nothing_that_takes_time(command: str) -> None:
    assert loaded_by(command, "--help") - {"pydantic"} == set()


@pytest.mark.parametrize("arguments", [("schema", "Cluster"), ("convert", "{}", "--to", "entropy", "-o", "-")])
def test_plain_commands_load_no_solver(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(CLUSTER)
    assert loaded_by(*(a.format(tmp_path / "c.json") for a in arguments)) <= {"pydantic"}


@pytest.mark.parametrize(("closed", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 2)])
def test_standard_streams_that_are_closed_or_full(closed: str, code: int, tmp_path: Path) -> None:
    """Python has None for a stream that is closed, and a full disk is no fault of the program."""
    (tmp_path / "c.json").write_text(CLUSTER)
    words = [sys.executable, "-m", "entropy", "plan", str(tmp_path / "c.json")]
    ended = subprocess.run(["sh", "-c", f"{shlex.join(words)} {closed}"], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ended.stderr == ("entropy: standard output cannot be written: No space left on device\n" if code else "")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_that_the_help_lists_is_there(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = entropy(f"{command} --help", capsys, monkeypatch)
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: entropy {command}")
    entry = COMMANDS[command]
    assert callable(getattr(importlib.import_module(f"entropy.cli.{entry.module}"), entry.function))


def test_python_dash_m_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "entropy", "schema", "Nothing"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "entropy: 'Nothing' is no kind of document (accepted: Cluster, Policy, Plan)\n"


@pytest.mark.parametrize(
    ("problem", "code", "told"),
    [
        (errors.InputError("is 3", where="c.json", path="vms[0]", accepted="2"), 2, "entropy: c.json: vms[0]: is 3 (accepted: 2)"),
        (errors.PlatformError("gmetad at localhost:8651 does not answer"), 2, "entropy: gmetad at localhost:8651 does not answer"),
        (errors.InfeasibleError("no configuration:", ["n1 is full"]), 3, "entropy: no configuration:\n  n1 is full"),
        (errors.InvalidPlanError("not safe:", ["n1 is full"]), 4, "entropy: not safe:\n  n1 is full"),
        (errors.StalePlanError("web-1 has moved"), 4, "entropy: web-1 has moved"),
        (errors.ActionFailedError("a1 failed"), 4, "entropy: a1 failed"),
        (errors.NoPlanInTimeError("no plan in 10 s"), 5, "entropy: no plan in 10 s\n  a longer --time-limit may find one"),
        (KeyboardInterrupt(), 130, "entropy: interrupted"),
        (ZeroDivisionError("oops\nand\nmore"), 70, f"{UNEXPECTED}: ZeroDivisionError: oops and more\n  please report"),
        (RecursionError(), 70, f"{UNEXPECTED}: RecursionError\n"),
        (MemoryError(), 70, f"{UNEXPECTED}: MemoryError\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)  # fmt: skip
def test_every_error_is_a_sentence_and_an_exit_code(
    problem: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_kind: str) -> None:
        raise problem

    monkeypatch.delenv("ENTROPY_TRACEBACK", raising=False)
    monkeypatch.setattr("entropy.formats.documents.json_schema", fail)
    ended = entropy("schema Cluster", capsys, monkeypatch)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(told)
    assert "Traceback" not in ended.err


def test_the_place_of_an_unexpected_error_is_shown_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTROPY_TRACEBACK", "1")
    monkeypatch.setattr("entropy.formats.documents.json_schema", lambda _kind: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        entropy("schema Cluster", capsys, monkeypatch)


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "entropy", "schema", "Cluster"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_piped_output_has_no_colours(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(CLUSTER)
    command = [sys.executable, "-m", "entropy", "plan", str(tmp_path / "c.json"), "--output-format", "text"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "FORCE_COLOR": ""})
    assert "Nothing to do" in ended.stdout
    assert "\x1b" not in ended.stdout + ended.stderr


def test_a_terminal_is_shown_text(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(CLUSTER)
    screen, terminal = os.openpty()
    command = [sys.executable, "-m", "entropy", "plan", str(tmp_path / "c.json")]
    try:
        ended = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}, check=True)
    finally:
        os.close(terminal)
    with os.fdopen(screen, "rb", buffering=0) as stream:
        shown = stream.read(65536).decode()
    assert shown.startswith("\x1b[1m")
    assert "Nothing to do" in shown
    assert ended.stderr == b""


def test_commands_are_printed_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `make demo` the command is in .venv/bin, where no shell looks."""
    ours, module = tmp_path / "my venv" / "entropy", tmp_path / "entropy" / "__main__.py"
    for file in (ours, module):
        file.parent.mkdir()
        file.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(ours)])
    assert this_command() == f"'{ours}'"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert this_command() == "entropy"
    monkeypatch.setattr(sys, "argv", [str(module)])
    assert this_command() == f"{shlex.quote(sys.executable)} -m entropy"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    assert this_command() == "entropy"


def test_what_is_written_is_not_for_everybody_to_change(tmp_path: Path) -> None:
    script = f"umask 000; {shlex.quote(sys.executable)} -m entropy init {shlex.quote(str(tmp_path / 'd'))}"
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    made = [tmp_path / "d", *(tmp_path / "d").rglob("*")]
    assert len(made) > 8
    assert [path.name for path in made if path.stat().st_mode & 0o002] == []
