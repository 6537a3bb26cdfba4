"""The state machine's checkpoints, in the run's SQLite file or in its schema of a PostgreSQL database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver

from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError, message_of
from autoprune.runs.directory import RunDirectory
from autoprune.runs.files import checked_database, unwritable
from autoprune.runs.postgres import INSTALL, Schema, explained
from autoprune.search.checkpoint_values import PlainValues

THREAD: RunnableConfig = {"configurable": {"thread_id": "search"}}
"""The thread of all checkpoints; each run has its own file or schema."""


@contextmanager
def open_checkpoints(run: RunDirectory, config: Config | None = None) -> Iterator[BaseCheckpointSaver[Any]]:
    """The checkpoints of a run. `config`: its settings, if they hold the database's password."""
    schema = run.schema(config)
    if schema is not None:
        with _in_schema(schema, PlainValues(run.path)) as saver:
            yield saver
    else:
        file = checked_database(run.checkpoints_file)
        with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
            saver = SqliteSaver(connection, serde=PlainValues(run.path))
            try:
                saver.setup()
            except sqlite3.DatabaseError as error:
                if unwritable(error):
                    raise AutoPruneError(f"{file} cannot be written: {error}") from None
                raise UsageError(f"{file} cannot be used as a file of checkpoints: {error}") from None
            yield saver


@contextmanager
def reading(run: RunDirectory) -> Iterator[None]:
    """Turns errors from invalid checkpoints into a UsageError of one line."""
    try:
        yield
    except (sqlite3.DatabaseError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"the checkpoints of {run.path} cannot be read: {message_of(error)[:200]}") from None


@contextmanager
def _in_schema(schema: Schema, values: PlainValues) -> Iterator[BaseCheckpointSaver[Any]]:
    try:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg.rows import dict_row
    except ImportError:
        raise UsageError(INSTALL) from None
    with closing(schema.connect(autocommit=True, prepare_threshold=0, row_factory=dict_row)) as connection:
        saver = PostgresSaver(connection, serde=values)
        with explained(schema.database):
            saver.setup()
        yield saver
