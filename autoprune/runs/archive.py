"""The archive of a run: candidates, measurements, the reasoning graph, approvals, and replies of chat models.

Rows are written once; writing the same row again has no effect, so a step that is run again after a crash counts
nothing twice. Values that can be computed from rows (credit, the bandit's odds, the best so far) are not stored.
"""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, Table, create_engine, event, select
from sqlalchemy.exc import DatabaseError

from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError, message_of
from autoprune.runs import tables
from autoprune.runs.approvals import Approvals
from autoprune.runs.directory import RunDirectory
from autoprune.runs.files import checked_database, unwritable
from autoprune.runs.measurement import Measurement
from autoprune.runs.postgres import Schema, driver
from autoprune.runs.tables import ORDER, insert_into, open_tables
from autoprune.secrets import masked, masked_tree

COLUMNS = {"subject", "split", "perplexity", "sparsity", "signature"}
"""Fields of a measurement with a column of their own."""
SEED = "seed."
"""Prefix of published scores among the parents of a proposal; the other parents are slots."""


@dataclass(frozen=True)
class Proposal:
    """A proposer's answer in one slot of a generation. `candidate`: None without code.

    `sections`: the sections of the prompt that were drawn; None if sections were not drawn.
    """

    slot: str
    revision: int
    generation: int
    operator: str
    engine: str
    parents: list[str]
    thought: dict[str, Any]
    candidate: str | None
    chain: list[dict[str, Any]] = field(default_factory=list)
    sections: list[str] | None = None


@dataclass(frozen=True)
class Outcome:
    """The end of a slot. `status`: measured, stopped, failed, duplicate, rejected or unusable; with stage and reason
    unless measured. Only if measured, `data` has a `perplexity`, that of all windows."""

    slot: str
    generation: int
    candidate: str | None
    status: str
    stage: str = ""
    reason: str = ""
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """One node of the reasoning graph."""

    id: str
    kind: str
    generation: int
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """One typed edge of the reasoning graph."""

    source: str
    target: str
    kind: str
    generation: int


