"""``entropy check``: everything that can be asked before the first start, with yes, no, or how to mend it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass

import orjson

from entropy.control.lenient import lenient
from entropy.control.lock import prepare
from entropy.control.settings import Settings
from entropy.control.wiring import adapter_of, directory_of, durations_of, read_policy
from entropy.model.amounts import count
from entropy.model.cluster import Cluster
from entropy.model.errors import EntropyError, InputError
from entropy.platforms.base import ConfigurationAdapter, Probe

__all__ = ["CheckReport", "run_check"]


@dataclass(frozen=True)
class CheckReport:
    """The answers.  ``ok``: nothing says no (what cannot be asked does not)."""

    probes: tuple[Probe, ...]

    @property
    def ok(self) -> bool:
        """Nothing says no."""
        return all(probe.ok is not False for probe in self.probes)

    def as_json(self) -> str:
        """``{"ok": ..., "answers": [...]}``."""
        return orjson.dumps({"ok": self.ok, "answers": [asdict(probe) for probe in self.probes]}, option=orjson.OPT_INDENT_2).decode()

    def as_text(self) -> str:
        """One sentence, then one line an answer, with how to mend it."""
        lines = [self._sentence()]
        for probe in self.probes:
            answer = {True: "yes", False: "NO ", None: " ? "}[probe.ok]
            lines.append(f"  {answer}  {probe.question}" + (f": {probe.detail}" if probe.detail else ""))
            if probe.mend and probe.ok is not True:
                lines.append(f"       -> {probe.mend}")
        return "\n".join(lines)

    def _sentence(self) -> str:
        wrong, unknown = (sum(probe.ok is value for probe in self.probes) for value in (False, None))
        rest = f"; {count(unknown, 'question')} could not be asked" if unknown else ""
        if wrong:
            return f"Not ready: {wrong} of {count(len(self.probes), 'answer')} say no{rest}."
        return f"Ready to start{rest}."


def run_check(settings: Settings) -> CheckReport:
    """Ask everything; changes nothing on the cluster."""
    with contextlib.chdir(settings.home):
        return asyncio.run(_check(settings))


async def _check(settings: Settings) -> CheckReport:
    probes = [Probe(question="configuration read", ok=True, detail=str(settings.file))]
    probes += [Probe(question="configuration", ok=None, detail=text) for text in settings.warnings]
    probes += _local(settings)
    try:
        adapter = adapter_of(settings)
    except EntropyError as problem:
        return CheckReport((*probes, Probe(question=f"monitoring ({settings.monitoring.adapter})", ok=False, detail=str(problem))))
    try:
        asked = await adapter.probe()
        probes += asked
        cluster, answers = await _observed(adapter, said=any(probe.ok is False for probe in asked))
        probes += answers
    finally:
        await adapter.close()
    if cluster is not None:
        probes += _policy(settings, cluster)
        probes += await _drivers(settings, cluster)
    return CheckReport(tuple(probes))


def _local(settings: Settings) -> Iterator[Probe]:
    """What this machine alone can answer."""
    yield _asked("durations readable", lambda: _durations(settings))
    yield _asked("policy readable", lambda: f"{count(len(read_policy(settings).constraints), 'rule')}, {settings.policy_file or 'no file'}")
    yield _asked("state directory writable", lambda: _writable(settings), "give the user who runs Entropy the right to write there")
    yield _asked("log folder writable", lambda: _log(settings), "give the user who runs Entropy the right to write there")


def _durations(settings: Settings) -> str:
    durations_of(settings)
    return count(len(settings.durations), "expression") if settings.durations else ""


def _writable(settings: Settings) -> str:
    prepare(settings.state_directory)
    probe = settings.state_directory / ".check"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where=str(settings.state_directory)) from problem
    return str(settings.state_directory)


def _log(settings: Settings) -> str:
    try:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        with settings.log_file.open("ab"):
            pass
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror}", where=str(settings.log_file)) from problem
    return str(settings.log_file)


def _asked(question: str, ask: Callable[[], str], mend: str = "") -> Probe:
    try:
        return Probe(question=question, ok=True, detail=ask())
    except EntropyError as problem:
        return Probe(question=question, ok=False, detail=str(problem), mend=mend)


async def _observed(adapter: ConfigurationAdapter, said: bool) -> tuple[Cluster | None, list[Probe]]:
    try:
        seen = await adapter.observe()
    except EntropyError as problem:
        return None, [
            Probe(
                question="cluster observed",
                ok=False,
                detail="" if said else str(problem),
                mend="the drivers are asked once monitoring answers",
            )
        ]
    cluster = seen.cluster
    found = bool(cluster.nodes)
    answers = [
        Probe(
            question="cluster observed",
            ok=found,
            detail=f"{count(len(cluster.nodes), 'node')}, {count(len(cluster.vms), 'VM')}",
            mend="" if found else "no node publishes what it runs: start entropy-ganglia-agent on the physical hosts",
        )
    ]
    return cluster, answers + [Probe(question="observation", ok=None, detail=text) for text in seen.warnings]


def _policy(settings: Settings, cluster: Cluster) -> Iterator[Probe]:
    try:
        policy = read_policy(settings)
    except InputError:
        return  # said already
    _, lost = lenient(policy, cluster)
    yield Probe(
        question="policy names what exists",
        ok=None if lost else True,
        detail="; ".join(lost[:3]),
        mend="mend the names, or leave it: the loop covers what exists" if lost else "",
    )


async def _drivers(settings: Settings, cluster: Cluster) -> list[Probe]:
    try:
        directory = directory_of(settings)
    except EntropyError as problem:
        return [Probe(question="drivers", ok=False, detail=str(problem))]
    try:
        return list(await _answers(directory.probe(cluster)))
    finally:
        await directory.close()


async def _answers(asked: Awaitable[tuple[Probe, ...]]) -> tuple[Probe, ...]:
    try:
        return await asked
    except EntropyError as problem:
        return (Probe(question="drivers", ok=False, detail=str(problem)),)
