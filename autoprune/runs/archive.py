"""Every candidate of a run with its measurements, its place in the reasoning graph, and every reply paid for.

Rows are facts, written once: writing the same fact again changes nothing. What can be computed from facts (credit,
the bandit's odds, the best so far) is not stored. So a step that is run again after a crash counts nothing twice.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from autoprune.errors import AutoPruneError
from autoprune.runs.approvals import Approvals
from autoprune.runs.migration import open_tables

_tables = MetaData()
_proposals = Table(
    "proposals",
    _tables,
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
_outcomes = Table(
    "outcomes",
    _tables,
    Column("slot", String, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("candidate", String),
    Column("status", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("message", String, nullable=False),
    Column("data", JSON, nullable=False),
)
_measurements = Table(
    "measurements",
    _tables,
    Column("subject", String, primary_key=True),
    Column("split", String, primary_key=True),
    Column("settings", String, primary_key=True),
    Column("perplexity", Float, nullable=False),
    Column("sparsity", Float, nullable=False),
    Column("data", JSON, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
_nodes = Table(
    "nodes",
    _tables,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("text", String, nullable=False),
    Column("data", JSON, nullable=False),
)
_edges = Table(
    "edges",
    _tables,
    Column("source", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("generation", Integer, nullable=False),
)
_calls = Table("calls", _tables, Column("key", String, primary_key=True), Column("record", JSON, nullable=False))
_clock = Table("clock", _tables, Column("session", String, primary_key=True), Column("seconds", Float, nullable=False))


@dataclass(frozen=True)
class Proposal:
    """What a proposer answered in one slot of a generation. `candidate` is None when no code came.

    `sections`: the parts of the prompt that were drawn for it; None where nothing was drawn.
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
    """How a slot ended: measured, stopped, failed, duplicate, rejected or unusable; with stage and reason when not
    measured. Only of a measured one `data` has a `perplexity`: that of all windows."""

    slot: str
    generation: int
    candidate: str | None
    status: str
    stage: str = ""
    reason: str = ""
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One measurement of a candidate (by hash) or a baseline (`baseline:wanda+uniform`) on one split."""

    subject: str
    split: str
    settings: str
    perplexity: float
    sparsity: float
    data: dict[str, Any]
    signature: bytes = b""


@dataclass(frozen=True)
class Node:
    """One thought in the reasoning graph."""

    id: str
    kind: str
    generation: int
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """One typed link between thoughts."""

    source: str
    target: str
    kind: str
    generation: int


class Archive:
    """The run's SQLite file. Safe to use from several threads of one process. `approvals` holds who let what run.

    Raises AutoPruneError for a file that is no archive, UsageError for one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}", json_serializer=_dump)
        event.listen(self._engine, "connect", _durable)
        try:
            open_tables(self._engine, _tables, path)
            self.approvals = Approvals(self._engine)
        except DatabaseError as error:
            raise AutoPruneError(f"{path} cannot be used as an archive: {error.orig}") from None

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def add_proposal(self, proposal: Proposal) -> None:
        self._put(_proposals, [vars(proposal)])

    def proposals(self, generation: int | None = None) -> list[Proposal]:
        """All proposals in order of slot and revision; a slot's last one is what was decided on."""
        rows = self._all(_proposals, Proposal)
        rows.sort(key=lambda row: (row.generation, _natural(row.slot), row.revision))
        return [row for row in rows if generation is None or row.generation == generation]

    def proposal(self, slot: str) -> Proposal | None:
        """The last revision of a slot's proposal."""
        found = [row for row in self.proposals() if row.slot == slot]
        return found[-1] if found else None

    def add_outcome(self, outcome: Outcome) -> None:
        self._put(_outcomes, [vars(outcome)])

    def outcomes(self, generation: int | None = None) -> list[Outcome]:
        """All outcomes in order of slot."""
        rows = self._all(_outcomes, Outcome)
        rows.sort(key=lambda row: (row.generation, _natural(row.slot)))
        return [row for row in rows if generation is None or row.generation == generation]

    def add_measurement(self, measured: Measured) -> None:
        self._put(_measurements, [vars(measured)])

    def measurement(self, subject: str, split: str, settings: str) -> Measured | None:
        """The measurement under exactly these settings, or None."""
        columns = _measurements.c
        found = self._all(
            _measurements,
            Measured,
            columns.subject == subject,
            columns.split == split,
            columns.settings == settings,
        )
        return found[0] if found else None

    def measurements(self, split: str) -> list[Measured]:
        """All measurements on a split, in the order in which they were made."""
        return self._all(_measurements, Measured, _measurements.c.split == split)

    def add_thoughts(self, nodes: Iterable[Node], edges: Iterable[Edge]) -> None:
        self._put(_nodes, [vars(node) for node in nodes])
        self._put(_edges, [vars(edge) for edge in edges])

    def nodes(self) -> list[Node]:
        return self._all(_nodes, Node)

    def edges(self) -> list[Edge]:
        return self._all(_edges, Edge)

    def get(self, key: str) -> dict[str, Any] | None:
        """The journal of chat calls: the record under a key (see `agents.chat`)."""
        with self._engine.connect() as connection:
            return connection.execute(select(_calls.c.record).where(_calls.c.key == key)).scalar()

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Store or replace the record of one chat call; on disk when this returns."""
        with self._engine.begin() as connection:
            statement = insert(_calls).values(key=key, record=record)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"record": record}))

    def calls(self) -> dict[str, dict[str, Any]]:
        """All records of chat calls by key."""
        with self._engine.connect() as connection:
            return {row.key: row.record for row in connection.execute(select(_calls))}

    def tick(self, session: str, seconds: float) -> None:
        """Keep how long a session (one process working on the run) has lasted."""
        with self._engine.begin() as connection:
            statement = insert(_clock).values(session=session, seconds=seconds)
            connection.execute(statement.on_conflict_do_update(index_elements=["session"], set_={"seconds": seconds}))

    def seconds(self, but: str = "") -> float:
        """How long all sessions but one have lasted together."""
        with self._engine.connect() as connection:
            return sum(row.seconds for row in connection.execute(select(_clock)) if row.session != but)

    def _put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(table).on_conflict_do_nothing(), rows)

    def _all(self, table: Table, kind: type, *conditions: Any) -> list[Any]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).where(*conditions).order_by(text("rowid")))
            return [kind(**row._mapping) for row in rows]


def _durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=10000")


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _natural(slot: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in "".join(c if c.isdigit() else " " for c in slot).split())


def new_session() -> str:
    """A name for one process' work on a run."""
    return f"{time.time_ns()}"
