"""Which driver acts on a node for an operation, and what is said where none can."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import pytest

from entropy.model.cluster import VM, Cluster, Node
from entropy.model.errors import InputError, PlatformError
from entropy.model.plan import Action
from entropy.platforms import directory as directory_module
from entropy.platforms.base import Driver, Endpoint, Probe
from entropy.platforms.directory import DriverDirectory, NoDriverError


class Recorder(Driver):
    """Offers everything but node power, and writes down what it is asked."""

    made: ClassVar[list[Recorder]] = []

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.calls, self.closed = dict(settings), [], 0
        Recorder.made.append(self)

    calls: list[tuple[str, ...]]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        if "wrong" in settings:
            raise InputError("is no known key", path="wrong", accepted="right")
        return cls(settings)

    async def migrate(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        self.calls.append(("migrate", vm, source.name, target.name, target.labels.get("address", "")))

    async def run(self, vm: str, node: Endpoint) -> None:
        self.calls.append(("run", vm, node.name))

    async def stop(self, vm: str, node: Endpoint) -> None:
        self.calls.append(("stop", vm, node.name))

    async def suspend(self, vm: str, node: Endpoint) -> None:
        self.calls.append(("suspend", vm, node.name))

    async def resume(self, vm: str, source: Endpoint, target: Endpoint) -> None:
        self.calls.append(("resume", vm, source.name, target.name))

    async def busy(self, vm: str, node: Endpoint) -> bool | None:
        return vm == "moving"

    async def probe(self, nodes: tuple[Endpoint, ...]) -> tuple[Probe, ...]:
        if self.settings.get("broken"):
            raise PlatformError("no answer")
        return (Probe(question=", ".join(n.name for n in nodes), ok=True),)

    async def close(self) -> None:
        self.closed += 1


class Power(Recorder):
    """Also starts nodes."""

    async def startup(self, node: Endpoint) -> None:
        self.calls.append(("startup", node.name))


KINDS = {"recorder": Recorder, "power": Power}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two drivers beside those that are really installed."""
    load, registered = directory_module.load_driver, directory_module.registered
    monkeypatch.setattr(directory_module, "load_driver", lambda name: KINDS.get(name) or load(name))
    monkeypatch.setattr(directory_module, "registered", lambda group: tuple(sorted({*registered(group), *KINDS})))
    Recorder.made.clear()


def cluster(**labels: Mapping[str, str]) -> Cluster:
    """Nodes n1, n2, n3, with labels where some are given."""
    nodes = tuple(Node(name=n, capacity={"cpu": 4, "memory": 4096}, labels=labels.get(n, {})) for n in ("n1", "n2", "n3"))
    return Cluster(nodes=nodes, vms=(VM(name="v", node="n1", demand={"memory": 512}),))


def migrate(source: str = "n1", target: str = "n2") -> Action:
    return Action(id="a", type="migrate", vm="v", source=source, target=target)


def on(type_: Any, node: str = "n1") -> Action:
    vm = None if type_ in ("startup", "shutdown") else "v"
    return Action(id="a", type=type_, vm=vm, node=node)


BOTH = {"one": {"kind": "recorder"}, "two": {"kind": "power"}}


def chosen(action: Action, default: str | None = None, **labels: Mapping[str, str]) -> str:
    return DriverDirectory(BOTH, default).for_action(action, cluster(**labels))[1]


def test_of_a_migration_the_source_s_driver_counts() -> None:
    labels = {"n1": {"driver.migration": "one"}, "n2": {"driver.migration": "two"}}
    assert chosen(migrate("n1", "n2"), **labels) == "one"
    assert chosen(migrate("n2", "n1"), **labels) == "two"


def test_of_a_resume_the_destination_s_driver_counts() -> None:
    labels = {"n1": {"driver.migration": "one"}, "n2": {"driver.migration": "two"}}
    assert chosen(Action(id="a", type="resume", vm="v", source="n1", target="n2"), **labels) == "two"


