"""The worst value of a sum that rises when some actions start and falls when others end, over every order of events.

A state of the execution is a set of events closed under "must have happened before".  Rises are wanted and falls are not,
and the order is transitive, so the worst state is a set of rises with the falls that they force: a heaviest closure,
found per connected component of ``after``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from entropy.verification.closure import heaviest_closure
from entropy.verification.order import Order
from entropy.verification.violation import TOLERANCE, when

__all__ = ["Load", "Peak"]

_NOTHING = 1e-6
"""A rise below this is none: an arrival that demands nothing of a resource may enter whatever its load is."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A state in which a load is above its limit: its value, the actions that have started to raise it by then, and those
    that would lower it but need not have ended.  ``already``: it was above before the plan began."""

    value: float
    started: tuple[str, ...]
    pending: tuple[str, ...]
    already: bool = False

    @property
    def actions(self) -> tuple[str, ...]:
        return self.started + self.pending

    def when(self) -> str:
        """``when a3 starts before a1 has ended``."""
        return when(self.started, self.pending)


@dataclass(slots=True)
class Load:
    """``start`` in the observed cluster, ``rises`` at the start of actions, ``falls`` at the end of actions (amounts >= 0)."""

    start: float = 0.0
    rises: dict[str, float] = field(default_factory=dict)
    falls: dict[str, float] = field(default_factory=dict)

    def rise(self, action: str, value: float) -> None:
        if value > _NOTHING:
            self.rises[action] = self.rises.get(action, 0.0) + value

    def fall(self, action: str, value: float) -> None:
        if value > 0:
            self.falls[action] = self.falls.get(action, 0.0) + value

    def peak(self, limit: float, order: Order) -> Peak | None:
        """A state above ``limit`` that the plan can bring about, ``None`` if there is none.

        From a start within the limit every state counts; from one above, every state in which something has been added.
        """
        if not self.rises:
            return None
        already = self.start > limit + TOLERANCE
        if not already and self.start + sum(self.rises.values()) <= limit + TOLERANCE:
            return None
        worst, started = self._worst(self.rises, self.falls, order)
        if not already or started:
            return self._over(self.start + worst, started, limit, order, already)
        for action in self.rises:  # nothing gains by being added, so the start stays worst: what if it is added all the same?
            forced = self._forced(action, order)
            falls = {a: w for a, w in self.falls.items() if a not in forced}
            rises = {a: w for a, w in self.rises.items() if a != action}
            more, others = self._worst(rises, falls, order)
            value = self.start + self.rises[action] - sum(self.falls[a] for a in forced) + more
            if found := self._over(value, {action, *others}, limit, order, already):
                return found
        return None

    def _over(self, value: float, started: set[str], limit: float, order: Order, already: bool) -> Peak | None:
        if value <= limit + TOLERANCE:
            return None
        whole: dict[int | None, int] = {}
        for action in self.falls:
            if (component := order.component(action)) is not None:
                whole[component] = whole.get(component, 0) | order.bit(action)
        ended: dict[int | None, int] = {None: 0}
        for action in started:
            if (component := order.component(action)) in whole:
                ended[component] = ended.get(component, 0) | order.ancestors(action, whole[component])
        open_ = (a for a in self.falls if not (part := ended.get(order.component(a), 0)) or not part & order.bit(a))
        pending = tuple(sorted(open_, key=order.rank.__getitem__))
        return Peak(value, tuple(sorted(started, key=order.rank.__getitem__)), pending, already)

    def _forced(self, action: str, order: Order) -> set[str]:
        """The falls that have happened before ``action`` can start."""
        if order.component(action) is None:
            return set()
        return {a for a in self.falls if order.before(a, action)}

    @staticmethod
    def _worst(rises: Mapping[str, float], falls: Mapping[str, float], order: Order) -> tuple[float, set[str]]:
        value, started = 0.0, set()
        parts: dict[int, list[str]] = {}
        lost: dict[int, list[str]] = {}
        for action in falls:
            if (component := order.component(action)) is not None:
                lost.setdefault(component, []).append(action)
        for action, weight in rises.items():
            component = order.component(action)
            if component is None or component not in lost:
                value += weight
                started.add(action)
            else:
                parts.setdefault(component, []).append(action)
        for component, ups in parts.items():
            more, chosen = _worst_part(component, {a: rises[a] for a in ups}, {a: falls[a] for a in lost[component]}, order)
            value += more
            started |= chosen
        return value, started


def _worst_part(component: int, rises: Mapping[str, float], falls: Mapping[str, float], order: Order) -> tuple[float, set[str]]:
    """``_worst`` within one component."""
    bits = {order.bit(a): w for a, w in falls.items()}
    whole = sum(bits)
    groups: dict[int, list[str]] = {}
    for action in rises:
        groups.setdefault(order.ancestors(action, whole) & whole, []).append(action)
    masks = sorted(groups, key=int.bit_count)
    gain = [sum(rises[a] for a in groups[mask]) for mask in masks]
    if all(low & high == low for low, high in pairwise(masks)):
        count = _best_prefix(masks, gain, bits)
    elif len(masks) * len(bits) > 4 * len(order.members(component)) + 1000:
        return _sparse(component, rises, falls, order)
    else:
        place = {bit: len(masks) + k for k, bit in enumerate(bits)}
        needs = [[at for bit, at in place.items() if mask & bit] for mask in masks]
        value, chosen = heaviest_closure([*gain, *(-w for w in bits.values())], needs + [[] for _ in bits])
        return value, {a for k, mask in enumerate(masks) if k in chosen for a in groups[mask]}
    value, taken = count
    return value, {a for mask in masks[:taken] for a in groups[mask]}


def _best_prefix(masks: list[int], gain: list[float], bits: Mapping[int, float]) -> tuple[float, int]:
    """Where each needs all that the one before needs, the best set is a prefix."""
    best, taken, value, paid = 0.0, 0, 0.0, 0
    for k, mask in enumerate(masks):
        value += gain[k] - sum(w for bit, w in bits.items() if bit & mask & ~paid)
        paid = mask
        if value > best:
            best, taken = value, k + 1
    return best, taken


def _sparse(component: int, rises: Mapping[str, float], falls: Mapping[str, float], order: Order) -> tuple[float, set[str]]:
    """With many rises and falls, their pairs outnumber the arrows of ``after``: every start and every fall is an item."""
    members = order.members(component)
    started = {a: k for k, a in enumerate(members)}
    ended = {a: len(members) + k for k, a in enumerate(falls)}
    needs = [[at[b] for b in order.after[a] for at in (started, ended) if b in at] for a in members]
    weight = [rises.get(a, 0.0) for a in members] + [-w for w in falls.values()]
    value, chosen = heaviest_closure(weight, needs + [[] for _ in falls])
    return value, {a for a in rises if started[a] in chosen}
