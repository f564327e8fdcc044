"""What a plan would break: the independent verification, less what is broken already and the plan does not touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from entropy.model.cluster import Cluster
from entropy.model.plan import Plan
from entropy.model.policy import Policy

__all__ = ["Finding", "Verifier", "caused", "independent"]


class Finding(Protocol):
    """What of a ``Violation`` is used here."""

    @property
    def kind(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def actions(self) -> tuple[str, ...]: ...


class Verifier(Protocol):
    """``entropy.verification.verify.verify`` with its leniency already given."""

    def __call__(self, cluster: Cluster, plan: Plan, policy: Policy, /) -> Sequence[Finding]: ...


def independent(lenient: bool) -> Verifier:
    """The verifier of the house.  ``lenient``: rules may name what no longer exists."""
    from entropy.verification.verify import verify

    def checked(cluster: Cluster, plan: Plan, policy: Policy, /) -> Sequence[Finding]:
        return verify(cluster, plan, policy, lenient=lenient)

    return checked


def caused(found: Sequence[Finding], before: Sequence[Finding]) -> tuple[str, ...]:
    """The sentences of ``found`` (a plan's violations) that ``before`` (doing nothing) does not have.

    A violation that involves actions is the plan's own; one that involves none and stood before is not.
    """
    known = {_identity(v) for v in before}
    return tuple(v.text for v in found if v.actions or _identity(v) not in known)


def _identity(finding: Finding) -> tuple[str, str, str]:
    return finding.kind, finding.subject, finding.resource
