"""Writes a recording during a search: each request and reply, with secrets masked, flushed at once.

The first line is {"format": "autoprune-recording", "version": 1, "started": ..., "models": ..., "target": ...,
"settings": ...}, each other one {"key": "g1.c1.propose.0.thought", "role": "proposer", "turn": 0, "reply": {...},
"problem": "", "request": {...}}.
"""

import json
import os
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoprune import __version__
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.llm.question import Question
from autoprune.llm.recorded_settings import decisive, target_name
from autoprune.llm.recording import LARGEST, LONGEST, Entry, Header, Recording
from autoprune.llm.reply import Record, Turn
from autoprune.runs.files import cut_half_line, open_text
from autoprune.secrets import masked_tree


class Recorder:
    """Appends to the recording of a run, which may hold the replies of earlier sessions. Thread-safe.

    Call `begin` before the first answer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = open_text(path, "a", errors="replace")  # lone surrogates cannot be encoded
        cut_half_line(path)

    def begin(self, header: Header, journal: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the header of a new recording, then the replies that are only in the run's journal.

        These are from the origin of a fork, or from before a crash between the two writes. They have no requests.
        """
        recorded: dict[str, dict[int, Entry]] = {}
        if os.fstat(self._file.fileno()).st_size:
            recorded = Recording.read(self._path).entries
        else:
            self._write(header.model_dump(mode="json"))
        try:
            for key, value in journal.items():
                record = Record.model_validate(value)
                for number, turn in enumerate(record.turns):
                    if number not in recorded.get(key, {}):
                        self._write(Entry(key=key, role=record.role, turn=number, reply=turn).model_dump(mode="json"))
        except ValidationError as error:
            raise UsageError(f"the run's journal holds what is no reply: {error.errors()[0]['msg']}") from None

    def add(self, question: Question, messages: list[dict[str, Any]], turn: Turn | None, problem: str) -> None:
        """Write one request with its answer, or with the reason why there is none."""
        request = {
            "messages": messages,
            "response_format": question.response_format,
            "tools": question.toolbox.declared() if question.toolbox else None,
            "temperature": question.temperature,
            "max_tokens": question.max_tokens,
        }
        entry = Entry(key=question.key, role=question.role, turn=question.turn, reply=turn, problem=problem)
        self._write(entry.model_dump(mode="json"), {name: part for name, part in request.items() if part is not None})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any], request: dict[str, Any] | None = None) -> None:
        """Write a line, without its request if the line or the file would be too long to be read."""
        with self._lock:
            text = _as_line({**line, "request": request} if request else line)
            size = len(text.encode(errors="replace"))
            if request and (size > LONGEST or os.fstat(self._file.fileno()).st_size + size > LARGEST // 2):
                text = _as_line(line)
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())


def header_of(config: Config, models: dict[str, str]) -> Header:
    """The header of a new recording. `models`: role -> chat model."""
    return Header(
        started=datetime.now().astimezone(),
        program=__version__,
        target=target_name(config.model),
        models=models,
        settings=decisive(config),
    )


def _as_line(value: dict[str, Any]) -> str:
    return json.dumps(masked_tree(value), ensure_ascii=False) + "\n"
