"""``entropy simulate``: its command line, its figures, and the picture that it draws."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from command_line import entropy
from entropy.cli import charts
from entropy.cli.live_view import Move, Scene, frame
from entropy.cli.render.clock import clock
from entropy.cli.simulation_stage import Pace
from entropy.cli.simulation_summary import Summary
from entropy.control.rehearsal import Figures, Rehearsal, Said
from entropy.simulation.baselines import Baseline
from entropy.simulation.meter import Glance, NodeLoad
from entropy.simulation.workload import make_nodes

SMALL = "simulate --nodes 5 --vms 15 --hours 1.5"


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_figures_for_programs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one, same, other = (json.loads(entropy(f"{SMALL} --json --seed {s}", capsys, monkeypatch).out) for s in (4, 4, 5))
    assert one.pop("real")["seconds"] > 0
    same.pop("real")
    other.pop("real")
    assert one == same
    assert one != other
    assert (one["kind"], one["scene"]["nodes"], one["scene"]["vms"], one["scene"]["hours"]) == ("Simulation", 5, 15, 1.5)
    assert len(one["entropy"]["inUse"]) == len(one["static"]["inUse"]) == len(one["repacking"]["inUse"]) == 90
    assert one["entropy"]["nodeHours"] <= one["static"]["nodeHours"]
    assert one["entropy"]["mistakes"] == []


def test_where_nobody_looks_lines_tell_the_progress_and_a_table_sums_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entropy(SMALL, capsys, monkeypatch)
    assert found.code == 0
    assert found.err.startswith("01:00  ")
    assert "Simulated 1.5 hours of 5 nodes and 15 VMs (seed 0), in " in found.out
    assert "\x1b" not in found.out + found.err
    for line in ("node-hours", "overload, node-minutes", "migrations", "memory moved", "failed actions"):
        assert f"\n  {line} " in found.out


def test_the_demonstration_ends_with_the_way_to_a_real_cluster(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = entropy(f"{SMALL} --demo", capsys, monkeypatch)
    assert "\n  entropy init prod " in found.out
    assert found.out.splitlines()[-1] == "  entropy run --dry-run -c prod/config/entropy.properties"


def test_a_trace_is_followed_and_sets_the_scene(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text("vm,0\n" + "".join(f"v{k},{','.join(['10', '60', '20', '20', '10', '10'])}\n" for k in range(10)))
    found = json.loads(entropy(f"simulate --trace {trace} --json", capsys, monkeypatch).out)
    assert (found["scene"]["nodes"], found["scene"]["vms"], found["scene"]["hours"]) == (2, 10, 0.5)


def test_a_configuration_and_a_policy_are_rehearsed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "entropy.toml").write_text("[loop]\ninterval = 120\nheadroom = 0.3\nobjective = 'repair'\n")
    policy = tmp_path / "p.yaml"
    policy.write_text("apiVersion: entropy/v1\nkind: Policy\nconstraints:\n  - {type: spread, vms: 'kind=db', across: node}\n")
    found = json.loads(entropy(f"{SMALL} --json -c {tmp_path}/entropy.toml --policy {policy}", capsys, monkeypatch).out)
    scene = found["scene"]
    assert (scene["step"], scene["headroom"], scene["objective"], scene["policy"]) == (120, 0.3, "repair", str(policy))
    assert found["entropy"]["rounds"] == 45


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--hours 0", ["--hours", "is 0"]),
        ("--hours nan", ["--hours", "is nan"]),
        ("--step 1", ["--step", "is 1", "10 to 86400"]),
        ("--headroom 2", ["--headroom", "0 to 0.9"]),
        ("--speed 0.1", ["--speed"]),
        ("--objective fast", ["--objective", "'fast'", "repair, consolidate, balance"]),
        ("--nodes 1 --vms 100", ["--nodes", "100 VMs need", "1 node offer", "GiB", "more nodes"]),
        ("--trace nowhere.csv", ["nowhere.csv", "No such file"]),
        ("--policy nowhere.yaml", ["nowhere.yaml"]),
        ("-c nowhere.toml", ["nowhere.toml"]),
        ("--nodes x", ["--nodes"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    options: str, words: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entropy(f"simulate {options}", capsys, monkeypatch)
    assert found.code == 2
    assert found.out == ""
    for word in words:
        assert word in found.err


def test_a_trace_cannot_be_longer_than_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("10,20,30\n")
    found = entropy(f"simulate --trace {tmp_path}/t.csv --hours 3", capsys, monkeypatch)
    assert found.code == 2
    assert "lasts 0.25 hours" in found.err


def test_an_interruption_still_sums_up_what_was_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def interrupting(self: object, rehearsal: Rehearsal) -> None:
        nonlocal calls
        if len(rehearsal.meter.in_use) >= 30:
            calls += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(Pace, "tick", interrupting)
    found = entropy(SMALL, capsys, monkeypatch)
    assert found.code == 130
    assert calls
    assert found.out.startswith("Stopped after 0.5 of 1.5 hours of 5 nodes")


def test_the_pace_holds_a_run_back_and_never_hurries_it() -> None:
    class World:
        def __init__(self) -> None:
            self.at = 0.0

        def now(self) -> float:
            return self.at

    class Run:
        world = World()

    real, slept = [100.0], list[float]()
    pace = Pace(60.0, lambda: real[0], slept.append)
    pace.tick(Run())  # type: ignore[arg-type]
    Run.world.at, real[0] = 120.0, 101.5
    pace.tick(Run())  # type: ignore[arg-type]
    real[0] = 110.0
    pace.tick(Run())  # type: ignore[arg-type]
    assert slept == [0.5]


# -- the summary ---------------------------------------------------------------------------------------------------


def figures(in_use: int, **changes: object) -> Figures:
    values: dict[str, object] = {
        "seconds": 7200.0, "period": 60.0, "in_use": (in_use,) * 120, "overloaded": (0,) * 120, "node_hours": in_use * 2.0,
        "overload_minutes": 0.0, "migrations": 10, "moved_memory": 20480.0, "failed_actions": 0, "rounds": 24, "plans": 2,
        "decision_seconds": (0.01, 0.02, 0.5), "incidents": (), "mistakes": (),
    }  # fmt: skip
    return Figures(**(values | changes))  # type: ignore[arg-type]


def baseline(in_use: int, migrations: int = 0, moved: float = 0.0, overload: float = 0.0) -> Baseline:
    import numpy as np

    return Baseline(
        in_use=(in_use,) * 120, period=60.0, hosts=np.zeros(0, dtype=np.int64), migrations=migrations, moved_memory=moved,
        overload_minutes=overload,
    )  # fmt: skip


def summary(mine: Figures, static: Baseline, repacked: Baseline) -> Summary:
    return Summary(scene={}, title="Simulated", step=300.0, entropy=mine, static=static, repacked=repacked, took=41.0)


def test_the_sentence_says_what_was_won_and_what_packing_anew_would_cost() -> None:
    found = summary(figures(6), baseline(10), baseline(5, 400, 819200.0)).sentence()
    assert found == (
        "Entropy saved 8 of the 20 node-hours of static allocation (40 %) with 10 migrations, 20 GiB moved. "
        "Packing anew (FFD) every 5 min would use 2 node-hours less, with 400 migrations and 800 GiB moved, 40 times what Entropy moved. "
        "No node was overloaded at any time."
    )


def test_the_sentence_admits_when_nothing_was_won() -> None:
    found = summary(figures(12, overload_minutes=6.0), baseline(10, overload=1.0), baseline(12)).sentence()
    assert found == (
        "Entropy used 4 node-hours more than static allocation (20 %): nothing was won. "
        "Packing anew (FFD) every 5 min would use as many node-hours, with no migration. "
        "Nodes were overloaded for 6 node-minutes, 0.42 % of their time in use (static: 1, FFD: 0)."
    )


def test_the_table_shows_all_three_and_what_deciding_took() -> None:
    text = summary(figures(6, failed_actions=3, mistakes=("RuntimeError: a fault",)), baseline(10), baseline(5, 400, 819200.0)).text()
    assert "in 41 s." in text
    assert "deciding took 20 ms (median), 500 ms at most" in text
    assert "A round failed inside Entropy: RuntimeError: a fault" in text
    rows = {line[:24].strip(): line[24:].split() for line in text.splitlines() if line.startswith("  ")}
    assert rows["node-hours"] == ["12", "20", "10"]
    assert rows["migrations"] == ["10", "0", "400"]
    assert rows["failed actions"] == ["3", "-", "-"]


# -- the picture ---------------------------------------------------------------------------------------------------


def scene(nodes: int = 40, moves: int = 2, sentence: str = "Watching 40 nodes, 200 VMs.") -> Scene:
    loads = [NodeLoad(node=n, cpu=8.0, memory=32768.0, vms=5) for n in make_nodes(nodes)]
    loads[1] = NodeLoad(node=loads[1].node)
    loads[2] = NodeLoad(node=loads[2].node, cpu=16.7, memory=32768.0, vms=5)
    loads[3] = NodeLoad(node=loads[3].node, cpu=4.0, memory=8192.0, vms=2, entering=1)
    return Scene(
        title="24 hours of 40 nodes and 200 VMs", sentence=sentence, warning=False, glance=Glance(at=48300.0, nodes=tuple(loads)),
        in_use=[20] * 700, periods=1440, period=60.0, static=31, migrations=12, moved_memory=40960.0,
        moves=tuple(Move(text=f"web-{k}  2 GiB  n01 → n04", done=0.4) for k in range(moves)),
        changes=(Said(300.0, "info", "Plan 1: 6 moves, 41 GiB, about 70 s; frees n07."), Said(600.0, "warning", "Plan 2. " * 40)),
    )  # fmt: skip


def drawn(it: Scene, width: int, height: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=height, force_terminal=False, legacy_windows=False).print(frame(it, width, height))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (100, 30), (120, 36), (200, 60)])
@pytest.mark.parametrize("nodes", [6, 40, 400])
@pytest.mark.parametrize("moves", [0, 40])
def test_the_picture_fits_every_terminal(width: int, height: int, nodes: int, moves: int) -> None:
    lines = drawn(scene(nodes, moves, sentence="A long sentence. " * 30), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("● A long sentence.")


def test_overloaded_empty_and_receiving_nodes_are_told_apart_without_colour() -> None:
    text = "\n".join(drawn(scene(), 120, 36))
    assert " n01 ▮▮▯▯▯" in text
    assert " n02 empty" in text
    assert "!n03 " in text
    assert "104%" in text
    assert "▸n04 " in text
    assert "overloaded ! 1" in text
    assert "nodes in use 39 (static 31)" in text
    assert "13:25" in text
    assert "under way: 2 moves" in text


def test_the_newest_change_comes_first() -> None:
    lines = drawn(scene(), 120, 40)
    first = next(k for k, line in enumerate(lines) if "00:10" in line)
    assert first < next((k for k, line in enumerate(lines) if "00:05" in line), len(lines))


def test_bars_are_never_empty_with_something_in_them_nor_full_with_room_left() -> None:
    assert charts.bar(0.01, 5) == "▮▯▯▯▯"
    assert charts.bar(0.99, 5) == "▮▮▮▮▯"
    assert (charts.bar(0, 5), charts.bar(1, 5), charts.bar(1.3, 5)) == ("▯▯▯▯▯", "▮▮▮▮▮", "▮▮▮▮▮")
    assert charts.thin(0.5, 4) == "▂▂··"
    assert [charts.level(s) for s in (0, 0.01, 0.5, 1, 2)] == [" ", "▁", "▄", "█", "█"]


def test_curves_are_means_of_what_there_is_so_far() -> None:
    assert charts.resampled([1, 3, 5, 7], 2, 4) == [2, 6]
    assert charts.resampled([1, 3], 4, 8) == [2]
    assert charts.resampled([], 4, 8) == []
    assert charts.resampled([5], 3, 1) == [5, 5, 5]
    rows = charts.area([4, 2], line=4, width=3, height=2, top=4)
    assert rows == [("█  ", "╌╌╌"), ("██ ", "·· ")]


@pytest.mark.parametrize(("at", "text"), [(0, "00:00"), (48300, "13:25"), (86400 + 60, "day 2 00:01")])
def test_the_clock_counts_days(at: float, text: str) -> None:
    assert clock(at) == text


def test_an_empty_cluster_can_be_drawn() -> None:
    nothing = Scene(
        title="nothing", sentence="", warning=True, glance=Glance(at=0.0, nodes=()), in_use=[], periods=60, period=60.0, static=0,
        migrations=0, moved_memory=0.0, moves=(), changes=(),
    )  # fmt: skip
    assert drawn(nothing, 80, 24)
