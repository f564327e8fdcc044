"""Every error a user can meet, as one tree; each class carries the exit code of the contract.

Lower libraries' exceptions are mapped to these at the border (the file, the socket, the hypervisor), so nothing
foreign reaches a user.  A message says what, where, why, and what would be accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ActionFailedError",
    "EntropyError",
    "InfeasibleError",
    "InputError",
    "InvalidPlanError",
    "NoPlanInTimeError",
    "PlatformError",
    "StalePlanError",
]


class EntropyError(Exception):
    """Root of all errors of this package.  ``exit_code`` is what a command ends with."""

    exit_code = 2


class InputError(EntropyError, ValueError):
    """A document, a setting or an argument that cannot be used; nothing was changed.

    ``where`` is the file (or ``-``, or a name such as ``--time-limit``), ``path`` the place in the document
    (``vms[3].demand.memory``), ``accepted`` what would have been right.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", path: str = "", accepted: str = "") -> None:
        self.message, self.where, self.path, self.accepted = message, where, path, accepted
        place = ": ".join(part for part in (where, path) if part)
        text = f"{place}: {message}" if place else message
        super().__init__(f"{text} (accepted: {accepted})" if accepted else text)


class InfeasibleError(EntropyError):
    """Proven: no configuration, or no order of actions, satisfies the policy.  ``reasons`` name the conflict."""

    exit_code = 3

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        self.reasons = tuple(reasons)
        super().__init__("\n  ".join((message, *self.reasons)))


class InvalidPlanError(EntropyError):
    """A plan that the independent verification refuses.  ``violations`` are its sentences."""

    exit_code = 4

    def __init__(self, message: str, violations: Sequence[str] = ()) -> None:
        self.violations = tuple(violations)
        super().__init__("\n  ".join((message, *self.violations)))


class StalePlanError(EntropyError):
    """The cluster has changed where the plan touches it; nothing was changed."""

    exit_code = 4


class ActionFailedError(EntropyError):
    """An action of a plan failed; what did not depend on it was finished."""

    exit_code = 4


class NoPlanInTimeError(EntropyError):
    """The time limit passed before any viable plan was found; nothing is proven."""

    exit_code = 5


class PlatformError(EntropyError):
    """Monitoring, a hypervisor or a network peer did not do what it was asked; the text is an operator's."""

    exit_code = 2
