"""Copying the record of a run up to the end of one generation, as the beginning of another run.

Measurements are kept all: they are facts about sources and settings, whoever asked for them. What a chat model was
asked, paid for and answered is kept up to that generation, for the state of the fork rests on it; so is the time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select

from autoprune.runs import tables
from autoprune.runs.archive import Archive, new_session
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, EventLog, read_events
from autoprune.runs.files import open_text, read_bytes, write_atomically
from autoprune.runs.names import generation_of

COPIED = (
    tables.proposals,
    tables.outcomes,
    tables.measurements,
    tables.nodes,
    tables.edges,
    tables.calls,
    tables.approval_requests,
    tables.approval_decisions,
)
"""All but the clock, which starts at what the generations took, and how approvals were switched."""


def copy_until(
    origin: RunDirectory, old: Archive, into: RunDirectory, new: Archive, generation: int, changed: dict[str, Any]
) -> None:
    """Candidates, archive and events of the origin as they were when a generation had ended.

    `old` and `new` are the archives of origin and fork, each in a database of any kind. `changed` (setting to
    [old, new]) is kept in the fork's first event.
    """
    for file in sorted(origin.candidates.glob("*.py")):
        source = read_bytes(file, origin.path).decode(errors="replace")
        write_atomically(into.candidates / file.name, source, into.path)
    events = list(_until(read_events(origin.events_file), generation))
    _copy_rows(old, new, generation)
    new.tick(new_session(), max((event.data["seconds"] for event in events if event.kind == "spent"), default=0.0))
    log = EventLog(into.events_file)
    log.emit("forked", "forked", origin=str(origin.path), generation=generation, changed=changed)
    log.close()
    with open_text(into.events_file, "a") as lines:
        lines.writelines(event.model_dump_json() + "\n" for event in events)


def _copy_rows(old: Archive, new: Archive, generation: int) -> None:
    with old.engine.connect() as reading, new.engine.begin() as writing:
        for table in COPIED:
            found = reading.execute(select(table).order_by(tables.ORDER)).mappings()
            rows = [dict(row) for row in found if _generation_of(row) <= generation]
            if rows:
                writing.execute(table.insert(), rows)


def _generation_of(row: Mapping[Any, Any]) -> int:
    """The generation that a row belongs to, if need be by its name: g12.c3. A measurement belongs to none: 0."""
    if "generation" in row:
        return int(row["generation"])
    return generation_of(row.get("slot") or row.get("key") or "") or 0


def _until(events: Iterator[Event], generation: int) -> Iterator[Event]:
    """What happened up to the end of a generation; nothing of the run's own beginning and end."""
    for event in events:
        if event.kind == "planned" and event.data["generation"] > generation:
            return
        if event.kind not in ("run-started", "forked", "confirmed", "run-ended"):
            yield event
