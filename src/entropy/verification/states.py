"""Nobody's state changes unasked: how each VM and node ends, what it goes through on the way, what is not to be touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entropy.model.cluster import VM
from entropy.model.plan import Action
from entropy.verification.case import Case
from entropy.verification.violation import Violation

__all__ = ["check_states", "check_target", "check_untouchable"]


def check_states(case: Case) -> Iterator[Violation]:
    """Every VM ends as asked, or as it was; VMs that run before and after are not interrupted unasked."""
    asked = case.asked_states
    story = case.replay.story
    unasked = [name for name, actions in story.items() if name not in asked and not _only_migrates(actions)]  # who migrates runs all along
    for name in (*asked, *unasked):
        rules = asked.get(name, ())
        vm = case.cluster.vm_by_name[name]
        state, _ = case.replay.final(name)
        ids = tuple(a.id for a in story.get(vm.name, ()))
        for rule, goal in rules:
            if state != goal:
                yield Violation("state", vm.name, f'VM {vm.name} ends {state}: rule "{rule}" asks for {goal}', actions=ids)
        if not rules and case.target is None and state != vm.state:
            text = f"VM {vm.name} was {vm.state} and ends {state} (by {', '.join(ids)}), and nobody asked for that"
            yield Violation("state", vm.name, text, actions=ids)
        yield from _on_the_way(case, vm)


def _only_migrates(actions: Sequence[Action]) -> bool:
    return all(action.type == "migrate" for action in actions)


def _on_the_way(case: Case, vm: VM) -> Iterator[Violation]:
    actions = case.replay.story.get(vm.name, ())
    if not actions:
        return
    wanted, (state, _) = case.wanted(vm.name), case.replay.final(vm.name)
    ids = tuple(a.id for a in actions)
    if case.target is None and vm.state == wanted != "running":
        text = f"VM {vm.name} is {vm.state} and should stay so; {actions[0].id} ({actions[0].describe()}) touches it"
        yield Violation("state", vm.name, text, actions=ids)
    suspended = tuple(a.id for a in actions if a.type == "suspend")
    stopped = tuple(a.id for a in actions if a.type == "stop")
    if suspended and not vm.migratable and wanted != "sleeping":
        text = f"VM {vm.name} is not migratable, so it may not be suspended on the way ({suspended[0]})"
        yield Violation("state", vm.name, text, actions=suspended)
    if vm.state == state == "running":
        if stopped:
            text = f"VM {vm.name} runs before and after, yet {stopped[0]} stops it on the way"
            yield Violation("state", vm.name, text, actions=stopped)
        if suspended and not case.policy.allow_suspend:
            text = f"VM {vm.name} runs before and after, yet {suspended[0]} suspends it on the way; only allowSuspend permits that"
            yield Violation("state", vm.name, text, actions=suspended)


def check_target(case: Case) -> Iterator[Violation]:
    """With a target: its states, hosts and node states are reached; a VM that it does not name ends ready."""
    if case.target is None:
        return
    named = case.target.vm_by_name
    for vm in case.cluster.vms:
        name, goal = vm.name, named.get(vm.name)
        state, node = case.replay.final(name)
        ids = tuple(a.id for a in case.replay.story.get(name, ()))
        if state != case.wanted(name):
            why = f"the target wants it {goal.state}" if goal else "the target does not name it, so it should end ready"
            yield Violation("target", name, f"VM {name} ends {state}: {why}", actions=ids)
        elif goal and state != "ready" and node != goal.node:
            yield Violation("target", name, f"VM {name} ends on {node}: the target wants it on {goal.node}", actions=ids)
    for host in case.target.nodes:
        final = case.final_node_state.get(host.name)
        if final is not None and final != host.state:
            ids = tuple(a.id for a in case.replay.switches.get(host.name, ()))
            yield Violation("target", host.name, f"node {host.name} ends {final}: the target wants it {host.state}", actions=ids)


def check_untouchable(case: Case) -> Iterator[Violation]:
    """Nothing enters, leaves or switches an untouchable node, and nothing is done to the VMs that it keeps."""
    why = {node.name: node.untouchable for node in case.cluster.nodes if node.untouchable}
    if not why:
        return
    homes = {vm.name: vm.node for vm in case.cluster.vms if vm.node in why}
    for action in case.plan.actions:
        nodes = [n for n in action.nodes if n in why]
        if (home := homes.get(action.vm or "")) is not None and home not in nodes:
            nodes.append(home)
        for node in nodes:
            text = f"node {node} is not to be touched for now ({why[node]}), and {action.id} would {action.describe()}"
            yield Violation("untouchable", node, text, actions=(action.id,))
