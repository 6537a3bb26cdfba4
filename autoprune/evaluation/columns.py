"""The columns of a data set, and the choice of the one that holds the text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoprune.errors import UsageError
from autoprune.evaluation.chats import is_chat

TEXT = "text"
"""The column that is preferred to all others."""

Kind = Literal["text", "chat", "other"]


@dataclass(frozen=True)
class Columns:
    """The kind of each column, and a function to its values. `split`: of the data set, if it has splits."""

    kinds: Mapping[str, Kind]
    values: Callable[[str], Iterable[Any]]
    split: str | None = None


def choose_column(kinds: Mapping[str, Kind], name: str, requested: str | None) -> str:
    """The column `requested`; else `text`, the only column of chats, or the only column of text.

    Raises UsageError for the data set `name` if there is no such column, or several.
    """
    texts = [column for column, kind in kinds.items() if kind == "text"]
    chats = [column for column, kind in kinds.items() if kind == "chat"]
    if requested is not None:
        if kinds.get(requested, "other") != "other":
            return requested
        problem = f"has no column of text {requested!r}"
    else:
        for columns in ([TEXT] if TEXT in texts else [], chats, texts):
            if len(columns) == 1:
                return columns[0]
            if columns:
                hint = f"say which is meant, as in {name},column={columns[0]}"
                raise UsageError(f"{name} has several columns of text ({listed(columns)}): {hint}")
        problem = "has no column that holds text alone"
    raise UsageError(f"{name} {problem}; its columns are {listed(kinds)}")


def kinds_of(schema: Any) -> dict[str, Kind]:
    """The kinds of columns by their Arrow types. A chat is a list of structs with the fields of messages."""
    from pyarrow import types

    def kind(column: Any) -> Kind:
        if any(is_text(column) for is_text in (types.is_string, types.is_large_string, types.is_string_view)):
            return "text"
        if types.is_dictionary(column):  # dictionary-encoded, like pandas' categories
            return kind(column.value_type)
        listed = types.is_list(column) or types.is_large_list(column)
        if listed and types.is_struct(column.value_type) and is_chat([{field.name: "" for field in column.value_type}]):
            return "chat"
        return "other"

    return {field.name: kind(field.type) for field in schema}


def listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "") or "none"
