"""The verdict on a tiny plan is what enumerating every order of its events says, finding by finding."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from all_orders import Finding, what_can_go_wrong
from entropy.verification.verify import verify
from random_plans import RandomCase, random_case


@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_findings_are_those_of_all_orders(rng: Random) -> None:
    case = random_case(rng, most_actions=5)
    judged, enumerated = found_by_verify(case), found_by_enumeration(case)
    assert judged == enumerated


def found_by_verify(case: RandomCase) -> set[Finding]:
    found: set[Finding] = set()
    for v in verify(case.cluster, case.plan, case.policy, case.target):
        if v.kind in ("story", "order") and v.subject in case.cluster.vm_by_name:
            found.add(("story", v.subject))
        elif v.kind in ("power", "order") and v.subject in case.cluster.node_by_name:
            found.add(("power", v.subject))
        elif v.kind in ("capacity", "rule"):
            found.add((v.kind, v.subject))
    return _comparable(case, found)


def found_by_enumeration(case: RandomCase) -> set[Finding]:
    return _comparable(case, what_can_go_wrong(case.cluster, case.plan, case.policy, case.target))


def _comparable(case: RandomCase, found: set[Finding]) -> set[Finding]:
    """Where a node is switched in the wrong state, how many are online is anybody's guess."""
    if not any(kind == "power" for kind, _ in found):
        return found
    counted = {("rule", rule.name) for rule in case.policy.constraints if rule.type in ("maxOnline", "online", "offline")}
    return found - counted
