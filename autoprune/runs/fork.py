"""Copying the record of a run up to the end of one generation, as the beginning of another run.

Measurements are kept all: they are facts about sources and settings, whoever asked for them. What a chat model was
asked, paid for and answered is kept up to that generation, for the state of the fork rests on it; so is the time.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from autoprune.runs.archive import Archive, new_session
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, EventLog, read_events

_BY_GENERATION = ("proposals", "outcomes", "nodes", "edges")
_BY_SLOT = {"approval_requests": "slot", "approval_decisions": "slot", "calls": "key"}


def copy_until(origin: RunDirectory, into: RunDirectory, generation: int, changed: dict[str, Any]) -> None:
    """Candidates, archive and events of the origin as they were when a generation had ended.

    `changed` (setting to [old, new]) is kept in the fork's first event.
    """
    shutil.copytree(origin.candidates, into.candidates, dirs_exist_ok=True)
    events = list(_until(read_events(origin.events_file), generation))
    seconds = max((event.data["seconds"] for event in events if event.kind == "spent"), default=0.0)
    with closing(sqlite3.connect(origin.archive_file)) as theirs, closing(sqlite3.connect(into.archive_file)) as ours:
        theirs.backup(ours)
    archive = Archive(into.archive_file)  # an archive of an older version gets the tables that it lacks
    archive.close()
    with closing(sqlite3.connect(into.archive_file)) as ours, ours:
        for table in _BY_GENERATION:
            ours.execute(f"DELETE FROM {table} WHERE generation > ?", (generation,))
        for table, column in _BY_SLOT.items():  # names begin with the generation: g12.c3
            ours.execute(f"DELETE FROM {table} WHERE CAST(substr({column}, 2) AS INTEGER) > ?", (generation,))
        ours.execute("DELETE FROM approval_switches")
        ours.execute("DELETE FROM clock")
        ours.execute("INSERT INTO clock VALUES (?, ?)", (new_session(), seconds))
    log = EventLog(into.events_file)
    log.emit("forked", "forked", origin=str(origin.path), generation=generation, changed=changed)
    log.close()
    with into.events_file.open("a", encoding="utf-8") as lines:
        lines.writelines(event.model_dump_json() + "\n" for event in events)


def _until(events: Iterator[Event], generation: int) -> Iterator[Event]:
    """What happened up to the end of a generation; nothing of the run's own beginning and end."""
    for event in events:
        if event.kind == "planned" and event.data["generation"] > generation:
            return
        if event.kind not in ("run-started", "forked", "confirmed", "run-ended"):
            yield event
