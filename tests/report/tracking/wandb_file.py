"""Reads a .wandb file of an offline run by W&B's own record types.

The file is a log of LevelDB's format after a header of 7 bytes: blocks of 32 KiB with chunks of a checksum (4 bytes),
a length (2), a type (1: whole record, 2 to 4: its first, middle and last part) and data.
"""

import json
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class OfflineRun:
    """`history`: one dict for each logged step. `config`, `summary`: by dotted keys. `files`: names of saved files."""

    def __init__(self, path: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.id = ""
        self.project = ""
        self.exit_code: int | None = None
        self.history: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.files: set[str] = set()
        for content in _records(path.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            match record.WhichOneof("record_type"):
                case "run":
                    self.id, self.project = record.run.run_id, record.run.project
                    self.config |= _items(record.run.config.update)
                case "config":
                    self.config |= _items(record.config.update)
                case "history":
                    self.history.append(_items(record.history.item))
                case "summary":
                    self.summary |= _items(record.summary.update)
                case "files":
                    self.files |= {file.path for file in record.files.files}
                case "exit":
                    self.exit_code = record.exit.exit_code


def _records(data: bytes) -> list[bytes]:
    """The complete records of a file, which may still be written."""
    records, place, parts = [], HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if place + HEADER + length > len(data):  # not written yet
            break
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (WHOLE, LAST):
            records.append(parts)
            parts = b""
    return records


def _items(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
