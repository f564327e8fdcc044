"""``entropy verify``: replay a plan against a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from entropy.cli.inputs import CLUSTER, INPUT_FORMAT, POLICY, TARGET, read_inputs
from entropy.cli.terminal import warn

if TYPE_CHECKING:
    from entropy.cli.render.effects import Figures
    from entropy.model.cluster import Cluster
    from entropy.model.plan import Plan
    from entropy.verification.violation import Violation

__all__ = ["verify"]


def verify(
    cluster: Annotated[str, CLUSTER],
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A Plan document; - is standard input.")],
    policy: Annotated[str | None, POLICY] = None,
    target: Annotated[str | None, TARGET] = None,
    input_format: Annotated[str | None, INPUT_FORMAT] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Replay a plan against a cluster and list everything that it breaks.

    Safe means safe in every order of events that the plan allows, whatever its actions really last. Exit 0 when safe, 4 when
    not, 2 when it names what the cluster does not have.
    """
    from entropy.cli.render.effects import figures, with_rules
    from entropy.cli.render.figures import figures_sentence
    from entropy.formats import documents
    from entropy.model import plan as plans
    from entropy.model.amounts import count
    from entropy.verification.verify import verify as replay

    inputs = read_inputs(cluster, policy, target, input_format, plan)
    document = documents.read(plan, plans.Plan)
    if document.cluster and document.cluster != documents.digest(inputs.cluster):
        warn([f"{plan} was made for another state of the cluster than {cluster} (their digests differ)"])
    _refuse_unknown_names(document, inputs.cluster, plan)
    with inputs.naming_the_rules_file():
        violations = replay(inputs.cluster, document, inputs.policy, target=inputs.target)
        found = figures(with_rules(inputs.cluster, inputs.policy), document)
    if json:
        _print_json(violations, found)
    elif violations:
        typer.echo(f"Not safe: {count(len(violations), 'violation')}.")
        for violation in violations:
            typer.echo(f"- {violation.text}")
    else:
        typer.echo(f"Safe: {figures_sentence(found, len(document.actions))}.")
    if violations:
        raise typer.Exit(4)


def _refuse_unknown_names(plan: Plan, cluster: Cluster, where: str) -> None:
    """A plan that names what the cluster does not have belongs to another cluster: bad input, not a bad plan."""
    from entropy.model.errors import InputError
    from entropy.model.words import some

    for k, action in enumerate(plan.actions):
        fields = {"vm": action.vm, "node": action.node, "from": action.source, "to": action.target}
        for key, name in fields.items():
            known = cluster.vm_by_name if key == "vm" else cluster.node_by_name
            if name is not None and name not in known:
                kind = "VM" if key == "vm" else "node"
                text = f"{name!r} names no {kind} of the cluster"
                raise InputError(text, where=where, path=f"actions[{k}] ({action.id}).{key}", accepted=some(list(known)))


def _print_json(violations: tuple[Violation, ...], found: Figures) -> None:
    import orjson

    tree: dict[str, Any] = {
        "safe": not violations,
        "violations": [{"kind": v.kind, "subject": v.subject, "text": v.text, "actions": list(v.actions)} for v in violations],
        "summary": {
            "nodes": {"before": found.nodes_before, "after": found.nodes_after},
            "movedMemory": {"value": found.moved_memory},
            "migrations": found.migrations,
            "duration": {"value": found.duration},
        },
    }
    typer.echo(orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode())
