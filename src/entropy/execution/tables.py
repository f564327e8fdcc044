"""The journal's tables.  Times are epoch seconds, amounts as in the documents; documents are kept as their JSON text."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

__all__ = ["SCHEMA", "actions", "decisions", "metadata", "plans", "properties", "vms"]

SCHEMA = 1
"""Version of these tables; raised with every change that an older Entropy cannot read."""

metadata = MetaData()

properties = Table(
    "entropy_journal",  # the table that tells our file from a stranger's
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("opened", Float, nullable=False),
    Column("closed", Float),
    Column("reason", Text, nullable=False),
    Column("digest", String(128), nullable=False),
    Column("document", Text, nullable=False),
    Column("outcome", Text),  # a sentence, when closed
    sqlite_autoincrement=True,  # the number of a plan is never given twice
)

actions = Table(
    "actions",
    metadata,
    Column("plan", Integer, ForeignKey("plans.number"), primary_key=True),
    Column("action", String(255), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("type", String(16), nullable=False),
    Column("vm", String(255)),
    Column("source", String(255)),  # where it takes the VM from, or the node of a stop, suspend, startup, shutdown
    Column("target", String(255)),  # where it brings the VM
    Column("state", String(16), nullable=False),  # waiting, intended, done, failed, skipped, in_doubt
    Column("attempt", Integer, nullable=False, default=0),
    Column("driver", String(255), nullable=False, default=""),
    Column("intended", Float),  # of the last attempt
    Column("limit", Float, nullable=False, default=0.0),  # seconds from the intention after which it is given up
    Column("settled", Float),
    Column("detail", Text, nullable=False, default=""),
    Index("actions_by_state", "state"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("acted", Boolean, nullable=False),
)

vms = Table(
    "vms",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("node", String(255)),
    Column("document", Text, nullable=False),  # the whole VM as JSON: demand, labels, ...
    Column("at", Float, nullable=False),  # when it was last seen different
)
