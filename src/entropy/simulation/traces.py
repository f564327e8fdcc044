"""Recorded load: CPU percentages of real VMs from a CSV file, gzipped or not.

    read_trace(path, count=None, seed=0, period=300.0) -> Workload

Three layouts are told apart by the first line:

* ``vm,0,1,2,...`` or numbers alone: one row per VM, one column per sample (with the header, the first column names the VM)
* ``sample,web-1,web-2,...``: one row per sample, one column per VM
* ``vm,sample,cpu_percent[,...]``: one row per VM and sample, further columns are not used

A percentage is a share of all processors of the VM.  A trace says nothing of sizes, so vCPUs and memory are drawn from a seeded mix of
common sizes; memory does not vary.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np

from entropy.formats.files import read_bytes
from entropy.model.errors import InputError
from entropy.simulation.workload import GIB, Machine, Workload

__all__ = ["read_trace"]

_VCPUS = {1: 0.1, 2: 0.25, 4: 0.4, 8: 0.25}
_MEMORY = {1: 0.35, 2: 0.3, 4: 0.25, 8: 0.1}
_LAYOUTS = "one row per VM, one row per sample (header sample,...), or columns vm,sample,cpu_percent"
_MOST_VALUES = 50_000_000
_NAME = 255

Series = dict[str, list[float]]
"""Percentages by VM."""


def read_trace(path: str, count: int | None = None, seed: int = 0, period: float = 300.0) -> Workload:
    """The first ``count`` VMs of the file (default: all), a sample every ``period`` seconds.

    Raises ``InputError`` naming file, line and value.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError("is no text", where=path, accepted=f"CSV: {_LAYOUTS}") from problem
    series = _Reader(path).read(csv.reader(io.StringIO(text)))
    if count is not None and count > len(series):
        raise InputError(
            f"the trace {path} has {len(series)} VMs, and {count} are asked for", where="--vms", accepted=f"1 to {len(series)}"
        )
    names = list(series)[:count]
    machines, rows = [], []
    for v, name in enumerate(names):
        rng = np.random.default_rng([seed, v])
        vcpus = int(rng.choice(list(_VCPUS), p=list(_VCPUS.values())))
        memory = int(rng.choice(list(_MEMORY), p=list(_MEMORY.values()))) * GIB
        machines.append(Machine(name=name, kind="trace", vcpus=vcpus, memory=memory))
        rows.append([round(percent / 100.0 * vcpus, 3) for percent in series[name]])
    return Workload(tuple(machines), np.array(rows, dtype=np.float64), period)


class _Reader:
    """Reads one file.  ``path`` is for messages."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._values = 0

    def read(self, rows: Iterable[Sequence[str]]) -> Series:
        """Every layout.  Raises ``InputError``."""
        numbered = ((k, [cell.strip() for cell in row]) for k, row in enumerate(rows, 1) if any(cell.strip() for cell in row))
        try:
            first = next(numbered, None)
            if first is None:
                raise InputError("holds no rows", where=self._path, accepted=f"CSV: {_LAYOUTS}")
            series = self._by_layout(first, numbered)
        except csv.Error as problem:
            raise InputError(f"is no CSV: {problem}", where=self._path, accepted=_LAYOUTS) from problem
        if not series or not any(series.values()):
            raise InputError("holds no percentages", where=self._path, accepted=f"CSV: {_LAYOUTS}")
        self._check_lengths(series)
        return series

    def _by_layout(self, first: tuple[int, list[str]], rest: Iterable[tuple[int, list[str]]]) -> Series:
        number, cells = first
        header = [cell.lower() for cell in cells]
        if "vm" in header and "cpu_percent" in header:
            return self._long(header, rest)
        if header[0] in ("sample", "time", "timestamp"):
            return self._by_sample(cells, rest)
        if header[0] in ("vm", "name"):
            return self._by_vm(rest)
        if all(_is_number(cell) for cell in cells):
            return self._unnamed([(number, cells), *rest])
        shown = ",".join(cells)[:60]
        raise InputError(f"is {shown!r}, which is no known header", where=self._path, path="line 1", accepted=_LAYOUTS)

    def _long(self, header: list[str], rows: Iterable[tuple[int, list[str]]]) -> Series:
        vm, cpu = header.index("vm"), header.index("cpu_percent")
        series: Series = {}
        for number, cells in rows:
            if len(cells) != len(header):
                raise self._ragged(number, len(cells), len(header))
            series.setdefault(self._name(cells[vm], number), []).append(self._percent(cells[cpu], number))
        return series

    def _by_sample(self, names: list[str], rows: Iterable[tuple[int, list[str]]]) -> Series:
        series: Series = {self._name(name, 1): [] for name in names[1:]}
        if len(series) != len(names) - 1:
            raise InputError("names a VM twice", where=self._path, path="line 1", accepted="each name once")
        columns = list(series.values())
        for number, cells in rows:
            if len(cells) != len(names):
                raise self._ragged(number, len(cells), len(names))
            for column, cell in zip(columns, cells[1:], strict=True):
                column.append(self._percent(cell, number))
        return series

    def _by_vm(self, rows: Iterable[tuple[int, list[str]]]) -> Series:
        series: Series = {}
        for number, cells in rows:
            name = self._name(cells[0], number)
            if name in series:
                raise InputError(f"names {name} again", where=self._path, path=f"line {number}", accepted="one row per VM")
            series[name] = [self._percent(cell, number) for cell in cells[1:]]
        return series

    def _unnamed(self, rows: Iterable[tuple[int, list[str]]]) -> Series:
        return {f"vm-{k}": [self._percent(cell, number) for cell in cells] for k, (number, cells) in enumerate(rows, 1)}

    def _percent(self, cell: str, number: int) -> float:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise InputError(f"holds more than {_MOST_VALUES:,} values", where=self._path, accepted="a shorter trace")
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= 100.0:
            raise InputError(f"is {cell[:40]!r}", where=self._path, path=f"line {number}", accepted="percentages from 0 to 100")
        return value

    def _name(self, cell: str, number: int) -> str:
        if not cell or len(cell) > _NAME or not cell.isprintable():
            raise InputError(f"is no name: {cell[:40]!r}", where=self._path, path=f"line {number}", accepted="a VM's name")
        return f"vm-{cell}" if cell.isdecimal() else cell

    def _check_lengths(self, series: Series) -> None:
        lengths = {len(values) for values in series.values()}
        if len(lengths) > 1:
            first = len(next(iter(series.values())))
            name = next(n for n, values in series.items() if len(values) != first)
            raise InputError(
                f"{name} has {len(series[name])} samples, the first VM {first}", where=self._path, accepted="as many samples for every VM"
            )

    def _ragged(self, number: int, found: int, wanted: int) -> InputError:
        return InputError(f"has {found} cells, the header {wanted}", where=self._path, path=f"line {number}", accepted=f"{wanted} cells")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
