"""The events of a run, one versioned JSON object per line, flushed at once.

Trace, live view and report use only events and the archive. An event whose key exists is not written again, so a step
that is run again after a crash leaves no second entry.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from autoprune.errors import UsageError
from autoprune.runs.files import cut_half_line, open_text
from autoprune.runs.format import refuse_newer
from autoprune.secrets import masked_tree

VERSION = 1
"""Version of the events; new fields do not change it. Events of a newer version are refused."""

Kind = Literal[
    "run-started",  # model, sparsity, engine, sandbox, record
    "run-resumed",  # session
    "forked",  # origin, generation, changed: {setting: [old, new]}
    "notice",  # text; of the estimate also phases: {phase: seconds}
    "target",  # unit, weights, units: statistics of the dense target
    "dense",  # perplexity
    "baseline",  # name, perplexity, sparsity, and of a tuned one parameters, tuning
    "planned",  # generation, slots: [{slot, operator, engine, parents}]
    "working",  # slot, agent
    "called",  # slot or none, generation, agent, model, tokens, usd, seconds: a chat model has answered
    "proposed",  # slot, revision, operator, engine, candidate, thought
    "reviewed",  # slot, revision, verdict, comments, by
    "asked",  # slot, candidate: waits for a person's approval
    "decided",  # slot, candidate, decision, who, comment, replacement, sha256, time
    "approval-switched",  # approval, who, time
    "ended",  # slot, candidate, status, perplexity | stage, reason, message
    "lesson",  # generation, text, by
    "explained",  # slot, candidate, text, by: what the concluded finalist does, in a plain sentence
    "spent",  # seconds, candidates, tokens, usd, agents: {role: usage}
    "confirmed",  # rows, comparisons, elsewhere, protocol: the final tables
    "run-ended",  # stop, conclusion, seconds, candidates, tokens, usd, agents
]


class Event(BaseModel):
    """One line of events.jsonl. `time` is local time with its offset, in ISO 8601."""

    model_config = ConfigDict(extra="ignore")

    version: int = VERSION
    key: str
    time: str
    kind: Kind
    data: dict[str, Any]


class _Versioned(BaseModel):
    """The field that every version of an event has."""

    version: int = VERSION


class EventLog:
    """Appends events to a file and calls listeners. One per run and process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listeners: list[Callable[[Event], None]] = []
        self._lock = threading.Lock()
        self._file = open_text(path, "a")
        self._keys = {event.key for event in read_events(path)}
        cut_half_line(path)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event from now on, in the emitting thread."""
        self._listeners.append(listener)

    def emit(self, kind: Kind, key: str | None = None, **data: Any) -> None:
        """Write one event with secrets masked. Without a key it is written each time."""
        now = datetime.now().astimezone()
        with self._lock:
            if key is None:
                key = f"{kind}@{now.timestamp():.6f}#{len(self._keys)}"
            if key in self._keys:
                return
            self._keys.add(key)
            event = Event(key=key, time=now.isoformat(timespec="milliseconds"), kind=kind, data=masked_tree(data))
            self._file.write(event.model_dump_json() + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            for listener in self._listeners:
                listener(event)

    def notice(self, text: str) -> None:
        self.emit("notice", text=text)

    def close(self) -> None:
        self._file.close()


class EventReader:
    """Reads a file of events as it grows. `count`: the number of events read so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self.count = 0

    def new(self) -> Iterator[Event]:
        """The events since the last call. An incomplete line is read again later; the file need not exist yet."""
        try:
            file = open_text(self._path, "rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._position, self.count = self._position + len(line), self.count + 1
                yield _event(self._path, self.count, line)


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file, oldest first, except a last line that a crash cut off."""
    return EventReader(path).new()


def follow_events(path: Path, wait: Callable[[], None] = lambda: time.sleep(0.2)) -> Iterator[Event]:
    """The events of a file, including new ones, until the run has ended; `wait` is called between reads."""
    reader = EventReader(path)
    while True:
        for event in reader.new():
            yield event
            if event.kind == "run-ended":
                return
        wait()


def _event(path: Path, number: int, line: bytes) -> Event:
    """Raises UsageError for an event of a newer version, and for an invalid one."""
    try:
        refuse_newer(path, _Versioned.model_validate_json(line).version, VERSION)
        return Event.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(f"{path}, line {number} is not an event: {error.errors()[0]['msg']}") from None
