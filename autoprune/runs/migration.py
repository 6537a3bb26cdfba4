"""Opening the tables of an archive, whatever version of this program made them, and in whatever database they are."""

from sqlalchemy import DDL, Column, Engine, Integer, MetaData, Table, func, inspect, select

from autoprune.runs.format import FORMAT, refuse_newer
from autoprune.runs.tables import ALONE, everything, insert_into

_own = MetaData()
_format = Table("run_format", _own, Column("version", Integer, primary_key=True, autoincrement=False))


def open_tables(engine: Engine, place: object) -> None:
    """Make the tables, or bring those of an older archive up to date: what it holds has no value in newer columns.

    `place`: what is being opened, for people. Raises UsageError for an archive of a newer format, before anything in
    it is touched.
    """
    found = _found(engine)
    refuse_newer(place, found)
    if found == FORMAT:
        return
    with engine.begin() as connection:
        connection.execute(ALONE[engine.dialect.name])
        everything.create_all(connection)
        for table in everything.sorted_tables:
            there = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in there:
                    connection.execute(DDL(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type}"))
        _own.create_all(connection)
        connection.execute(insert_into(_format, connection).values(version=FORMAT).on_conflict_do_nothing())


def _found(engine: Engine) -> int:
    """The format that an archive says; 0 for one that says nothing, or is new."""
    if not inspect(engine).has_table(_format.name):
        return 0
    with engine.connect() as connection:
        return connection.execute(select(func.max(_format.c.version))).scalar() or 0
