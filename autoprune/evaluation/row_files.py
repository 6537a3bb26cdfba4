"""Reading files of rows as columns: JSON (lines, or one document), Parquet, CSV and TSV, optionally gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoprune.errors import UsageError, first_line
from autoprune.evaluation.chats import is_chat
from autoprune.evaluation.columns import TEXT, Columns, Kind, kinds_of
from autoprune.text_files import decode_text

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")
COMPRESSED = ".gz"


def is_row_file(name: str) -> bool:
    """Whether a file is read as rows instead of one text, by its name."""
    return name.lower().removesuffix(COMPRESSED).endswith(SUFFIXES)


def read_row_file(path: Path) -> Columns:
    """The columns of a file, by its suffix. Raises UsageError for an unreadable file."""
    name = path.name.lower()
    try:
        data = path.read_bytes()
        if name.endswith(COMPRESSED):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read the rows {path}: {getattr(error, 'strerror', None) or error}") from None
    kind = name.removesuffix(COMPRESSED).rpartition(".")[2]
    if kind in ("parquet", "csv", "tsv"):
        return _of_table(path, data, kind)
    return _of_json(path, decode_text(data, f"the file {path}"), lines=kind != "json")


def _of_table(path: Path, data: bytes, kind: str) -> Columns:
    import pyarrow
    from pyarrow import csv, parquet

    if kind != "parquet":
        data = decode_text(data, f"the file {path}").encode()
    buffer = pyarrow.BufferReader(data)
    try:
        if kind == "parquet":
            table = parquet.read_table(buffer)
        else:
            parse = csv.ParseOptions(delimiter="\t" if kind == "tsv" else ",", newlines_in_values=True)
            table = csv.read_csv(buffer, parse_options=parse)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path} is no {kind} file that can be read: {first_line(error)}") from None
    return Columns(kinds_of(table.schema), lambda name: table[name].to_pylist())


def _of_json(path: Path, text: str, lines: bool) -> Columns:
    """The columns of JSON objects, one per line or in one list. Rows may have different keys."""
    try:
        rows = list(_json_lines(text)) if lines else _json_document(text)
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is not JSON that can be read: it is nested too deeply") from None
    rows = [{TEXT: row} if isinstance(row, str) else row for row in rows]
    if wrong := next((row for row in rows if not isinstance(row, dict)), None):
        raise UsageError(f"{path} holds a {type(wrong).__name__} where a row is meant; give one object a row")
    names = list(dict.fromkeys(name for row in rows for name in row))

    def values(name: str) -> list[Any]:
        return [row[name] for row in rows if row.get(name) not in (None, [])]

    def kind(name: str) -> Kind:
        cells = values(name)
        if cells and all(isinstance(value, str) for value in cells):
            return "text"
        return "chat" if cells and all(is_chat(value) for value in cells) else "other"

    return Columns({name: kind(name) for name in names}, values)


def _json_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):  # unlike splitlines, keeps U+2028 within strings
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _json_document(text: str) -> list[Any]:
    """The rows of a document: a list, the only list in an object, or JSON lines in a file with the suffix .json."""
    try:
        document = json.loads(text)
    except ValueError:
        return list(_json_lines(text))
    if isinstance(document, dict):
        lists = [
            value
            for value in document.values()
            if isinstance(value, list) and all(isinstance(row, dict) for row in value)
        ]
        return lists[0] if len(lists) == 1 and not is_chat(lists[0]) else [document]
    return document if isinstance(document, list) else [document]
