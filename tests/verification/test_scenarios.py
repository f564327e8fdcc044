"""Hand-worked cases, one file each: ``scenarios/<kind>/<what>.yaml``; the path is the test's id.

``expect`` is ``safe`` or the list of violations, each with kind and subject and, where given, resource, actions and the very
sentence.  The customers' checker must come to the same verdict, unless the file says why it ``differs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from checked import outside_verdict
from entropy.formats.documents import API_VERSION, validate
from entropy.model.cluster import Cluster
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.verification.verify import verify
from entropy.verification.violation import KINDS

ROOT = Path(__file__).parent / "scenarios"
FILES = sorted(ROOT.rglob("*.yaml"))


def _document(scenario: dict[str, Any], key: str, cls: Any) -> Any:
    tree = scenario.get(key)
    return None if tree is None else validate({"apiVersion": API_VERSION, "kind": cls.__name__, **tree}, cls, where=key)


@pytest.mark.parametrize("path", [pytest.param(f, id=str(f.relative_to(ROOT).with_suffix(""))) for f in FILES])
def test_scenario(path: Path) -> None:
    scenario = yaml.safe_load(path.read_text())
    assert set(scenario) <= {"name", "why", "differs", "cluster", "plan", "policy", "target", "expect"}
    cluster, plan = _document(scenario, "cluster", Cluster), _document(scenario, "plan", Plan)
    policy, target = _document(scenario, "policy", Policy), _document(scenario, "target", Cluster)

    found = verify(cluster, plan, policy, target)

    wanted = [] if scenario["expect"] == "safe" else scenario["expect"]
    assert [(v.kind, v.subject) for v in found] == [(w["kind"], w["subject"]) for w in wanted], [v.text for v in found]
    for violation, want in zip(found, wanted, strict=True):
        for key in set(want) - {"kind", "subject"}:
            value = getattr(violation, key)
            assert (list(value) if key == "actions" else value) == want[key]

    outside = outside_verdict(cluster, plan, policy, target)
    if outside is not None:
        assert (bool(outside) == bool(found)) != ("differs" in scenario), outside


def test_every_kind_has_its_scenarios() -> None:
    assert {f.parent.name for f in FILES} == set(KINDS)