class Archive:
    """The archive in a run's SQLite file, or in its schema of a PostgreSQL database.

    Thread-safe. Raises UsageError for anything that is not an archive, and for one of a newer format.
    """

    def __init__(self, place: Path | Schema) -> None:
        self.engine = _engine(place)
        try:
            open_tables(self.engine, place)
        except DatabaseError as error:
            if unwritable(error.orig):
                raise AutoPruneError(f"{place} cannot be written: {message_of(error.orig)}") from None
            raise UsageError(f"{place} cannot be used as an archive: {message_of(error.orig)}") from None
        self.approvals = Approvals(self.engine)

    @classmethod
    def of(cls, run: RunDirectory, config: Config | None = None) -> "Archive":
        """The archive of a run. `config`: its settings, if they hold the database's password."""
        return cls(run.schema(config) or checked_database(run.archive_file))

    def close(self) -> None:
        """Release the file or the connections."""
        self.engine.dispose()

    def add_proposal(self, proposal: Proposal) -> None:
        self._put(tables.proposals, [vars(proposal)])

    def proposals(self, generation: int | None = None) -> list[Proposal]:
        """All proposals in order of slot and revision; the last one of a slot is the current one."""
        rows = self._all(tables.proposals, Proposal)
        rows.sort(key=lambda row: (row.generation, _natural(row.slot), row.revision))
        return [row for row in rows if generation is None or row.generation == generation]

    def proposal(self, slot: str) -> Proposal | None:
        """The last revision of a slot's proposal."""
        revisions = [row for row in self.proposals() if row.slot == slot]
        return revisions[-1] if revisions else None

    def add_outcome(self, outcome: Outcome) -> None:
        self._put(tables.outcomes, [vars(outcome)])

    def outcomes(self, generation: int | None = None) -> list[Outcome]:
        rows = self._all(tables.outcomes, Outcome)
        rows.sort(key=lambda row: (row.generation, _natural(row.slot)))
        return [row for row in rows if generation is None or row.generation == generation]

    def add_measurement(self, key: str, measured: Measurement) -> None:
        """Store a measurement under the key of everything that it depends on."""
        row = measured.model_dump(include=COLUMNS)
        self._put(tables.measurements, [{**row, "settings": key, "data": measured.model_dump(exclude=COLUMNS)}])

    def measurement(self, subject: str, split: str, key: str) -> Measurement | None:
        """The measurement under exactly this key, or None."""
        columns = tables.measurements.c
        rows = self._measurements(columns.subject == subject, columns.split == split, columns.settings == key)
        return rows[0] if rows else None

    def measurements(self, split: str) -> list[Measurement]:
        """All measurements on a split in the order in which they were made."""
        return self._measurements(tables.measurements.c.split == split)

    def subjects(self, split: str) -> list[str]:
        """The subjects of all measurements on a split in order, repeated for each of their settings."""
        columns = tables.measurements.c
        with self.engine.connect() as connection:
            rows = connection.execute(select(columns.subject).where(columns.split == split).order_by(ORDER))
            return list(rows.scalars())

    def add_thoughts(self, nodes: Iterable[Node], edges: Iterable[Edge]) -> None:
        self._put(tables.nodes, [vars(node) for node in nodes])
        self._put(tables.edges, [vars(edge) for edge in edges])

    def nodes(self) -> list[Node]:
        return self._all(tables.nodes, Node)

    def edges(self) -> list[Edge]:
        return self._all(tables.edges, Edge)

    def get(self, key: str) -> dict[str, Any] | None:
        """The journal of chat calls: the record under a key (see `llm`)."""
        with self.engine.connect() as connection:
            return connection.execute(select(tables.calls.c.record).where(tables.calls.c.key == key)).scalar()

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Store or replace the record of one chat call, durably."""
        with self.engine.begin() as connection:
            statement = insert_into(tables.calls, connection).values(key=key, record=record)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"record": record}))

    def calls(self) -> dict[str, dict[str, Any]]:
        with self.engine.connect() as connection:
            return {row.key: row.record for row in connection.execute(select(tables.calls).order_by(ORDER))}

    def tick(self, session: str, seconds: float) -> None:
        """Store the duration of a session (one process working on the run)."""
        with self.engine.begin() as connection:
            statement = insert_into(tables.clock, connection).values(session=session, seconds=seconds)
            connection.execute(statement.on_conflict_do_update(index_elements=["session"], set_={"seconds": seconds}))

    def seconds(self, but: str = "") -> float:
        """The total duration of all sessions except `but`."""
        with self.engine.connect() as connection:
            return sum(row.seconds for row in connection.execute(select(tables.clock)) if row.session != but)

    def _measurements(self, *conditions: Any) -> list[Measurement]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(tables.measurements).where(*conditions).order_by(ORDER))
            return [_measurement(dict(row._mapping)) for row in rows]

    def _put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            with self.engine.begin() as connection:
                connection.execute(insert_into(table, connection).on_conflict_do_nothing(), list(map(_safe, rows)))

    def _all(self, table: Table, kind: type, *conditions: Any) -> list[Any]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(table).where(*conditions).order_by(ORDER))
            return [_checked(kind, dict(row._mapping)) for row in rows]


def _measurement(row: dict[str, Any]) -> Measurement:
    """Raises ValueError for a row whose values have other types."""
    return Measurement.model_validate({**row["data"], **{name: row[name] for name in COLUMNS}})


@cache
def _reader(kind: type) -> TypeAdapter[Any]:
    """Cached, since making one takes milliseconds, and reading a row with it microseconds."""
    return TypeAdapter(kind)


def _checked(kind: type, row: dict[Any, Any]) -> Any:
    """A row as an object. Raises ValueError for values of other types, since SQLite does not check columns."""
    record: Any = _reader(kind).validate_python(row)
    if isinstance(record, Outcome) and record.status == "measured":
        perplexity = record.data.get("perplexity")
        if not isinstance(perplexity, int | float) or not math.isfinite(perplexity):
            raise ValueError(f"{record.slot} is measured, but has no perplexity")
    return record


def _engine(place: Path | Schema) -> Engine:
    options = {"json_serializer": _dump, "json_deserializer": partial(_load, place)}
    if isinstance(place, Schema):
        engine = create_engine("postgresql+psycopg://", module=driver(), **options)
        event.listen(engine, "do_connect", lambda _dialect, _record, _arguments, options: place.connect(**options))
    else:
        engine = create_engine(f"sqlite:///{place}", **options)
        event.listen(engine, "connect", _durable)
    return engine


def _durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=10000")


def _dump(value: Any) -> str:
    return json.dumps(masked_tree(value), allow_nan=False)


def _safe(row: dict[str, Any]) -> dict[str, Any]:
    """A row with secrets masked in its text; JSON columns are masked when they are serialized."""
    return {name: masked(value) if isinstance(value, str) else value for name, value in row.items()}


def _load(place: Path | Schema, text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} cannot be used as an archive: it holds what is no JSON ({error})") from None


def _natural(slot: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in "".join(c if c.isdigit() else " " for c in slot).split())


def new_session() -> str:
    """A name for one process's work on a run."""
    return str(time.time_ns())
