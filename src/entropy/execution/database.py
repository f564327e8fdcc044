"""Opens the journal's database, and maps every failure of the database to an operator's error at this border."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from entropy.execution.tables import SCHEMA, metadata, properties
from entropy.model.errors import InputError, PlatformError

__all__ = ["open_database", "shown", "transaction"]

_SYNCHRONOUS = "FULL"  # an intention must outlive a power cut
_PATIENCE = 10  # seconds that one process waits for another's transaction
_CURE = "move the file away and start again: a new journal is made; what the old one left in doubt is then unknown"


def open_database(url: str) -> Engine:
    """An engine on the journal at ``url``; its tables exist afterwards.

    Raises ``InputError`` when the URL, the folder or the file cannot be used: no database, another program's, corrupt, or
    from a newer Entropy.
    """
    try:
        address = make_url(url)
    except ArgumentError as problem:
        raise InputError(f"is no database URL: {url!r}", where="journal", accepted="sqlite:///path/to/journal.db") from problem
    place = shown(address)
    if address.get_backend_name() == "sqlite" and not _in_memory(address):
        _check_file(place)
    try:
        engine = _engine(address)
    except (SQLAlchemyError, ImportError) as problem:
        raise InputError(f"no database of this kind can be used: {_reason(problem)}", where=place, accepted="sqlite:///...") from problem
    try:
        _prepare(engine, place)
    except InputError:
        engine.dispose()
        raise
    except SQLAlchemyError as problem:
        engine.dispose()
        accepted = "a database that can be reached and written"
        raise InputError(f"the journal cannot be opened: {_reason(problem)}", where=place, accepted=accepted) from problem
    return engine


def shown(address: URL) -> str:
    """For messages: the file of a SQLite database, otherwise the URL without its password."""
    if address.get_backend_name() == "sqlite":
        return address.database or "journal in memory"
    return address.render_as_string(hide_password=True)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """All or nothing.  Raises ``PlatformError`` when the database refuses."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as problem:
        raise PlatformError(f"the journal {shown(engine.url)} cannot be used: {_reason(problem)}") from problem


def _engine(address: URL) -> Engine:
    if address.get_backend_name() != "sqlite":
        return create_engine(address)
    engine = create_engine(address, poolclass=StaticPool) if _in_memory(address) else create_engine(address)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the sqlite3 module begins no transaction on its own; _on_begin does
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # two writers wait for each other instead of failing half-way

    return engine


def _in_memory(address: URL) -> bool:
    return address.database in (None, "", ":memory:")


def _prepare(engine: Engine, place: str) -> None:
    with engine.begin() as connection:
        tables = set(inspect(connection).get_table_names())
        if tables and properties.name not in tables:
            few = ", ".join(sorted(tables)[:5])
            raise InputError(f"is a database of another program (tables {few})", where=place, accepted="an Entropy journal, or a new file")
        if not tables:
            metadata.create_all(connection)
            connection.execute(properties.insert().values(key="schema", value=str(SCHEMA)))
            return
        version = connection.execute(select(properties.c.value).where(properties.c.key == "schema")).scalar() or ""
    if not version.isdecimal():
        raise InputError("the journal is damaged: it states no schema", where=place, accepted=_CURE)
    if int(version) > SCHEMA:
        raise InputError(
            f"the journal was written by a newer Entropy (schema {version}, this one knows {SCHEMA})",
            where=place,
            accepted="that newer Entropy, or another journal",
        )


def _check_file(path: str) -> None:
    """Before anything is written: is the file whole?  Then readers and the writer stop waiting for each other (WAL)."""
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise InputError(f"the journal is damaged: {verdict}", where=path, accepted=_CURE)
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            if not tables or properties.name in tables:
                connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as problem:
        accepted = "a folder that exists, a file that may be written, and no other program that holds it"
        raise InputError(f"the journal cannot be opened: {problem}", where=path, accepted=accepted) from problem
    except sqlite3.DatabaseError as problem:
        raise InputError(f"the journal is damaged: {problem}", where=path, accepted=_CURE) from problem


def _reason(problem: BaseException) -> str:
    cause = getattr(problem, "orig", None) or problem
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
