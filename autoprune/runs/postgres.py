"""A run's schema in a PostgreSQL database; needs the extra `postgres`.

One database serves many runs: each has a schema of its own, with the tables of its archive and of its checkpoints.
Parameters that are not in the URL come from libpq's defaults: the PG* variables, ~/.pgpass and ~/.pg_service.conf.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autoprune.config_values import Database
from autoprune.errors import UsageError, message_of

if TYPE_CHECKING:
    from psycopg import Connection

INSTALL = "a run on PostgreSQL needs the extra postgres: pip install 'autoprune[postgres]'"
PATIENCE = "10"
"""Seconds to wait for a server, unless the URL or PGCONNECT_TIMEOUT has another value."""
NAME = 40
"""Characters of a run's name in that of its schema; PostgreSQL cuts names at 63."""
REMEDIES = {
    "password": "it is taken from the URL, PGPASSWORD or ~/.pgpass",
    "does not exist": "make it with createdb or createuser, or name another one",
    "permission denied for database": "its owner may GRANT CREATE ON DATABASE",
}
"""Part of the server's message -> advice."""


@dataclass(frozen=True)
class Schema:
    """A run's schema in a database."""

    database: Database
    name: str

    @classmethod
    def create(cls, database: Database, run: str) -> "Schema":
        """A new, empty schema that is named after its run."""
        words = re.sub(r"[^a-z0-9]+", "_", run.lower()).strip("_")[:NAME]
        schema = cls(database, f"autoprune_{words}_{secrets.token_hex(4)}")
        with explained(database), closing(_connect(database)) as connection:
            sql = driver().sql
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema.name)))
        return schema

    def drop(self) -> None:
        """Remove the schema and everything in it. Raises UsageError like `connect`."""
        with closing(self.connect(autocommit=True)) as connection, explained(self.database):
            sql = driver().sql
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self.name)))

    def connect(self, autocommit: bool = False, **options: Any) -> "Connection[Any]":
        """A connection with this schema as search path. `options`: for psycopg.connect.

        Raises UsageError when the server cannot be reached, refuses access, or has no such schema.
        """
        with explained(self.database):
            connection = _connect(self.database, **options)
            cursor = connection.cursor(row_factory=driver().rows.tuple_row).execute(
                "SELECT to_regnamespace(%(name)s) IS NOT NULL, set_config('search_path', %(name)s, false)",
                {"name": self.name},
            )
            row = cursor.fetchone()
        if not row or not row[0]:
            connection.close()
            raise UsageError(f"the database {self.database.url} has no schema {self.name}, which this run wrote to")
        connection.autocommit = autocommit
        return connection

    def __str__(self) -> str:
        return f"{self.database.url}, schema {self.name}"


def driver() -> ModuleType:
    """The package psycopg. Raises UsageError when the extra is not installed."""
    try:
        import psycopg
    except ImportError:
        raise UsageError(INSTALL) from None
    return psycopg


def driver_errors() -> tuple[type[Exception], ...]:
    """Exceptions of connections to PostgreSQL; empty if the extra is not installed."""
    try:
        return (driver().Error,)
    except UsageError:
        return ()


def _connect(database: Database, **options: Any) -> "Connection[Any]":
    """A connection in autocommit mode, so that SET is not rolled back."""
    psycopg = driver()
    defaults = {"connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", PATIENCE), "application_name": "autoprune"}
    from_url = psycopg.conninfo.conninfo_to_dict(database.url)
    password = {"password": database.password} if database.password else {}
    connection: Connection[Any] = psycopg.connect(**{**defaults, **from_url, **password}, **options, autocommit=True)
    return connection


@contextmanager
def explained(database: Database) -> Iterator[None]:
    """Turns errors of the server into a UsageError of one line."""
    try:
        yield
    except driver_errors() as error:
        reason = message_of(error)
        remedy = next((f"; {remedy}" for word, remedy in REMEDIES.items() if word in reason), "")
        raise UsageError(f"cannot use the database {database.url}: {reason}{remedy}") from None
