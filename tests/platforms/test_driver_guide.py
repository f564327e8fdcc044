"""The example and the tables of ``docs/drivers.md`` are true."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from entropy.model.cluster import Cluster, Node
from entropy.model.errors import InputError, PlatformError
from entropy.model.plan import Action
from entropy.platforms import directory as directory_module
from entropy.platforms.base import Endpoint
from entropy.platforms.directory import DriverDirectory
from entropy.platforms.options import Options
from entropy.platforms.ssh.settings import SshSettings

PAGE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
N1, N2 = Endpoint(name="n1"), Endpoint(name="n2")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (block,) = re.findall(r"<!-- tested: prlctl_driver.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "prlctl_driver.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("prlctl_driver")
    sys.modules.pop("prlctl_driver")


def test_the_example_drives_a_program(example: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "prlctl"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n[ "$2" != bad ] || {{ echo no such guest >&2; exit 3; }}\n')
    program.chmod(0o755)
    driver = example.PrlctlDriver.from_settings({"program": str(program)})

    async def story() -> None:
        await driver.migrate("v", N1, N2)
        await driver.run("v", N1)
        await driver.stop("v", N1)
        await driver.suspend("v", N1)
        await driver.resume("v", N1, N1)
        with pytest.raises(PlatformError, match="image lies on n1"):
            await driver.resume("v", N1, N2)
        with pytest.raises(PlatformError, match="status 3: no such guest"):
            await driver.suspend("bad", N1)

    asyncio.run(story())
    assert (tmp_path / "calls").read_text().splitlines() == [
        "migrate v --from n1 --to n2", "start v --on n1", "stop v --drop-suspend", "suspend v", "resume v", "suspend bad",
    ]  # fmt: skip
    assert not driver.offers("startup")
    with pytest.raises(InputError, match="programme: is no known key"):
        example.PrlctlDriver.from_settings({"programme": "x"})


def documented(section: str) -> set[str]:
    """The keys in a section's first table."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.search(r"\| key \|.*?\n\|.*?\n(.*?)\n\n", text, re.DOTALL)
    assert rows
    return {key for row in rows[1].splitlines() for key in re.findall(r"`([^`]+)`", row.split("|")[1])}


def keys(options: type[Options]) -> set[str]:
    return {field.alias or name for name, field in options.model_fields.items()}


def test_every_key_is_documented_and_nothing_else() -> None:
    assert documented("ssh") | {"addressLabel", "nodes"} == keys(SshSettings)
    pytest.importorskip("libvirt")
    from entropy.platforms.libvirt.settings import LibvirtSettings

    assert {key.removesuffix(".<node>") for key in documented("libvirt")} == keys(LibvirtSettings)


def test_the_configurations_are_accepted() -> None:
    pytest.importorskip("libvirt")
    tables = [tomllib.loads(block).get("drivers") for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    found = [table for table in tables if table]
    assert len(found) == 3
    for table in found:
        default = table.pop("default", None)
        DriverDirectory(table, default)


def test_the_commands_of_xen_stand_there_as_they_are() -> None:
    found = DriverDirectory({})
    seen = Cluster(nodes=(Node(name="n1", capacity={}, labels={"driver.migration": "xen"}),), vms=())
    driver, _ = found.for_action(Action(id="a", type="stop", vm="v", node="n1"), seen)
    for operation, command in directory_module._XL.items():
        assert f"\n    {operation:<8} {command}\n" in PAGE
        assert driver.offers(operation)
