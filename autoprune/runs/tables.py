"""The tables of an archive: their definition, migration, and the differences between SQLite and PostgreSQL."""

from collections.abc import Mapping
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


def _table(name: str, key: Mapping[str, Any], values: Mapping[str, Any], **optional: Any) -> Table:
    """A table by the types of its columns: those of its primary key, those that are never NULL, and the others."""
    columns = [Column(column, kind, primary_key=True) for column, kind in key.items()]
    columns += [Column(column, kind, nullable=False) for column, kind in values.items()]
    return Table(name, everything, *columns, *(Column(column, kind) for column, kind in optional.items()))


proposals = _table(
    "proposals",
    {"slot": String, "revision": Integer},
    {"generation": Integer, "operator": String, "engine": String, "parents": JSON, "thought": JSON, "chain": JSON},
    candidate=String,
    sections=JSON,
)
outcomes = _table(
    "outcomes",
    {"slot": String},
    {"generation": Integer, "status": String, "stage": String, "reason": String, "message": String, "data": JSON},
    candidate=String,
)
measurements = _table(
    "measurements",
    {"subject": String, "split": String, "settings": String},
    {"perplexity": Float, "sparsity": Float, "data": JSON, "signature": LargeBinary},
)
nodes = _table("nodes", {"id": String}, {"kind": String, "generation": Integer, "text": String, "data": JSON})
edges = _table("edges", {"source": String, "target": String, "kind": String}, {"generation": Integer})
calls = _table("calls", {"key": String}, {"record": JSON})
clock = _table("clock", {"session": String}, {"seconds": Float})
approval_requests = _table("approval_requests", {"slot": String, "candidate": String}, {"record": JSON})
approval_decisions = _table("approval_decisions", {"slot": String, "candidate": String}, {"record": JSON})
approval_switches = _table("approval_switches", {"number": Integer}, {"record": JSON})

ORDER = text("rowid")
"""The order in which rows were written. SQLite has this column by default, PostgreSQL needs a definition."""
_NUMBERED = DDL("ALTER TABLE %(table)s ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY")
for _each in everything.sorted_tables:
    event.listen(_each, "after_create", _NUMBERED.execute_if(dialect="postgresql"))

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
