"""Where the state machine stands: checkpoints in the run's SQLite file, or in its schema of a PostgreSQL database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.postgres import INSTALL, Schema, explained

THREAD: RunnableConfig = {"configurable": {"thread_id": "search"}}
"""The name of a run's checkpoints; no run shares its file or its schema with another."""


@contextmanager
def open_checkpoints(run: RunDirectory, config: Config | None = None) -> Iterator[BaseCheckpointSaver[Any]]:
    """The checkpoints of a run, wherever they are. `config`: its settings, if they know the database's password."""
    schema = run.schema(config)
    if schema is not None:
        with _in_schema(schema) as saver:
            yield saver
    else:
        with closing(sqlite3.connect(run.checkpoints_file, check_same_thread=False)) as connection:
            yield SqliteSaver(connection)


@contextmanager
def _in_schema(schema: Schema) -> Iterator[BaseCheckpointSaver[Any]]:
    try:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg.rows import dict_row
    except ImportError:
        raise UsageError(INSTALL) from None
    with closing(schema.connect(autocommit=True, prepare_threshold=0, row_factory=dict_row)) as connection:
        saver = PostgresSaver(connection)
        with explained(schema.database):
            saver.setup()
        yield saver
