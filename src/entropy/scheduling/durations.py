"""How long an action is expected to take.  A forecast: no plan's safety rests on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from entropy.model.cluster import VM, Node
from entropy.model.errors import InputError
from entropy.scheduling.expressions import EvaluationError, Expression, parse

__all__ = ["KEYS", "PREFIX", "DurationModel"]

PREFIX = "plan.action.duration."
"""What stands before a key in the original's configuration files."""
KEYS = ("migrate", "run", "stop", "suspend@local", "resume@local", "resume@remote", "startup", "shutdown")
"""The durations that an expression can replace; ``forge`` is the original's as well, and without meaning here."""
_IGNORED = ("forge",)

LATENCY = 1.0
"""Seconds that a migrate, suspend or resume takes beside its memory."""
BANDWIDTH = 125.0
"""MiB/s at which memory is copied or written: one gigabit a second, nearly."""
_FIXED = {"run": 5.0, "stop": 2.0, "startup": 60.0, "shutdown": 30.0}
_LONGEST = 1e12

_CPUS = ("cpus", "cpuNum", "cpu_num")
_NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")


def _cpus(labels: Mapping[str, str], otherwise: float) -> float:
    """The number of CPUs where a label states it (text configurations, Ganglia), else the amount of cpu, at least 1."""
    for key in _CPUS:
        if _NUMBER.fullmatch(stated := labels.get(key, "")):
            return float(stated)
    return max(1.0, float(-(-otherwise // 1)))


_OF_VM: Mapping[str, Callable[[VM], float]] = {
    "VM#memory": lambda vm: vm.demand.get("memory", 0.0),
    "VM#cpu_consumption": lambda vm: vm.used("cpu"),
    "VM#cpu_demand": lambda vm: vm.demand.get("cpu", 0.0),
    "VM#cpu_nb": lambda vm: _cpus(vm.labels, vm.demand.get("cpu", 0.0)),
}
_OF_NODE: Mapping[str, Callable[[Node], float]] = {
    "node#memory": lambda node: node.capacity.get("memory", 0.0),
    "node#cpu_capacity": lambda node: node.capacity.get("cpu", 0.0),
    "node#cpu_nb": lambda node: _cpus(node.labels, node.capacity.get("cpu", 0.0)),
}


class DurationModel:
    """Seconds per action: 1 s + memory / 125 MiB/s for migrate, suspend and resume, 5 run, 2 stop, 60 startup, 30 shutdown.

    ``expressions`` replaces any of these: a key of ``KEYS``, with or without ``PREFIX``, to an arithmetic expression over the
    VM (``VM#memory`` MiB of demand, ``VM#cpu_consumption``, ``VM#cpu_demand``, ``VM#cpu_nb``) and the node that the action
    works on, for migrate and resume the destination (``node#memory`` MiB, ``node#cpu_capacity``, ``node#cpu_nb``).
    ``startup`` and ``shutdown`` have no VM.  Raises ``InputError`` for an unknown key or an expression that cannot be read.
    """

    def __init__(self, expressions: Mapping[str, str] = MappingProxyType({})) -> None:
        self._expressions: dict[str, Expression] = {}
        for name, text in expressions.items():
            key = name.removeprefix(PREFIX)
            if key in _IGNORED:
                continue
            if key not in KEYS:
                raise InputError(f"unknown action {key!r}", path=PREFIX + key, accepted=", ".join((*KEYS, *_IGNORED)))
            known = [*_OF_NODE] if key in ("startup", "shutdown") else [*_OF_VM, *_OF_NODE]
            self._expressions[key] = parse(str(text), known, path=PREFIX + key)

    def seconds(self, kind: str, vm: VM | None, node: Node | None, remote: bool = False) -> float:
        """Expected seconds of an action of ``kind`` (an ``ActionType``); ``remote``: a resume elsewhere than where the image lies.

        Raises ``InputError`` naming the expression and the VM or node when its value is negative, too large or none at all.
        """
        key = _key(kind, remote)
        expression = self._expressions.get(key)
        if expression is None:
            if (fixed := _FIXED.get(kind)) is not None:
                return fixed
            return LATENCY + (vm.demand.get("memory", 0.0) if vm is not None else 0.0) / BANDWIDTH
        values = {}
        for name in expression.variables:
            if name in _OF_VM and vm is not None:
                values[name] = _OF_VM[name](vm)
            elif name in _OF_NODE and node is not None:
                values[name] = _OF_NODE[name](node)
            else:
                raise self._refuse(key, expression, vm, node, f"{name} is not known for this action")
        try:
            value = expression.value(values)
        except EvaluationError as problem:
            raise self._refuse(key, expression, vm, node, str(problem)) from None
        if not 0.0 <= value <= _LONGEST:
            raise self._refuse(key, expression, vm, node, f"the result is {value:g} s")
        return value

    def seconds_each(self, kind: str, vms: Sequence[VM], nodes: Sequence[Node], remote: bool = False) -> list[float]:
        """``seconds`` of many actions of one kind, of ``vms[k]`` on ``nodes[k]``."""
        expression = self._expressions.get(_key(kind, remote))
        if expression is None:
            if (fixed := _FIXED.get(kind)) is not None:
                return [fixed] * len(vms)
            return [LATENCY + vm.demand.get("memory", 0.0) / BANDWIDTH for vm in vms]
        of_vm = [_OF_VM[name] for name in expression.variables if name in _OF_VM]
        of_node = [_OF_NODE[name] for name in expression.variables if name in _OF_NODE]
        known: dict[tuple[float, ...], float] = {}
        found = []
        for vm, node in zip(vms, nodes, strict=True):
            like = (*(value(vm) for value in of_vm), *(value(node) for value in of_node))
            if (seconds := known.get(like)) is None:
                seconds = known[like] = self.seconds(kind, vm, node, remote)
            found.append(seconds)
        return found

    def alike(self, nodes: Sequence[Node]) -> list[Node]:
        """``nodes`` less those on which every action takes as long as on one before."""
        return list({tuple(value(node) for value in _OF_NODE.values()): node for node in reversed(nodes)}.values())[::-1]

    def depends_on_node(self, kind: str, remote: bool = False) -> bool:
        """Does the duration differ from node to node?"""
        expression = self._expressions.get(_key(kind, remote))
        return expression is not None and not expression.variables.isdisjoint(_OF_NODE)

    @staticmethod
    def _refuse(key: str, expression: Expression, vm: VM | None, node: Node | None, why: str) -> InputError:
        of = " and ".join(f"{what} {item.name}" for what, item in (("VM", vm), ("node", node)) if item is not None) or "an action"
        return InputError(f"{expression.text} for {of}: {why}", path=PREFIX + key, accepted=f"a number of seconds from 0 to {_LONGEST:g}")


def _key(kind: str, remote: bool) -> str:
    if kind == "resume":
        return "resume@remote" if remote else "resume@local"
    return "suspend@local" if kind == "suspend" else kind
