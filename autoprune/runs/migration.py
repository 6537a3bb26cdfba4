"""Opening the tables of an archive, whatever version of this program made them."""

from pathlib import Path

from sqlalchemy import DDL, Column, Engine, Integer, MetaData, Table, func, inspect, select
from sqlalchemy.dialects.sqlite import insert

from autoprune.runs.format import FORMAT, refuse_newer

_own = MetaData()
_format = Table("run_format", _own, Column("version", Integer, primary_key=True, autoincrement=False))


def open_tables(engine: Engine, tables: MetaData, path: Path) -> None:
    """Make the tables, or bring those of an older archive up to date: what it holds has no value in newer columns.

    Raises UsageError for an archive of a newer format, before anything in it is touched.
    """
    found = _found(engine)
    refuse_newer(path, found)
    tables.create_all(engine)
    if found == FORMAT:
        return
    for table in tables.sorted_tables:
        there = {column["name"] for column in inspect(engine).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                with engine.begin() as connection:
                    connection.execute(DDL(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type}"))
    _own.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(_format).values(version=FORMAT).on_conflict_do_nothing())


def _found(engine: Engine) -> int:
    """The format that an archive says; 1 for one that says nothing, or is new."""
    if not inspect(engine).has_table(_format.name):
        return 1
    with engine.connect() as connection:
        return connection.execute(select(func.max(_format.c.version))).scalar() or 1
