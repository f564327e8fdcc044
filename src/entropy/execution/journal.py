"""The journal: what was intended, what came of it, what was decided; it survives what the process does not.

    Journal(url="sqlite:///journal.db", clock=wall_clock)      .close()      .now() -> epoch seconds

    .open_plan(plan, reason="", limits=None) -> number         every action is written as waiting
    .intend(number, action_id, attempt, driver="")             before the hypervisor hears of it
    .settle(number, action_id, outcome, detail="")             done | failed | skipped | in_doubt
    .close_plan(number, outcome)                               a sentence
    .in_doubt() -> (PendingAction, ...)                        intended or in doubt, of all plans
    .open_plans() -> (number, ...)                             not closed: running now, or cut off by a crash
    .plan(number) -> Plan      .plan_progress(number) -> PlanProgress (counts, sentence())      .last_plan() -> number | None
    .record_decision(sentence, acted)      .recent_decisions(n) -> (Decision, ...), the newest first
    .last_moved() -> {vm: epoch seconds}   of migrations, suspends and resumes that were seen done
    .remember(cluster)                     .last_known(vm) -> VM | None

Methods raise ``PlatformError`` when the database refuses, the constructor ``InputError`` (see ``open_database``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row, bindparam, func, insert, select, update

from entropy.execution.database import open_database, shown, transaction
from entropy.execution.report import Outcome, under_way
from entropy.execution.tables import actions, decisions, plans, vms
from entropy.formats import documents
from entropy.model.cluster import VM, Cluster
from entropy.model.errors import PlatformError
from entropy.model.plan import Action, Plan

__all__ = ["Decision", "Journal", "PendingAction", "PlanProgress", "wall_clock"]

_AMOUNTS_EVERY = 60.0  # seconds


def wall_clock() -> float:
    """Epoch seconds; the one place where execution reads the wall clock."""
    return time.time()


@dataclass(frozen=True, kw_only=True)
class PendingAction:
    """An action whose outcome is not known: ``state`` is intended (a crash came between) or in_doubt.

    ``intended``: epoch seconds of the last attempt; ``limit``: seconds from then after which it would have been given up.
    """

    plan: int
    action: Action
    state: Literal["intended", "in_doubt"]
    attempt: int
    intended: float
    limit: float
    detail: str


@dataclass(frozen=True, kw_only=True)
class PlanProgress:
    """How far a plan is: actions by state.  ``closed`` is its last sentence, ``None`` while it is open."""

    number: int
    reason: str
    opened: float
    closed: str | None
    waiting: int
    running: int
    done: int
    failed: int
    skipped: int
    in_doubt: int

    @property
    def total(self) -> int:
        """All actions of the plan."""
        return self.waiting + self.running + self.done + self.failed + self.skipped + self.in_doubt

    def sentence(self) -> str:
        """For people: ``Executing plan 318: 3 of 6 done, 2 running, no failure.``"""
        if self.closed is not None:
            return f"Plan {self.number}: {self.closed}"
        return under_way(self.number, total=self.total, done=self.done, running=self.running, in_doubt=self.in_doubt, failed=self.failed)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one round of the loop decided.  ``at`` is in epoch seconds."""

    at: float
    sentence: str
    acted: bool


