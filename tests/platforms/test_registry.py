"""Adapters and drivers by name, from packages that are installed beside this one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entropy.model.errors import InputError
from entropy.platforms.ganglia.adapter import GangliaAdapter
from entropy.platforms.registry import load_adapter, load_driver, registered

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution ``acme`` with one module and its entry points."""
    before = set(sys.modules)

    def made(module: str, code: str, points: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


def test_what_this_distribution_brings() -> None:
    assert "ganglia" in registered("entropy.adapters")
    assert {"libvirt", "ssh", "simulated"} <= {*registered("entropy.drivers")}
    assert load_adapter("ganglia") is GangliaAdapter


@pytest.mark.parametrize("name", ["", "gangila", "libvirt"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_adapter(name)
    assert repr(name) in str(caught.value)
    assert "ganglia" in caught.value.accepted


def test_a_package_beside_brings_its_own(install: Install) -> None:
    code = "from entropy.platforms.ganglia.adapter import GangliaAdapter\nclass A(GangliaAdapter): pass\n"
    install("acme_good", code, "[entropy.adapters]\nacme = acme_good:A\n")
    assert "acme" in registered("entropy.adapters")
    assert load_adapter("acme").__name__ == "A"


def test_a_package_beside_cannot_take_a_name_of_this_one(install: Install) -> None:
    install("acme_thief", "class A: pass\n", "[entropy.adapters]\nganglia = acme_thief:A\n")
    assert load_adapter("ganglia") is GangliaAdapter


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_library_here", "no_such_library_here"),
        ("1 / 0", "ZeroDivisionError"),
        ("class A: pass", "is no ConfigurationAdapter"),
        ("A = 3", "is no ConfigurationAdapter"),
        ("from entropy.platforms.base import ConfigurationAdapter\nclass A(ConfigurationAdapter): pass", "from_settings, observe"),
        ("B = 3", "acme_bad"),
    ],
)
def test_one_that_cannot_be_loaded_says_why(install: Install, code: str, said: str) -> None:
    install("acme_bad", code, "[entropy.adapters]\nacme = acme_bad:A\n")
    with pytest.raises(InputError, match="acme") as caught:
        load_adapter("acme")
    assert said in str(caught.value)


def test_a_missing_library_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("entropy.platforms.libvirt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libvirt", None)
    monkeypatch.setitem(sys.modules, "entropy.platforms.libvirt", None)
    with pytest.raises(InputError, match=r"pip install 'entropy-manager\[libvirt\]'"):
        load_driver("libvirt")


def test_a_missing_library_of_a_package_beside_names_that_package(install: Install) -> None:
    install("acme_needy", "import no_such_library_here", "[entropy.drivers]\nacme = acme_needy:D\n")
    with pytest.raises(InputError, match="'acme'"):
        load_driver("acme")
