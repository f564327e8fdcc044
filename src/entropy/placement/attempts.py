"""One problem in the versions that kernels can read, the most wanted first: every soft rule kept, then the hard rules only.

Groups that must be together have a zone each in every version; where a version fails, it comes again with other zones.
"""

from __future__ import annotations

from entropy.placement.anchoring import Anchoring
from entropy.placement.soft import hardened, has_soft, without_soft
from entropy.problem.problem import Indices, Problem

__all__ = ["Attempts"]


class Attempts:
    """``problem`` is the version to try; after a failure ``next`` tells whether there is another one.

    ``most``: how often the zones of one version are chosen anew.
    """

    def __init__(self, problem: Problem, most: int = 8) -> None:
        self._versions = [hardened(problem), without_soft(problem)] if has_soft(problem) else [problem]
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._anchoring = Anchoring(self._versions.pop(0))
        self._left = self._most if self._anchoring.zones else 0
        self.problem = self._anchoring.problem()

    def next(self, left: Indices) -> bool:
        """Kernels left out VMs ``left``.  Another version, unless there is none: then the last one stands."""
        if self._left and self._anchoring.otherwise(left):
            self._left -= 1
            self.problem = self._anchoring.problem()
            return True
        if not self._versions:
            return False
        self._begin()
        return True
