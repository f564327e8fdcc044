"""What ``after`` forces: which actions have ended before another can start.

The relation falls apart into the connected components of ``after``; in a real plan they are many and small.  Ancestors are
kept as bit masks over the members of one component, and only of those components that somebody asks about.
"""

from __future__ import annotations

from entropy.model.plan import Plan

__all__ = ["Order"]

_MOST_MASKS = 16_384
"""Members of a component up to which the masks of all are kept, 32 MiB; beyond, each is searched when it is asked for."""


class Order:
    """The partial order of one plan's actions (ids)."""

    def __init__(self, plan: Plan) -> None:
        self.after = {a.id: a.after if len(a.after) < 2 else tuple(dict.fromkeys(a.after)) for a in plan.actions}
        self.rank = plan.topological
        self._component: dict[str, int] = {}
        self._members: list[list[str]] = []
        self._bit: dict[str, int] = {}
        self._ancestors: dict[str, int] = {}
        self._split()

    def _split(self) -> None:
        parent: dict[str, str] = {}

        def root(x: str) -> str:
            while (up := parent.setdefault(x, x)) != x:
                parent[x] = parent[up]
                x = up
            return x

        for action, waits in self.after.items():
            for other in waits:
                parent[root(action)] = root(other)
        number: dict[str, int] = {}
        for action in self.rank if parent else ():
            if action in parent:
                k = number.setdefault(root(action), len(number))
                if k == len(self._members):
                    self._members.append([])
                self._component[action] = k
                self._bit[action] = len(self._members[k])
                self._members[k].append(action)

    def component(self, action: str) -> int | None:
        """The number of the connected part that holds ``action``; ``None`` if it waits for nothing and nothing for it."""
        return self._component.get(action)

    def members(self, component: int) -> list[str]:
        """The actions of a component, each behind all that it waits for."""
        return self._members[component]

    def bit(self, action: str) -> int:
        """The mask of ``action`` alone, within its component."""
        return 1 << self._bit[action]

    def ancestors(self, action: str, whole: int = -1) -> int:
        """The mask, within its component, of all that have ended before ``action`` starts.

        Of a large component only the members from the first in ``whole`` on are sure to be in the mask.
        """
        if action not in self._ancestors:
            members = self._members[self._component[action]]
            if len(members) > _MOST_MASKS:
                return self._search(action, (whole & -whole).bit_length() - 1)
            for member in members:
                mask = 0
                for other in self.after[member]:
                    mask |= self._ancestors[other] | self.bit(other)
                self._ancestors[member] = mask
        return self._ancestors[action]

    def _search(self, action: str, least: int) -> int:
        """The same, for this action alone and not kept: from bit ``least`` on, as nothing waits for what stands behind it."""
        found, waiting = {action}, [action]
        while waiting:
            for other in self.after[waiting.pop()]:
                if other not in found and self._bit[other] >= least:
                    found.add(other)
                    waiting.append(other)
        bits = bytearray(self._bit[action] // 8 + 1)
        for other in found - {action}:
            bits[self._bit[other] // 8] |= 1 << self._bit[other] % 8
        return int.from_bytes(bits, "little")

    def before(self, first: str, second: str) -> bool:
        """Has ``first`` ended before ``second`` starts, in every order of events?"""
        if first in self.after[second]:
            return True
        component = self._component.get(second)
        if component is None or self._component.get(first) != component:
            return False
        return bool(self.ancestors(second, self.bit(first)) >> self._bit[first] & 1)