def test_the_operation_s_own_label_then_migration_s_then_the_default() -> None:
    assert chosen(on("run"), "one", n1={"driver.run": "two", "driver.migration": "one"}) == "two"
    assert chosen(on("run"), "one", n1={"driver.migration": "two"}) == "two"
    assert chosen(on("run"), "one") == "one"
    assert chosen(on("startup"), "two", n1={"driver.migration": "one"}) == "two"  # one cannot start nodes
    assert chosen(on("startup"), "one", n1={"driver.migration": "two"}) == "two"
    assert chosen(migrate(), "one", n1={"driver.run": "two"}) == "one"


def test_one_instance_an_id_and_all_are_closed() -> None:
    async def story() -> None:
        found = DriverDirectory(BOTH, "one")
        one, _ = found.for_action(migrate(), cluster())
        again, _ = found.for_action(on("stop"), cluster())
        assert one is again
        assert [type(d).__name__ for d in Recorder.made] == ["Recorder", "Power"]
        await found.close()
        assert [d.closed for d in Recorder.made] == [1, 1]

    asyncio.run(story())


def test_perform_calls_the_method_with_the_nodes_labels() -> None:
    async def story() -> None:
        found = DriverDirectory(BOTH, "two")
        seen = cluster(n2={"address": "192.0.2.2"})
        await found.perform(migrate(), seen)
        for type_ in ("run", "stop", "suspend", "startup"):
            await found.perform(on(type_), seen)
        await found.perform(Action(id="a", type="resume", vm="v", source="n1", target="n2"), seen)
        assert Recorder.made[1].calls == [
            ("migrate", "v", "n1", "n2", "192.0.2.2"),
            ("run", "v", "n1"),
            ("stop", "v", "n1"),
            ("suspend", "v", "n1"),
            ("startup", "n1"),
            ("resume", "v", "n1", "n2"),
        ]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("action", "default", "labels", "sentence"),
    [
        (migrate(), None, {}, r"drivers.default: node n1: no driver to migrate: the node has no label driver.migration"),
        (on("startup"), "one", {}, r"drivers.one: node n1: its driver one \(the default\) cannot startup .*label driver.startup"),
        (on("shutdown"), None, {"driver.migration": "two"}, r"node n1: its driver two .* cannot shutdown"),
        (migrate(), None, {"driver.migration": "xenapi"}, r"drivers.xenapi: node n1: .*xenapi is not offered yet.*drivers.xenapi.kind"),
        (migrate(), None, {"driver.migration": "vmotion"}, r"drivers.vmotion: node n1: .*'vmotion' is no driver .*libvirt.*one.*two"),
        (on("run"), None, {"driver.run": "sshResume"}, r"drivers.sshResume.run: node n1: .* cannot run \(accepted: a command\)"),
        (migrate("n9"), "one", {}, r"node n9 is not in the cluster"),
    ],
)
def test_no_driver_fits(action: Action, default: str | None, labels: Mapping[str, str], sentence: str) -> None:
    found = DriverDirectory(BOTH, default)
    with pytest.raises(NoDriverError, match=sentence) as caught:
        asyncio.run(found.perform(action, cluster(n1=labels)))
    assert isinstance(caught.value, InputError)  # nobody was asked
    assert isinstance(caught.value, PlatformError)


