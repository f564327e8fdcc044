"""What ``plan`` and ``verify`` are given: a cluster, perhaps a policy and a destination."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from entropy.cli.terminal import warn

if TYPE_CHECKING:
    from entropy.model.cluster import Cluster
    from entropy.model.policy import Policy

__all__ = ["CLUSTER", "INPUT_FORMAT", "POLICY", "TARGET", "Inputs", "read_inputs"]

CLUSTER = typer.Argument(metavar="CLUSTER", help="The cluster as it is; - is standard input, .gz is unpacked.")
POLICY = typer.Option("--policy", metavar="P", help="A Policy document: the rules to respect.")
TARGET = typer.Option("--target", metavar="DEST", help="The cluster wanted: states and hosts come from it, amounts from CLUSTER.")
INPUT_FORMAT = typer.Option(
    "--input-format",
    metavar="F",
    help="The format of CLUSTER and DEST: entropy, btrplace, entropy-text or ganeti; default: told by the content.",
)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Parsed documents; without ``--policy`` the rules that the input itself carries, if its format has such.

    ``rules_from``: the file that the rules come from.
    """

    cluster: Cluster
    policy: Policy
    target: Cluster | None
    rules_from: str = ""

    @contextmanager
    def naming_the_rules_file(self) -> Iterator[None]:
        """An error about a rule says in which file the rule stands."""
        from entropy.model.errors import InputError

        try:
            yield
        except InputError as problem:
            if problem.where or not problem.path.startswith(("constraints[", "objective")):
                raise
            raise InputError(problem.message, where=self.rules_from, path=problem.path, accepted=problem.accepted) from problem


def read_inputs(cluster: str, policy: str | None, target: str | None, input_format: str | None, *others: str) -> Inputs:
    """Read all documents; warnings go to standard error.  ``others`` are further paths that may be ``-``.

    Raises ``InputError``, also when two documents are to be read from one standard input.
    """
    from entropy.model.collector import collector_paused
    from entropy.model.errors import InputError

    if [cluster, policy, target, *others].count("-") > 1:
        raise InputError("standard input holds one document, and two are to be read from it", where="-", accepted="one -")
    with collector_paused():
        inputs = _read(cluster, policy, target, input_format)
        gc.freeze()  # what was read is needed to the end: the collector need not go through it
    return inputs


def _read(cluster: str, policy: str | None, target: str | None, input_format: str | None) -> Inputs:
    from entropy.formats import documents
    from entropy.formats.load import load
    from entropy.model.policy import Policy

    loaded = load(cluster, input_format)
    warn(loaded.warnings)
    rules = documents.read(policy, Policy) if policy is not None else loaded.policy or Policy()
    wanted = None
    if target is not None:
        destination = load(target, input_format)
        warn(destination.warnings)
        wanted = destination.cluster
    return Inputs(cluster=loaded.cluster, policy=rules, target=wanted, rules_from=cluster if policy is None else policy)
