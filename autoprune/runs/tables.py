"""The tables of an archive: their definition, migration, and the differences between SQLite and PostgreSQL."""

from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Connection,
    Engine,
    Executable,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from autoprune.runs.format import FORMAT, refuse_newer

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
"""The order in which rows were written. SQLite has this column by default, PostgreSQL needs a definition."""
_NUMBERED = DDL("ALTER TABLE %(table)s ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY")
for _table in everything.sorted_tables:
    event.listen(_table, "after_create", _NUMBERED.execute_if(dialect="postgresql"))

_format_table = MetaData()
_format = Table("run_format", _format_table, Column("version", Integer, primary_key=True, autoincrement=False))
_LOCK: dict[str, Executable] = {
    "sqlite": text("BEGIN IMMEDIATE"),
    "postgresql": select(func.pg_advisory_xact_lock(func.hashtext(func.current_schema()))),
}
"""Makes one of two processes that open a new archive at once wait."""
_DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


def insert_into(table: Table, connection: Connection) -> Any:
    """The dialect's insert statement, which supports ON CONFLICT."""
    return _DIALECTS[connection.dialect.name].insert(table)


def open_tables(engine: Engine, place: object) -> None:
    """Create the tables, or add the columns that an older archive lacks, without values.

    `place`: the archive, for messages. Raises UsageError for an archive of a newer format before it is changed.
    """
    version = _version(engine)
    refuse_newer(place, version)
    if version == FORMAT:
        return
    with engine.begin() as connection:
        connection.execute(_LOCK[engine.dialect.name])
        everything.create_all(connection)
        for table in everything.sorted_tables:
            existing = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in existing:
                    connection.execute(DDL(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type}"))
        _format_table.create_all(connection)
        connection.execute(insert_into(_format, connection).values(version=FORMAT).on_conflict_do_nothing())


def _version(engine: Engine) -> int:
    """The format of an archive; 0 for a new one, or one without."""
    if not inspect(engine).has_table(_format.name):
        return 0
    with engine.connect() as connection:
        return connection.execute(select(func.max(_format.c.version))).scalar() or 0
