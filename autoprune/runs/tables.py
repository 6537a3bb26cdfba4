"""The tables of an archive, and the little in which SQLite and PostgreSQL are not alike."""

from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Connection,
    Executable,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

everything = MetaData()
proposals = Table(
    "proposals",
    everything,
    Column("slot", String, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("operator", String, nullable=False),
    Column("engine", String, nullable=False),
    Column("parents", JSON, nullable=False),
    Column("thought", JSON, nullable=False),
    Column("candidate", String),
    Column("chain", JSON, nullable=False),
    Column("sections", JSON),
)
outcomes = Table(
    "outcomes",
    everything,
    Column("slot", String, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("candidate", String),
    Column("status", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("message", String, nullable=False),
    Column("data", JSON, nullable=False),
)
measurements = Table(
    "measurements",
    everything,
    Column("subject", String, primary_key=True),
    Column("split", String, primary_key=True),
    Column("settings", String, primary_key=True),
    Column("perplexity", Float, nullable=False),
    Column("sparsity", Float, nullable=False),
    Column("data", JSON, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
nodes = Table(
    "nodes",
    everything,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("text", String, nullable=False),
    Column("data", JSON, nullable=False),
)
edges = Table(
    "edges",
    everything,
    Column("source", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("generation", Integer, nullable=False),
)
calls = Table("calls", everything, Column("key", String, primary_key=True), Column("record", JSON, nullable=False))
clock = Table(
    "clock", everything, Column("session", String, primary_key=True), Column("seconds", Float, nullable=False)
)
approval_requests = Table(
    "approval_requests",
    everything,
    Column("slot", String, primary_key=True),
    Column("candidate", String, primary_key=True),
    Column("record", JSON, nullable=False),
)
approval_decisions = Table(
    "approval_decisions",
    everything,
    Column("slot", String, primary_key=True),
    Column("candidate", String, primary_key=True),
    Column("record", JSON, nullable=False),
)
approval_switches = Table(
    "approval_switches",
    everything,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("record", JSON, nullable=False),
)

ORDER = text("rowid")
"""The order in which rows were written. SQLite numbers them by itself, PostgreSQL is told to."""
_NUMBERED = DDL("ALTER TABLE %(table)s ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY")
for _table in everything.sorted_tables:
    event.listen(_table, "after_create", _NUMBERED.execute_if(dialect="postgresql"))

ALONE: dict[str, Executable] = {
    "sqlite": text("BEGIN IMMEDIATE"),
    "postgresql": select(func.pg_advisory_xact_lock(func.hashtext(func.current_schema()))),
}
"""Of two processes that open a new archive at once, one waits."""
_DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


def insert_into(table: Table, connection: Connection) -> Any:
    """An insert that knows ON CONFLICT, which each dialect has as its own."""
    return _DIALECTS[connection.dialect.name].insert(table)
