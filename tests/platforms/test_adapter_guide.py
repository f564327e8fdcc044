"""The example of ``docs/adapters.md``, taken from the page and run."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entropy.formats.documents import dump, parse
from entropy.model.cluster import VM, Cluster
from entropy.model.errors import InputError, PlatformError
from entropy.platforms.base import ConfigurationAdapter, Observation
from entropy.platforms.registry import load_adapter

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
ANSWER = {
    "hosts": [
        {"name": "n1", "cpus": 8, "memory": 16384, "up": True},
        {"name": "n2", "cpus": 8, "memory": 16384, "up": False},
    ],
    "guests": [
        {"name": "web-1", "host": "n1", "state": "running", "cpus": 1.5, "memory": 4096},
        {"name": "db-1", "host": "n1", "state": "sleeping"},
        {"name": "lost", "host": "n2", "state": "running", "cpus": 1, "memory": 1},
    ],
}


def block(mark: str) -> str:
    found = re.search(rf"<!-- tested: {re.escape(mark)} -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, f"{PAGE} has no block marked {mark!r}"
    return found[1]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ConfigurationAdapter]]:
    """The page's class, installed under the page's entry point."""
    (tmp_path / "inventory_adapter.py").write_text(block("inventory_adapter.py"))
    points = tomllib.loads(block("entry point"))["project"]["entry-points"]["entropy.adapters"]
    info = tmp_path / "inventory-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: inventory\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[entropy.adapters]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield load_adapter("inventory")
    sys.modules.pop("inventory_adapter", None)


def observe(cls: type[ConfigurationAdapter], answer: object, *, known: dict[str, VM] | None = None, **settings: Any) -> Observation:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    adapter = cls.from_settings({"command": [sys.executable, "-c", f"print({text!r})"]} | settings)
    adapter.recall = (known or {}).get
    return asyncio.run(adapter.observe())


def test_the_example_observes(example: type[ConfigurationAdapter]) -> None:
    seen = observe(example, ANSWER, known={"db-1": VM(name="db-1", state="sleeping", node="n1", demand={"cpu": 2.0, "memory": 8192.0})})
    assert {n.name: n.state for n in seen.cluster.nodes} == {"n1": "online", "n2": "offline"}
    assert {v.name: (v.state, v.demand["memory"]) for v in seen.cluster.vms} == {"web-1": ("running", 4096.0), "db-1": ("sleeping", 8192.0)}
    assert len(seen.warnings) == 1
    assert "lost" in seen.warnings[0]
    assert parse(dump(seen.cluster), Cluster) == seen.cluster
    assert "db-1" in " ".join(observe(example, ANSWER).warnings)


@pytest.mark.parametrize(
    "answer", ["", "nonsense", "[]", "{}", {**ANSWER, "hosts": ANSWER["hosts"] * 2}, {"hosts": [{"name": "n1"}], "guests": []}]
)
def test_the_example_never_passes_off_a_part_as_the_whole(example: type[ConfigurationAdapter], answer: object) -> None:
    with pytest.raises(PlatformError):
        observe(example, answer)


@pytest.mark.parametrize(
    "command",
    [["no-such-program-here"], [sys.executable, "-c", "raise SystemExit(3)"], [sys.executable, "-c", "import time; time.sleep(60)"]],
)
def test_the_example_maps_what_goes_wrong(example: type[ConfigurationAdapter], command: list[str]) -> None:
    adapter = example.from_settings({"command": command, "timeout": 0.5})
    with pytest.raises(PlatformError):
        asyncio.run(adapter.observe())


@pytest.mark.parametrize("settings", [{}, {"command": "rm -rf"}, {"command": []}, {"command": ["x"], "timeout": 0}])
def test_the_example_refuses_settings(example: type[ConfigurationAdapter], settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        example.from_settings(settings)
