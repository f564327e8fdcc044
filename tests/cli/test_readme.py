"""The example of the README does what the README shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from command_line import entropy

README = Path(__file__).parents[2] / "README.md"


def test_the_first_plan_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text()
    monkeypatch.chdir(tmp_path)
    for name, content in re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    transcript = re.search(r"```console\n(.*?)```", text, re.DOTALL)
    assert transcript
    steps = re.findall(r"^\$ entropy (.*)\n((?:(?!\$ ).*\n)*)", transcript[1], re.MULTILINE)
    assert [command.split()[0] for command, _ in steps] == ["plan", "plan", "verify"]
    for command, shown in steps:
        bare = command.partition("  #")[0]
        ended = entropy(bare if "-o" in bare or not bare.startswith("plan") else f"{bare} --output-format text", capsys, monkeypatch)
        assert ended.code == 0, ended
        assert _timeless(ended.out) == _timeless(shown)


def _timeless(text: str) -> str:
    return re.sub(r"solved in [0-9.]+ s", "solved in a moment", text).strip()


def test_its_links_lead_somewhere() -> None:
    for page in (README, README.with_name("CONTRIBUTING.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (README.parent / link).exists(), f"{page.name}: {link}"
