"""The list of a node's VMs as string metrics: split by the agent, joined again by the adapter.

gmond damages its whole XML when one string passes some 920 bytes after escaping, so a list goes on in ``container.vms.1``,
``container.vms.2``, ...  A list of several metrics can be caught half rewritten, or lose a packet.  The agent therefore
publishes ``container.vms.check`` first (number of parts, CRC-32 of the names): until the last part is there they disagree.  A
list without a check is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from entropy.platforms.ganglia.xml import Metric

__all__ = ["CHECK", "LIST", "PART_BYTES", "VMList", "check_value", "join", "part_name", "split"]

LIST = "container.vms"
CHECK = "container.vms.check"
PART_BYTES = 800
"""Longest value that is published, in bytes after escaping; gmond's own limit lies between 920 and 930."""

_PART = re.compile(r"container\.vms\.([0-9]{1,6})", re.ASCII)
_DOMAIN0 = frozenset({"Domain-0", "(Domain-0)"})
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class VMList:
    """Names of the running and the sleeping VMs of a node, each once, in order; words that are no names; what is doubtful."""

    running: tuple[str, ...] = ()
    sleeping: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def part_name(index: int) -> str:
    """``container.vms``, ``container.vms.1``, ..."""
    return f"{LIST}.{index}" if index else LIST


def split(words: Iterable[str], most: int = PART_BYTES) -> tuple[str, ...]:
    """The words as values of at most ``most`` bytes each; one empty value when there are none."""
    parts: list[str] = [""]
    for word in words:
        longer = f"{parts[-1]} {word}" if parts[-1] else word
        if parts[-1] and len(longer.encode()) > most:
            parts.append(word)
        else:
            parts[-1] = longer
    return tuple(parts)


def check_value(parts: Sequence[str]) -> str:
    """What ``container.vms.check`` says of these parts."""
    return f"{len(parts)} {crc32(' '.join(' '.join(parts).split()).encode()):08x}"


def join(metrics: Mapping[str, Metric], *, none_is_empty: bool = True) -> VMList:
    """The list that a host's metrics hold; ``metrics`` has ``container.vms``.

    The word ``none`` alone stands for no VM (some scripts publish it) if ``none_is_empty``.  ``Domain-0`` is no VM.
    """
    words, doubts = _words(metrics)
    if words == ["none"] and none_is_empty:
        words = []
    running: dict[str, None] = {}
    sleeping: dict[str, None] = {}
    wrong: dict[str, None] = {}
    for word in words:
        if word in _DOMAIN0:
            continue
        asleep = word[0] == "(" and word[-1] == ")"
        name = word[1:-1] if asleep else word
        if not name or len(name) > _LONGEST_NAME or "(" in name or ")" in name or not name.isprintable():
            wrong[word[:60]] = None
        else:
            (sleeping if asleep else running)[name] = None
    return VMList(tuple(running), tuple(sleeping), tuple(wrong), tuple(doubts))


def _words(metrics: Mapping[str, Metric]) -> tuple[list[str], list[str]]:
    parts = _parts(metrics)
    check = metrics.get(CHECK)
    if check is not None and not check.expired and not check.stale:
        count = int(check.value.split()[0]) if check.value[:1].isdecimal() and len(check.value) < 20 else 0
        counted = {name: parts[name] for k in range(min(count, len(parts))) if (name := part_name(k)) in parts}
        if check_value([part.value for part in counted.values()]) == check.value:
            return _text(counted), _ages(counted)
        return _text(parts), ["its VM list is just being rewritten, or a part of it was lost (container.vms.check disagrees)"]
    return _text(parts), _ages(parts)


def _parts(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The list's metrics in order.  A further part that its publisher no longer stands for is left over from a longer list."""
    found = [(-1, LIST, metrics[LIST])]
    for name, metric in metrics.items():
        if (match := _PART.fullmatch(name)) and not metric.expired:
            found.append((int(match[1]), name, metric))
    return {name: metric for _, name, metric in sorted(found, key=lambda part: part[0])}


def _text(parts: Mapping[str, Metric]) -> list[str]:
    return " ".join(part.value for part in parts.values()).split()


def _ages(parts: Mapping[str, Metric]) -> list[str]:
    return [
        f"{name} was last published {part.tn:.0f} s ago (is its agent still running?)"
        for name, part in parts.items()
        if (part.expired or part.stale) and (part.value.strip() or name == LIST)
    ]
