"""Copies the records of a run up to the end of a generation into a new run.

All measurements are copied, since they depend only on sources and settings. Calls of chat models and the time spent are
copied up to that generation.
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
"""All tables except the clock, which starts at the time of the copied generations, and the approval switches."""


def copy_until(
    origin: RunDirectory, old: Archive, into: RunDirectory, new: Archive, generation: int, changed: dict[str, Any]
) -> None:
    """Copy candidates, archive and events of the origin as they were at the end of a generation.

    `old`, `new`: the archives of origin and fork. `changed`: setting -> [old, new], for the fork's first event.
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
            selected = reading.execute(select(table).order_by(tables.ORDER)).mappings()
            rows = [dict(row) for row in selected if _generation_of(row) <= generation]
            if rows:
                writing.execute(table.insert(), rows)


def _generation_of(row: Mapping[Any, Any]) -> int:
    """The generation of a row, by its column, slot or key; 0 for measurements, which belong to none."""
    if "generation" in row:
        return int(row["generation"])
    return generation_of(row.get("slot") or row.get("key") or "") or 0


def _until(events: Iterator[Event], generation: int) -> Iterator[Event]:
    """The events up to the end of a generation, without those of the run's start and end."""
    for event in events:
        if event.kind == "planned" and event.data["generation"] > generation:
            return
        if event.kind not in ("run-started", "forked", "confirmed", "run-ended"):
            yield event