class Journal:
    """See the module.  ``clock`` gives epoch seconds."""

    def __init__(self, url: str = "sqlite:///journal.db", clock: Callable[[], float] = wall_clock) -> None:
        self._engine = open_database(url)
        self._clock = clock
        self._remembered: dict[str, VM] | None = None
        self._unwritten: set[str] = set()
        self._written = float("-inf")

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock()

    def close(self) -> None:
        """Let go of the database."""
        if self._unwritten:
            with suppress(PlatformError):  # what was last known is a convenience; its loss is no reason not to stop
                self._write_known()
        self._engine.dispose()

    # ---------------------------------------------------------------- plans and actions

    def open_plan(self, plan: Plan, reason: str = "", limits: Mapping[str, float] | None = None) -> int:
        """Write ``plan`` with all its actions as waiting; its number, one more than the last.

        ``limits``: seconds, by action id, after which an attempt is given up.
        """
        raw = documents.dump(plan)
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        with transaction(self._engine) as connection:
            key = connection.execute(
                insert(plans).values(opened=self.now(), reason=reason, digest=digest, document=raw.decode())
            ).inserted_primary_key
            assert key is not None
            number = int(key[0])
            if plan.actions:
                connection.execute(
                    insert(actions),
                    [
                        {
                            "plan": number, "action": a.id, "position": k, "type": a.type, "vm": a.vm, "state": "waiting",
                            "source": a.source or (None if a.type == "run" else a.node),
                            "target": a.target or (a.node if a.type == "run" else None),
                            "attempt": 0, "driver": "", "limit": (limits or {}).get(a.id, 0.0), "detail": "",
                        }
                        for k, a in enumerate(plan.actions)
                    ],
                )  # fmt: skip
        return number

    def intend(self, number: int, action: str, attempt: int, driver: str = "") -> None:
        """The hypervisor is about to be asked, for the ``attempt``-th time (1 is the first)."""
        self._set(number, action, state="intended", attempt=attempt, driver=driver, intended=self.now(), settled=None, detail="")

    def settle(self, number: int, action: str, outcome: Outcome, detail: str = "") -> None:
        """What came of it: done once the cluster was seen to agree, failed, skipped, or in doubt until it is settled."""
        self._set(number, action, state=outcome, settled=self.now(), detail=detail)

    def close_plan(self, number: int, outcome: str) -> None:
        """Nothing of this plan will be started any more.  ``outcome`` is its last sentence."""
        with transaction(self._engine) as connection:
            connection.execute(update(plans).where(plans.c.number == number).values(closed=self.now(), outcome=outcome))

    def in_doubt(self) -> tuple[PendingAction, ...]:
        """The actions whose outcome is not known, oldest first."""
        wanted = (
            select(actions)
            .where(actions.c.state.in_(("intended", "in_doubt")))
            .order_by(actions.c.plan, actions.c.intended, actions.c.position)
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(wanted).all()
        opened = {number: self.plan(number) for number in {row.plan for row in rows}}
        return tuple(
            PendingAction(
                plan=row.plan, action=opened[row.plan].by_id[row.action], state=row.state, attempt=row.attempt,
                intended=row.intended if row.intended is not None else 0.0, limit=row.limit, detail=row.detail,
            )
            for row in rows
        )  # fmt: skip

    def waiting(self, number: int) -> tuple[Action, ...]:
        """The actions of a plan that were never started, in the plan's order."""
        wanted = select(actions.c.action).where(actions.c.plan == number, actions.c.state == "waiting").order_by(actions.c.position)
        with transaction(self._engine) as connection:
            ids = connection.execute(wanted).scalars().all()
        known = self.plan(number).by_id if ids else {}
        return tuple(known[i] for i in ids)

    def open_plans(self) -> tuple[int, ...]:
        """Numbers of the plans that were not closed."""
        with transaction(self._engine) as connection:
            return tuple(connection.execute(select(plans.c.number).where(plans.c.closed.is_(None)).order_by(plans.c.number)).scalars())

    def last_plan(self) -> int | None:
        """The number of the newest plan."""
        with transaction(self._engine) as connection:
            return connection.execute(select(func.max(plans.c.number))).scalar()

    def plan(self, number: int) -> Plan:
        """The Plan document as it was opened.  Raises ``PlatformError`` when there is none of this number."""
        raw = self._plan_row(number).document
        return documents.parse(raw.encode(), Plan, where=f"{shown(self._engine.url)}: plan {number}")

    def plan_progress(self, number: int) -> PlanProgress:
        """How far a plan is.  Raises ``PlatformError`` when there is none of this number."""
        row = self._plan_row(number)
        counted = select(actions.c.state, func.count().label("n")).where(actions.c.plan == number).group_by(actions.c.state)
        with transaction(self._engine) as connection:
            counts: dict[str, int] = {row.state: row.n for row in connection.execute(counted)}
        return PlanProgress(
            number=number, reason=row.reason, opened=row.opened, closed=row.outcome,
            waiting=counts.get("waiting", 0), running=counts.get("intended", 0), done=counts.get("done", 0),
            failed=counts.get("failed", 0), skipped=counts.get("skipped", 0), in_doubt=counts.get("in_doubt", 0),
        )  # fmt: skip

    # ---------------------------------------------------------------- decisions and VMs

    def record_decision(self, sentence: str, acted: bool = False) -> None:
        """What a round decided and why; ``acted``: a plan was executed."""
        with transaction(self._engine) as connection:
            connection.execute(insert(decisions).values(at=self.now(), sentence=sentence, acted=acted))

    def recent_decisions(self, n: int = 10) -> tuple[Decision, ...]:
        """The last ``n`` decisions, newest first."""
        wanted = select(decisions).order_by(decisions.c.number.desc()).limit(n)
        with transaction(self._engine) as connection:
            return tuple(Decision(at=row.at, sentence=row.sentence, acted=row.acted) for row in connection.execute(wanted))

    def last_moved(self) -> dict[str, float]:
        """VM -> epoch seconds when its last migration, suspend or resume was seen done."""
        wanted = (
            select(actions.c.vm, func.max(actions.c.settled))
            .where(actions.c.state == "done", actions.c.type.in_(("migrate", "suspend", "resume")))
            .group_by(actions.c.vm)
        )
        with transaction(self._engine) as connection:
            return {vm: at for vm, at in connection.execute(wanted).all() if at is not None}

    def remember(self, cluster: Cluster) -> None:
        """Keep every VM of ``cluster`` as last known; VMs that it lacks stay as they were.

        Only differences are written; those of amounts alone, which change with every look, once a minute and on ``close``.
        """
        known, moved = self._known(), False
        for vm in cluster.vms:
            before = known.get(vm.name)
            if before != vm:
                moved = moved or before is None or (before.state, before.node) != (vm.state, vm.node)
                known[vm.name] = vm
                self._unwritten.add(vm.name)
        if self._unwritten and (moved or self.now() >= self._written + _AMOUNTS_EVERY):
            self._write_known()

    def last_known(self, name: str) -> VM | None:
        """The VM as it was last observed, ``None`` if it never was."""
        return self._known().get(name)

    # ---------------------------------------------------------------- inside

    def _known(self) -> dict[str, VM]:
        if self._remembered is None:
            with transaction(self._engine) as connection:
                rows = connection.execute(select(vms.c.name, vms.c.document)).all()
            found = {row.name: _vm_from(row.document) for row in rows}
            self._remembered = {name: vm for name, vm in found.items() if vm is not None}
        return self._remembered

    def _write_known(self) -> None:
        known, now = self._known(), self.now()
        rows = [
            {"of": name, "name": name, "state": vm.state, "node": vm.node, "document": _vm_text(vm), "at": now}
            for name, vm in ((name, known[name]) for name in sorted(self._unwritten))
        ]
        with transaction(self._engine) as connection:
            there = set(connection.execute(select(vms.c.name)).scalars())
            if old := [row for row in rows if row["of"] in there]:
                values: dict[str, Any] = {name: bindparam(name) for name in ("state", "node", "document", "at")}
                connection.execute(update(vms).where(vms.c.name == bindparam("of")).values(values), old)
            if new := [row for row in rows if row["of"] not in there]:
                connection.execute(insert(vms), new)
        self._unwritten.clear()
        self._written = now

    def _plan_row(self, number: int) -> Row[tuple[object, ...]]:
        with transaction(self._engine) as connection:
            row = connection.execute(select(plans).where(plans.c.number == number)).one_or_none()
        if row is None:
            raise PlatformError(f"the journal {shown(self._engine.url)} has no plan {number}")
        return row

    def _set(self, number: int, action: str, **values: object) -> None:
        change = update(actions).where(actions.c.plan == number, actions.c.action == action).values(**values)
        with transaction(self._engine) as connection:
            if connection.execute(change).rowcount != 1:
                raise PlatformError(f"the journal {shown(self._engine.url)} has no action {action} in plan {number}")


@cache
def _vm_type() -> TypeAdapter[VM]:
    return TypeAdapter(VM)


def _vm_text(vm: VM) -> str:
    return _vm_type().dump_json(vm, by_alias=True, exclude_defaults=True).decode()


def _vm_from(text: str) -> VM | None:
    try:
        return _vm_type().validate_json(text)
    except ValidationError:  # an older or newer Entropy knew other fields; it is observed again soon
        return None
