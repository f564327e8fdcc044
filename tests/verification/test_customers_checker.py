"""Our verdict is the customers' checker's, save where the contract says more than the checker looks at."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checked import outside_verdict
from entropy.formats.documents import validate
from entropy.model.cluster import Cluster
from entropy.model.errors import InputError
from entropy.model.plan import Plan
from entropy.model.policy import Policy
from entropy.verification.verify import verify
from entropy.verification.violation import Violation
from random_plans import RandomCase, random_case
from shared_data import shared


def test_every_judged_plan_gets_its_verdict() -> None:
    wrong = []
    for case in json.loads(shared("data/judged-plans.json").read_bytes()):
        cluster, policy = validate(case["cluster"], Cluster), validate(case["policy"], Policy)
        try:
            found: list[Any] = list(verify(cluster, validate(case["plan"], Plan), policy))
        except InputError as problem:
            found = [problem]
        if (not found) != case["safe"]:
            wrong.append(f"{case['case']}: should be {'safe' if case['safe'] else 'refused: ' + case['why']}; found {found}")
    assert not wrong, "\n".join(wrong)


@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_verdict_is_the_checkers(rng: Random) -> None:
    case = random_case(rng, most_actions=8)
    theirs = outside_verdict(case.cluster, case.plan, case.policy, case.target)
    if theirs is None:
        pytest.skip("the customers' checker is not present")
    ours = verify(case.cluster, case.plan, case.policy, case.target)
    if bool(ours) != bool(theirs):
        assert _read_more_closely(case, ours, theirs), f"ours: {[str(v) for v in ours]}\ntheirs: {theirs}"


def _read_more_closely(case: RandomCase, ours: tuple[Violation, ...], theirs: tuple[str, ...]) -> bool:
    """Where the contract is plain and the checker does not follow it.

    Refused by us only: a rule asks for a state that the target or another rule contradicts (no configuration keeps both);
    a VM that is not migratable resumes elsewhere than where its image lies; a state to which no homes can be given though each
    two VMs of it could have theirs (overlapping node groups; the checker looks at pairs).  Refused by the checker only: a quarantined node
    where a VM is stopped or suspended as a rule asks; ``stop`` of an image; a continuous gathering that began apart, where
    node groups overlap and the plan's home is not the first that the checker thinks of.
    """
    if ours:
        return all(
            (v.kind == "state" and 'rule "' in v.text and (case.target is not None or _contradicted(case, v.subject)))
            or "it resumes only where its image lies" in v.text
            or ("can be apart on the way" in v.text and _overlapping(case, v.subject))
            for v in ours
        )
    patterns = (r"rule \d: v\d leaves n\d", r"action a\d+: v\d is sleeping on n\d, cannot stop n\d ", r"rule \d: enters elsewhere .*")
    return all(any(re.fullmatch(p, line) for p in patterns) for line in theirs)


def _contradicted(case: RandomCase, vm: str) -> bool:
    asked = {
        "ready" if rule.type == "killed" else rule.type
        for rule in case.policy.constraints
        if rule.type in ("running", "sleeping", "ready", "killed") and vm in (rule.vms, *rule.vms)
    }
    return len(asked) > 1


def _overlapping(case: RandomCase, title: str) -> bool:
    groups = next(rule.groups for rule in case.policy.constraints if rule.name == title and rule.type in ("among", "splitAmong"))
    nodes = [node for group in groups for node in group]
    return len(set(nodes)) < len(nodes)
