"""The configuration in its three syntaxes, every original key, and what a wrong one is told."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from entropy.control import original_keys
from entropy.control.settings import Settings, load_settings
from entropy.control.settings_files import SEARCHED, find_file, known_keys
from entropy.model.errors import InputError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTROPY_CONFIG", raising=False)


def read(folder: Path, name: str, text: str) -> Settings:
    (folder / "config").mkdir(exist_ok=True)
    path = folder / "config" / name
    path.write_text(text)
    return load_settings(str(path))


def refused(folder: Path, name: str, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, name, text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_original_file_with_only_the_first_two_keys_is_complete(tmp_path: Path) -> None:
    found = read(tmp_path, "entropy.properties", "gmetad.host = frontend\ngmetad.port = 8652\n")
    assert found.monitoring.adapter == "ganglia"
    assert found.adapter_settings() == {"host": "frontend", "port": 8652}
    assert found.loop.simplify.activate
    assert found.loop.simplify.threshold == 500
    assert found.loop.time_limit == 120  # 60 s for each of the original's two problems
    assert found.log_file == tmp_path / "logs/entropy.log"
    assert found.warnings == ()


def test_an_empty_file_means_every_default(tmp_path: Path) -> None:
    for name in ("entropy.toml", "entropy.yaml", "entropy.properties"):
        assert read(tmp_path, name, "").adapter_settings() == {}
    assert not read(tmp_path, "entropy.toml", "").loop.simplify.activate


def test_comments_continued_lines_and_colons_are_read_as_java_does(tmp_path: Path) -> None:
    text = "# a comment\n! another\n\ngmetad.host : a\\\n   b\n  gmetad.port\t8652\nloop.objective =\u0020repair\n"
    found = read(tmp_path, "entropy.properties", text)
    assert found.adapter_settings() == {"host": "ab", "port": 8652}
    assert found.loop.objective == "repair"


@pytest.mark.parametrize("name", ["entropy.properties", "entropy.toml"])
def test_the_shipped_examples_are_read_and_what_they_comment_out_are_the_defaults(tmp_path: Path, name: str) -> None:
    text = (resources.files("entropy.control.distribution") / name).read_text()
    found = read(tmp_path, name, text)
    assert found.adapter_settings() == {"host": "localhost", "port": 8651}
    shown = re.sub(r"^#(?=[\w.]+ = |\[)", "", text, flags=re.MULTILINE)
    assert shown.count("\n#") < text.count("\n#")
    drivers = {"default", "ssh"}  # examples, not defaults
    plain, full = found.model_dump(), read(tmp_path, name, shown).model_dump()
    assert {key for key in full["drivers"] if full["drivers"][key]} <= drivers
    for section in ("loop", "execution", "log"):
        assert full[section].keys() == plain[section].keys()
        changed = {key: value for key, value in full[section].items() if plain[section][key] not in (value, None)}
        assert changed == {}


def test_the_three_syntaxes_say_the_same(tmp_path: Path) -> None:
    toml = read(
        tmp_path,
        "entropy.toml",
        'log = {level = "debug"}\n[monitoring.ganglia]\nhost = "h"\n[loop]\ncoolDown = 90\nreconfigure = false\n'
        'timeLimit = 120\n[loop.simplify]\nactivate = true\n[drivers]\ndefault = "ssh"\n[execution]\nmaxParallel = 3\n'
        '[durations]\nmigrate = "VM#memory / 10"\n"suspend@local" = "4"\n',
    )
    yaml = read(
        tmp_path,
        "entropy.yaml",
        "log: {level: debug}\nmonitoring: {ganglia: {host: h}}\nloop: {coolDown: 90, reconfigure: false, timeLimit: 120,"
        " simplify: {activate: true}}\ndrivers: {default: ssh}\nexecution: {maxParallel: 3}\n"
        "durations: {migrate: VM#memory / 10, suspend@local: '4'}\n",
    )
    properties = read(
        tmp_path,
        "entropy.properties",
        "log.level = debug\ngmetad.host = h\nloop.coolDown = 90\ncontrolLoop.custom.reconfigure = false\n"
        "drivers.default = ssh\nexecution.maxParallel = 3\nplan.action.duration.migrate = VM#memory / 10\n"
        "plan.action.duration.suspend@local = 4\n",
    )
    assert toml.model_dump() == yaml.model_dump() == properties.model_dump()
    assert toml.execution.max_parallel == 3
    assert toml.durations == {"migrate": "VM#memory / 10", "suspend@local": "4"}


SAMPLES = {
    "gmetad.host": "h", "gmetad.port": "1", "dynamicConsolidation.simplify.activate": "false", "decision.simplify.activate": "false",
    "monitoring.impl": "ganglia", "monitoring.adapter.impl": "entropy.monitoring.ganglia.GangliaAdapterBuilder",
    "monitoring.simplify.cpu.impl": "CPUBurning", "controlLoop.custom.reconfigure": "false",
}  # fmt: skip


@pytest.mark.parametrize("key", [*original_keys.ORIGINAL, *original_keys.SOLVING_TIMES, *original_keys.MEANINGLESS])
def test_every_original_key_is_accepted_and_either_changes_its_setting_or_says_why_it_means_nothing(tmp_path: Path, key: str) -> None:
    plain = read(tmp_path, "entropy.properties", "")
    found = read(tmp_path, "entropy.properties", f"{key} = {SAMPLES.get(key, '42')}\n")
    if key in original_keys.MEANINGLESS:
        assert found.model_dump() == plain.model_dump()
        assert found.warnings[0].startswith(f"{found.file}: {key} is ignored: ")
    else:
        assert found.warnings == ()
        default = {"monitoring.impl", "monitoring.adapter.impl", "monitoring.simplify.cpu.impl"}  # the samples are the defaults
        assert (found.model_dump() == plain.model_dump()) == (key in default)


def test_solving_times_add_up_and_one_that_is_not_given_has_the_originals_default(tmp_path: Path) -> None:
    def limit(text: str) -> float:
        return read(tmp_path, "entropy.properties", text).loop.time_limit

    assert limit("dynamicConsolidation.vmpp.solvingTime = 5") == 65
    assert limit("dynamicConsolidation.vmpp.solvingTime = 5\ndynamicConsolidation.vmrp.solvingTime = 7") == 12
    assert limit("controlLoop.custom.planTimeout = 20") == 30
    assert "above 0" in refused(tmp_path, "entropy.properties", "dynamicConsolidation.vmpp.solvingTime = soon")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.properties", "gmetad.hots = h", ("a.properties: gmetad.hots", "no known key", "gmetad.host")),
        ("a.properties", "dynamicConsolidation.simplify.treshold = 1", ("dynamicConsolidation.simplify.threshold",)),
        ("a.properties", "gmetad.port = many", ("gmetad.port", "'many'", "1 to 65535")),
        ("a.properties", "gmetad.host = a\ngmetad.host = b", ("gmetad.host", "twice")),
        ("a.properties", "loop.interval = 5\ncontrolLoop.sleepDelay = 6", ("controlLoop.sleepDelay", "loop.interval")),
        ("a.properties", "dynamicConsolidation.simplify.activate = perhaps", ("simplify.activate", "true or false")),
        ("a.toml", "[loop]\ninterval = 0\n", ("loop.interval", "is 0", "above 0")),
        ("a.toml", "[loop]\nhedroom = 0.2\n", ("loop.hedroom", "loop.headroom")),
        ("a.toml", "[loop]\nheadroom = 1\n", ("loop.headroom", "below 1")),
        ("a.toml", "[loop]\ncoolDown = inf\n", ("loop.coolDown",)),
        ("a.toml", "loop = 3", ("loop", "a table of keys")),
        ("a.toml", "[loop\n", ("a.toml", "no TOML", "line 1")),
        ("a.yaml", "loop: [", ("a.yaml:", "no YAML")),
        ("a.yaml", "- 1\n", ("a.yaml", "no mapping")),
        ("a.yaml", "execution: {maxParalel: 3}", ("execution.maxParalel", "execution.maxParallel")),
        ("a.yaml", "monitoring: {nodesBlacklist: a, nodesWhitelist: b}", ("nodesWhitelist", "exclude each other")),
        ("a.yaml", "log: {level: loud}", ("log.level", "debug, info, warning")),
        ("a.ini", "x = 1", (".ini", ".properties")),
    ],
)
def test_what_is_wrong_is_said_with_file_key_value_and_what_is_accepted(
    tmp_path: Path, name: str, text: str, words: tuple[str, ...]
) -> None:
    message = refused(tmp_path, name, text)
    for word in words:
        assert word in message


def test_the_environment_beats_the_file_and_is_named_when_it_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTROPY_LOOP__COOL_DOWN", "5")
    monkeypatch.setenv("ENTROPY_MONITORING__GANGLIA__HOST", "elsewhere")
    found = read(tmp_path, "entropy.toml", "[loop]\ncoolDown = 60\ninterval = 7\n[monitoring.ganglia]\nhost = 'here'\nport = 1\n")
    assert (found.loop.cool_down, found.loop.interval) == (5, 7)
    assert found.adapter_settings() == {"host": "elsewhere", "port": 1}
    monkeypatch.setenv("ENTROPY_LOOP__COOL_DOWN", "never")
    assert refused(tmp_path, "entropy.toml", "").startswith("$ENTROPY_LOOP__COOL_DOWN: is 'never'")


def test_where_a_configuration_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if not Path("/etc/entropy/entropy.toml").exists():
        with pytest.raises(InputError, match=r"no configuration found.*entropy init"):
            find_file(None, {})
    (tmp_path / "config").mkdir()
    for name in reversed(SEARCHED[:3]):
        (tmp_path / name).write_text("")
        assert find_file(None, {}) == Path(name)
    assert find_file(None, {"ENTROPY_CONFIG": "other.toml"}) == Path("other.toml")
    assert find_file("mine.toml", {"ENTROPY_CONFIG": "other.toml"}) == Path("mine.toml")
    assert "cannot be read" in refused_path("missing.toml")


def refused_path(path: str) -> str:
    with pytest.raises(InputError) as caught:
        load_settings(path)
    return str(caught.value)


def test_relative_paths_start_at_the_distribution_folder(tmp_path: Path) -> None:
    found = read(tmp_path, "entropy.toml", "[policy]\nfile = 'rules/p.yaml'\n[monitoring]\nnodesBlacklist = 'config/black'\n")
    assert found.home == tmp_path
    assert found.policy_file == tmp_path / "rules/p.yaml"
    assert found.state_directory == tmp_path / "state"
    assert found.journal_url == f"sqlite:///{tmp_path}/state/journal.sqlite"
    assert found.adapter_settings()["nodesBlacklist"] == str(tmp_path / "config/black")
    elsewhere = tmp_path / "conf.toml"
    elsewhere.write_text("")
    assert load_settings(str(elsewhere)).home == tmp_path


def test_a_policy_beside_the_configuration_is_read_without_being_named(tmp_path: Path) -> None:
    assert read(tmp_path, "entropy.toml", "").policy_file is None
    (tmp_path / "config/policy.yaml").write_text("apiVersion: entropy/v1\nkind: Policy\n")
    assert read(tmp_path, "entropy.toml", "").policy_file == tmp_path / "config/policy.yaml"


def test_every_key_is_explained_in_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    assert [key for key in known_keys() if f"`{key}`" not in text] == []
