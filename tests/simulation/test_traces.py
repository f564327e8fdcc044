"""Recorded load in each layout, and what is said of files that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from entropy.model.errors import InputError
from entropy.simulation.traces import read_trace
from shared_data import shared


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return str(path)


BY_VM = "vm,0,1,2\nweb,10,20,30\ndb,0,50,100\n"
BY_SAMPLE = "sample,web,db\n0,10,0\n1,20,50\n2,30,100\n"
LONG = "vm,sample,cpu_percent,memory_percent\nweb,0,10,5\nweb,1,20,5\nweb,2,30,5\ndb,0,0,5\ndb,1,50,5\ndb,2,100,5\n"


@pytest.mark.parametrize("text", [BY_VM, BY_SAMPLE, LONG], ids=["by vm", "by sample", "long"])
def test_the_layouts_say_the_same(tmp_path: Path, text: str) -> None:
    found = read_trace(written(tmp_path, text), seed=1)
    assert [m.name for m in found.machines] == ["web", "db"]
    vcpus = np.array([m.vcpus for m in found.machines])[:, None]
    assert np.allclose(found.cpu / vcpus, [[0.1, 0.2, 0.3], [0.0, 0.5, 1.0]], atol=1e-3)
    assert found.seconds == 900


def test_rows_of_numbers_alone_are_vms(tmp_path: Path) -> None:
    found = read_trace(written(tmp_path, "10,20\n30,40\n\n"))
    assert [m.name for m in found.machines] == ["vm-1", "vm-2"]


def test_sizes_come_from_the_seed_and_a_part_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(BY_VM.encode()))
    assert read_trace(str(path), seed=5).machines == read_trace(str(path), seed=5).machines
    assert len(read_trace(str(path), count=1).machines) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        ("hello,world\n1,2\n", ["line 1", "'hello,world'", "one row per VM"]),
        ("vm,0,1\nweb,10,120\n", ["line 2", "'120'", "percentages from 0 to 100"]),
        ("vm,0,1\nweb,10,nan\n", ["line 2", "'nan'"]),
        ("vm,0,1\nweb,10,\n", ["line 2", "''"]),
        ("vm,0,1\nweb,10,20\nweb,10,20\n", ["line 3", "web again"]),
        ("vm,0,1\nweb,10,20\ndb,10\n", ["db has 1 samples", "first VM 2"]),
        ("sample,a,a\n0,1,2\n", ["line 1", "twice"]),
        ("sample,a,b\n0,1\n", ["line 2", "2 cells"]),
        ("vm,cpu_percent\nweb,1\nweb\n", ["line 3", "1 cells"]),
        ("sample,a\n", ["no percentages"]),
        ("vm,0\n,5\n", ["line 2", "no name"]),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_value(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    for word in (path, *words):
        assert word in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="is no text"):
        read_trace(str(path))


def test_more_vms_than_the_trace_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 2 VMs, and 3 are asked for \(accepted: 1 to 2\)"):
        read_trace(written(tmp_path, BY_VM), count=3)


@pytest.mark.parametrize(("name", "vms", "samples"), [("planetlab-20110303.csv.gz", 1052, 288), ("google-100.csv.gz", 100, 288)])
def test_published_traces_are_read(name: str, vms: int, samples: int) -> None:
    found = read_trace(str(shared(f"data/traces/{name}")))
    assert found.cpu.shape == (vms, samples)
    assert 0 < found.cpu.mean() < 2
