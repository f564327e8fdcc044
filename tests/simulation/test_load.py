"""The load that is drawn: the same for a seed, within its machines' sizes, with a day in it."""

from __future__ import annotations

import numpy as np
import pytest

from entropy.model.cluster import VM
from entropy.simulation.load import KINDS, synthetic
from entropy.simulation.workload import make_nodes, start_cluster

DAY = 86400.0


def hours(values: np.ndarray, start: float, end: float) -> np.ndarray:
    return values[..., int(start * 60) : int(end * 60)]


def test_the_same_seed_gives_the_same_load_and_another_seed_another() -> None:
    one, same, other = synthetic(20, DAY, 7), synthetic(20, DAY, 7), synthetic(20, DAY, 8)
    assert one.machines == same.machines
    assert np.array_equal(one.cpu, same.cpu)
    assert not np.array_equal(one.cpu, other.cpu)


def test_a_larger_cluster_begins_with_the_vms_of_the_smaller_one() -> None:
    small, large = synthetic(10, DAY, 7), synthetic(30, DAY, 7)
    assert large.machines[:10] == small.machines
    assert np.array_equal(large.cpu[:10], small.cpu)


def test_every_vm_demands_something_and_never_more_than_its_processors() -> None:
    load = synthetic(60, DAY, 1)
    vcpus = np.array([m.vcpus for m in load.machines])
    assert (load.cpu > 0).all()
    assert (load.cpu <= vcpus[:, None]).all()
    assert np.array_equal(load.cpu, np.round(load.cpu, 3))
    assert {m.memory for m in load.machines} <= {1024, 2048, 4096, 8192, 16384}


def test_names_are_unique_and_the_kinds_have_their_shares() -> None:
    machines = synthetic(200, 60.0, 1).machines
    assert len({m.name for m in machines}) == 200
    counts = {kind: sum(m.kind == kind for m in machines) for kind in KINDS}
    assert counts == {"web": 80, "batch": 30, "db": 40, "office": 50}


def test_web_and_office_work_by_day_and_databases_are_steady() -> None:
    load = synthetic(200, DAY, 3)
    of = {kind: load.cpu[[m.kind == kind for m in load.machines]].sum(axis=0) for kind in KINDS}
    assert hours(of["web"], 12, 15).mean() > 3 * hours(of["web"], 2, 5).mean()
    assert hours(of["office"], 10, 16).mean() > 3 * hours(of["office"], 0, 6).mean()
    assert hours(of["db"], 12, 15).mean() < 1.5 * hours(of["db"], 2, 5).mean()


def test_batch_is_on_or_off() -> None:
    load = synthetic(200, DAY, 3)
    rows = [k for k, m in enumerate(load.machines) if m.kind == "batch"]
    share = load.cpu[rows] / np.array([load.machines[k].vcpus for k in rows])[:, None]
    between = (share > 0.1) & (share < 0.6)
    assert between.mean() < 0.01
    assert 0.05 < (share > 0.6).mean() < 0.5


def test_the_load_holds_for_a_period_and_after_the_end_as_it_was_last() -> None:
    load = synthetic(2, 3600.0, 1, period=60.0)
    vm = VM(name=load.machines[1].name, node="n1", demand={"cpu": 9, "memory": 1})
    assert load.demand(vm, 59.9) == {"cpu": load.cpu[1, 0]}
    assert load.demand(vm, 60.0) == {"cpu": load.cpu[1, 1]}
    assert load.demand(vm, 1e9) == {"cpu": load.cpu[1, -1]}
    assert load.demand(VM(name="stranger", node="n1", demand={}), 0.0) == {}


@pytest.mark.parametrize(("count", "last"), [(1, "n1"), (40, "n40"), (120, "n120")])
def test_nodes_are_named_to_sort_well_and_stand_in_racks_of_ten(count: int, last: str) -> None:
    nodes = make_nodes(count)
    assert [n.name for n in nodes] == sorted(n.name for n in nodes)
    assert nodes[-1].name == last
    assert nodes[-1].labels["rack"] == f"r{(count - 1) // 10 + 1}"
    assert {(n.capacity["cpu"], n.capacity["memory"]) for n in nodes} == {(16, 65536)}


def test_mixed_nodes_are_of_three_models() -> None:
    assert {n.capacity["cpu"] for n in make_nodes(9, mixed=True)} == {16, 24, 32}


def test_the_cluster_starts_with_the_demands_of_midnight() -> None:
    load, nodes = synthetic(3, 3600.0, 1), make_nodes(2)
    cluster = start_cluster(load, nodes, [0, 1, 0])
    assert [vm.node for vm in cluster.vms] == ["n1", "n2", "n1"]
    assert [vm.demand["cpu"] for vm in cluster.vms] == load.cpu[:, 0].tolist()
