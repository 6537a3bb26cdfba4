"""A recording: the requests to the chat models of one search and their answers, one JSON object per line.

The first line is a header; each other line is one answer under the key of its question. A recording may come from
someone else: reading it runs nothing, contacts nothing and takes bounded memory, and its content is validated. Settings
that could contact something are ignored (`recorded_settings`).
"""

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from autoprune.config_agents import LLMSettings
from autoprune.errors import UsageError
from autoprune.llm.parse import clean
from autoprune.llm.reply import Turn
from autoprune.recordings import shipped

VERSION = 1
"""New fields do not change it; a recording of a newer version is refused."""
LARGEST = 1 << 26
LONGEST = 1 << 22
"""Bytes of a recording and of one of its lines."""
MOST_TURNS = 100
"""Answers to one question, including tool calls and a repair."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_NAME = 300
_KEY = re.compile(r"(?P<slot>g\d+(\.c\d+)?)\.\w+(\.(?P<revision>\d+))?(\.(?P<step>.+))?")
"""Slot or generation, action, revision, step."""

Name = Annotated[str, Field(max_length=LONGEST_NAME)]


class Header(BaseModel):
    """The header of a recording.

    Attributes:
        started: local time with its offset.
        program: the version of autoprune.
        target: a built-in name, a hub id, or the last part of a path.
        models: role -> chat model.
        settings: settings by dotted keys (`recorded_settings`).
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal["autoprune-recording"] = "autoprune-recording"
    version: int = VERSION
    started: AwareDatetime
    program: Name
    target: Name
    models: dict[Name, Name]
    settings: Annotated[dict[Name, Any], Field(max_length=1000)]


class Entry(BaseModel):
    """One answer. `key`: the question's (g5.c2.propose.1.code); `turn`: number of earlier answers to it.

    Without a `reply` the question failed, for the reason in `problem`. Requests are only for people, and not read.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: Annotated[str, Field(pattern=r"^g\d{1,6}(\.c\d{1,6})?(\.[\w-]{1,40}){1,4}$")]
    role: Name
    turn: Annotated[int, Field(ge=0, lt=MOST_TURNS)] = 0
    reply: Turn | None = None
    problem: str = ""

    @model_validator(mode="after")
    def _can_be_stored(self) -> "Entry":
        """Refuse NaN and very long numbers, which pydantic reads, but archives cannot store."""
        json.dumps(self.model_dump(), allow_nan=False)
        return self


class _Versioned(BaseModel):
    """The fields of every version's first line."""

    format: Literal["autoprune-recording"]
    version: int


@dataclass
class Recording:
    """A recording in memory. `entries`: by key and turn; `sha256`: of the file."""

    path: Path
    header: Header
    entries: dict[str, dict[int, Entry]] = field(default_factory=dict)
    sha256: str = ""

    @property
    def proposed(self) -> frozenset[str]:
        """The slots for which it holds a reply of the proposer."""
        return frozenset(key.partition(".propose.")[0] for key in self.entries if ".propose." in key)

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """Read and validate a file. Raises UsageError of one line.

        A later answer under the same key and turn replaces the earlier one and its later turns: the question was asked
        again, after a crash or with another prompt.
        """
        digest = hashlib.sha256()
        with _opened(path) as file:
            lines = _lines(path, file, digest)
            number, first = next(lines, (0, b""))
            if not number:
                raise UsageError(f"the recording {path} is empty")
            recording = cls(path, _header(path, first))
            for number, line in lines:
                entry = _entry(path, number, line)
                if entry is not None:
                    recording._take(entry)
        recording.sha256 = digest.hexdigest()
        return recording

    def entry(self, key: str, turn: int) -> Entry | None:
        """The answer to a question, if it was recorded."""
        return self.entries.get(key, {}).get(turn)

    @property
    def models(self) -> list[str]:
        """The models' names in their answers, most frequent first."""
        replies = (entry.reply for turns in self.entries.values() for entry in turns.values() if entry.reply)
        return [model for model, _ in Counter(clean(reply.model)[:LONGEST_NAME] for reply in replies).most_common()]

    @property
    def date(self) -> str:
        return f"{self.header.started:%Y-%m-%d}"

    def facts(self) -> dict[str, Any]:
        """Data about the recording for the run that replays it."""
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            "models": self.models[:10],
            "date": self.date,
            "target": clean(self.header.target),
        }

    def _take(self, entry: Entry) -> None:
        turns = self.entries.setdefault(entry.key, {})
        for later in [turn for turn in turns if turn > entry.turn]:
            del turns[later]
        turns[entry.turn] = entry


def open_recording(settings: LLMSettings) -> Recording:
    """The recording in the settings, a file or a shipped one; by default the first shipped one.

    Raises UsageError, also for a recording without answers.
    """
    if settings.recording:
        path: Path | None = shipped(settings.recording) or Path(settings.recording).expanduser()
    else:
        path = shipped()
    if path is None:
        raise UsageError("this installation ships no recording; name one: llm.recording=FILE")
    recording = Recording.read(path)
    if not recording.entries:
        raise UsageError(f"the recording {path} holds no replies")
    return recording


def replays(settings: LLMSettings) -> bool:
    return settings.provider == "replay" or (settings.provider == "auto" and settings.recording is not None)


def place_of(key: str) -> str:
    """A question's place in a search as text: `g5.c2, revision 1 (code)`."""
    parts = _KEY.fullmatch(key)
    if parts is None:
        return key
    revision = f", revision {parts['revision']}" if parts["revision"] not in (None, "0") else ""
    return f"{parts['slot']}{revision}{f' ({step})' if (step := parts['step']) else ''}"


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file, possibly through a link; a pipe would block forever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UsageError(f"cannot read the recording {path}: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UsageError(f"cannot read the recording {path}: it is no regular file")
    return os.fdopen(handle, "rb")


def _lines(path: Path, file: IO[bytes], digest: Any) -> Iterator[tuple[int, bytes]]:
    """The non-empty lines with their numbers."""
    size, number = 0, 0
    while line := file.readline(LONGEST + 1):
        size, number = size + len(line), number + 1
        if len(line) > LONGEST:
            raise UsageError(f"the recording {path}, line {number}, has more than {LONGEST:,} bytes")
        if size > LARGEST:
            raise UsageError(f"the recording {path} has more than {LARGEST:,} bytes")
        digest.update(line)
        line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if line.strip():
            yield number, line


def _header(path: Path, line: bytes) -> Header:
    try:
        version = _Versioned.model_validate_json(line).version
    except ValidationError:
        raise UsageError(f"{path} is not a recording: its first line is not the header of one") from None
    if version > VERSION:
        raise UsageError(
            f"the recording {path} was written by a newer autoprune (version {version}, this one reads up to {VERSION})"
        )
    try:
        return Header.model_validate_json(line)
    except ValidationError as error:
        raise UsageError(f"the header of the recording {path} cannot be used: {_problem(error)}") from None


def _entry(path: Path, number: int, line: bytes) -> Entry | None:
    """None for a last line that a crash cut off."""
    try:
        return Entry.model_validate_json(line)
    except (ValidationError, RecursionError) as error:
        if not line.endswith(b"\n"):
            return None
        problem = _problem(error) if isinstance(error, ValidationError) else "it is nested too deeply"
        raise UsageError(f"the recording {path}, line {number}, holds no reply: {problem}") from None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"][:6])
    return " ".join(f"{where}{': ' * bool(where)}{first['msg']}"[:200].split())