@pytest.mark.parametrize(
    ("settings", "default", "sentence"),
    [
        ({"one": {"kind": "recorder", "wrong": 1}}, None, r"^one.wrong: is no known key \(accepted: right\)"),
        ({"one": {"kind": "nonsense"}}, None, r"^one.kind: 'nonsense' is no driver that is installed here \(accepted: .*libvirt"),
        ({"one": {}}, None, r"^one: 'one' is no driver that is installed here"),
        ({"one": "recorder"}, None, r"^one: is 'recorder' \(accepted: a table"),
        ({}, "nonsense", r"nonsense: 'nonsense' is no driver"),
        ({}, "xenapi", r"not offered yet"),
        ({"ssh": {"migrate": "xl migrate $WHAT"}}, None, r"^ssh: migrate = 'xl migrate \$WHAT' uses \$WHAT"),
        ({"sshMigration": {"command": "xm migrate '$VM'"}}, None, r"^sshMigration: migrate = .* inside '"),
        ({"libvirt": {"uri": "qemu+ssh://{host}/system"}}, None, r"^libvirt.uri: .*uses {host}; accepted: {node} and {address}"),
        ({"libvirt": {"nodes": {"n1": {"url": "x"}}}}, None, r"^libvirt.nodes.n1.url: is no known key"),
    ],
)
def test_a_wrong_section_shows_at_the_start(settings: Any, default: str | None, sentence: str) -> None:
    if "libvirt" in settings:
        pytest.importorskip("libvirt")
    with pytest.raises(InputError, match=sentence):
        DriverDirectory(settings, default)


def command(found: DriverDirectory, id_: str, operation: str) -> str | None:
    action = migrate() if operation == "migrate" else on(operation)
    driver, name = found.for_action(action, cluster(n1={f"driver.{'migration' if operation == 'migrate' else operation}": id_}))
    assert name == id_
    template = driver._settings.command(operation)  # type: ignore[attr-defined]
    return template and template.text


def test_the_original_s_ids_are_ssh_commands() -> None:
    found = DriverDirectory({})
    assert command(found, "xen", "migrate") == "xl migrate $VM $DESTINATION"
    assert command(found, "sshMigration", "migrate") == "xm migrate -l $VM $DESTINATION"
    assert command(found, "sshRun", "run") == "xm create -f /VMs/$VM"
    assert command(found, "sshStop", "stop") == "xm destroy $VM"
    with pytest.raises(NoDriverError, match=r"drivers.sshShutdown.shutdown"):
        command(found, "sshShutdown", "shutdown")


def test_the_original_s_keys_reach_them() -> None:
    """``driver.sshMigration.command`` and ``auth.*`` arrive in the section ssh; a section of the id's own beats it."""
    shared = {"ssh": {"migrate": "mine $VM", "shutdown": "poweroff", "username": "xen", "privateKey": "/k"}}
    found = DriverDirectory(shared | {"sshStop": {"command": "halt $VM"}})
    assert command(found, "sshMigration", "migrate") == "mine $VM"
    assert command(found, "sshShutdown", "shutdown") == "poweroff"
    assert command(found, "sshStop", "stop") == "halt $VM"
    assert command(found, "xen", "migrate") == "xl migrate $VM $DESTINATION"
    driver, _ = found.for_action(migrate(), cluster(n1={"driver.migration": "sshMigration"}))
    assert driver._settings.username == "xen"  # type: ignore[attr-defined]
    assert not driver.offers("shutdown")


def test_busy() -> None:
    async def story() -> None:
        found = DriverDirectory(BOTH, "one")
        assert await found.busy("moving", "n1", cluster()) is True
        assert await found.busy("v", "n1", cluster()) is False
        assert await found.busy("v", "n9", cluster()) is None
        assert await DriverDirectory({}).busy("v", "n1", cluster()) is None

    asyncio.run(story())


def test_probe_asks_each_driver_for_its_nodes() -> None:
    async def story() -> None:
        seen = cluster(n1={"driver.migration": "one"}, n2={"driver.migration": "two"}, n3={"driver.migration": "xenapi"})
        answers = await DriverDirectory({"one": {"kind": "recorder"}, "two": {"kind": "power", "broken": True}}).probe(seen)
        assert [(p.question, p.ok) for p in answers] == [
            ("n3: a driver for migrations", False),
            ("n1", True),
            ("driver two", False),
        ]

    asyncio.run(story())
