"""Static allocation and packing anew, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from entropy.model.cluster import Node
from entropy.simulation.baselines import first_fit_decreasing, repacked, static
from entropy.simulation.workload import Machine, Workload

PERIOD = 60.0


def load(*rows: list[float], memory: int = 1024) -> Workload:
    machines = tuple(Machine(name=f"v{k}", kind="t", vcpus=10, memory=memory) for k in range(len(rows)))
    return Workload(machines, np.array(rows, dtype=float), PERIOD)


def nodes(count: int, cores: float = 10, memory: float = 65536) -> tuple[Node, ...]:
    return tuple(Node(name=f"n{k}", capacity={"cpu": cores, "memory": memory}) for k in range(count))


def pack(cpu: list[float], memory: list[float], cores: list[float], mib: list[float]) -> tuple[list[int], int]:
    found = first_fit_decreasing(*(np.array(a, dtype=float) for a in (cpu, memory, cores, mib)))
    return found.hosts.tolist(), found.crowded


def test_the_largest_goes_first_and_each_to_the_first_node_with_room() -> None:
    assert pack([2, 6, 5, 4], [0, 0, 0, 0], [10, 10], [1, 1]) == ([1, 0, 1, 0], 0)


def test_memory_counts_as_well() -> None:
    assert pack([1, 1], [8, 8], [10, 10], [10, 10])[0] == [0, 1]


def test_a_vm_for_which_no_cpu_is_left_goes_where_most_is_left() -> None:
    assert pack([8, 7, 5], [1, 1, 1], [10, 10], [10, 10]) == ([0, 1, 1], 1)


def test_a_vm_whose_memory_fits_nowhere_is_left_out() -> None:
    assert pack([1, 1], [5, 11], [10], [10]) == ([0, -1], 0)


def test_static_allocation_keeps_every_peak_for_the_whole_time() -> None:
    found = static(load([6, 1, 1], [1, 6, 1]), nodes(3), 3 * PERIOD)  # 6 + 6 > 10, though 7 would do at any time
    assert found.in_use == (2, 2, 2)
    assert found.node_hours == pytest.approx(6 / 60)
    assert (found.migrations, found.moved_memory, found.overload_minutes) == (0, 0.0, 0.0)


def test_static_allocation_knows_the_peaks_of_the_whole_load_though_only_a_part_is_measured() -> None:
    found = static(load([1, 6], [1, 6]), nodes(2), PERIOD)
    assert found.in_use == (2,)


def test_static_allocation_that_does_not_fit_is_overloaded_when_its_peaks_meet() -> None:
    found = static(load([6, 1, 6], [6, 1, 6]), nodes(1), 3 * PERIOD)
    assert found.crowded == 1
    assert found.overload_minutes == 2.0


def test_packing_anew_follows_the_load_and_moves_what_it_must() -> None:
    found = repacked(load([6, 1, 6], [6, 1, 6]), nodes(2), 3 * PERIOD, every=PERIOD)
    assert found.in_use == (2, 1, 2)
    assert found.migrations == 2  # the second VM joins the first, and leaves again
    assert found.moved_memory == 2048
    assert found.overload_minutes == 0.0


def test_moves_from_where_the_vms_are_at_first_count_if_that_is_said() -> None:
    found = repacked(load([1], [1]), nodes(2), PERIOD, every=PERIOD, start=np.array([0, 1]))
    assert (found.migrations, found.moved_memory) == (1, 1024)


def test_what_rises_between_two_looks_overloads() -> None:
    rising = load([1, 6, 6, 6], [1, 6, 6, 6])
    found = repacked(rising, nodes(2), 4 * PERIOD, every=2 * PERIOD)
    assert found.in_use == (1, 1, 2, 2)
    assert found.overload_minutes == 1.0


def test_headroom_and_remembered_peaks_spread_wider() -> None:
    steady = load([5] * 3, [5] * 3)
    assert repacked(steady, nodes(2), 3 * PERIOD, every=PERIOD).in_use == (1, 1, 1)
    assert repacked(steady, nodes(2), 3 * PERIOD, every=PERIOD, headroom=0.1).in_use == (2, 2, 2)
    falling = load([6, 1, 1, 1], [6, 1, 1, 1])
    assert repacked(falling, nodes(2), 4 * PERIOD, every=PERIOD, window=2 * PERIOD).in_use == (2, 2, 2, 1)
