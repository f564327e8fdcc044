"""One call that says whether a plan is safe: our own verification and, where present, the customers' checker.

Every test that makes a plan ends with ``assert_safe``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from entropy.formats.documents import to_tree
from entropy.model.cluster import Cluster
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.verification.verify import verify

_ERRS = re.compile(r"is sleeping on \S+, cannot stop")
"""What the checker gets wrong: a stop also discards the image of a sleeping VM (contract, "Nobody's state changes unasked")."""

__all__ = ["assert_safe", "outside_complaints", "outside_verdict"]


def assert_safe(cluster: Cluster, plan: Plan, policy: Policy | None = None, target: Cluster | None = None) -> None:
    """Fails, with every violation, unless the plan is safe whatever its actions take."""
    found = [f"verify: {violation.text}" for violation in verify(cluster, plan, policy, target)]
    found += [f"customers' checker: {line}" for line in outside_verdict(cluster, plan, policy, target) or () if not _ERRS.search(line)]
    if found:
        actions = [f"  {a.id}: {a.describe()} [{a.start:g}, {a.end:g}] after {', '.join(a.after) or 'nothing'}" for a in plan.actions]
        raise AssertionError("\n".join(["the plan is not safe:", *found, "its actions:", *actions[:60]]))


def outside_verdict(cluster: Cluster, plan: Plan, policy: Policy | None = None, target: Cluster | None = None) -> tuple[str, ...] | None:
    """What the customers' checker complains about; ``None`` where it is not present."""
    trees = [to_tree(document) if document is not None else None for document in (cluster, plan, policy, target)]
    return outside_complaints(*trees)


def outside_complaints(
    cluster: Mapping[str, Any], plan: Mapping[str, Any], policy: Mapping[str, Any] | None, target: Mapping[str, Any] | None = None
) -> tuple[str, ...] | None:
    """``outside_verdict`` on parsed documents."""
    module = _checker()
    if module is None:
        return None
    checker = module.Checker(cluster, plan, policy, target)
    with _deep_recursion():
        checker.run()
    return tuple(checker.errors)


@cache
def _checker() -> ModuleType | None:
    root = Path(os.environ.get("ENTROPY_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    path = root / "tools" / "check_plan.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("customers_check_plan", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """The checker looks for augmenting paths recursively; its own command raises the limit as well."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
