"""The columns of a data set, and which of them is meant: the one that holds the text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoprune.errors import UsageError
from autoprune.evaluation.chats import is_chat

TEXT = "text"
"""The column that is taken if there is one of this name, whatever others there are."""

Kind = Literal["text", "chat", "other"]


@dataclass(frozen=True)
class Columns:
    """What is in each column, and how to get at the values of one. `split`: of which part of a data set they are."""

    kinds: Mapping[str, Kind]
    values: Callable[[str], Iterable[Any]]
    split: str | None = None


def choose_column(kinds: Mapping[str, Kind], name: str, requested: str | None) -> str:
    """The column `wanted`; else `text`, the only column of chats, or the only one of text.

    Raises UsageError where that is none, or several could be meant; `name`: the data set's.
    """
    texts, chats = ([column for column, kind in kinds.items() if kind == each] for each in ("text", "chat"))
    if requested is not None:
        if kinds.get(requested, "other") != "other":
            return requested
        problem = f"has no column of text {requested!r}"
    else:
        for meant in ([TEXT] if TEXT in texts else [], chats, texts):
            if len(meant) == 1:
                return meant[0]
            if meant:
                hint = f"say which is meant, as in {name},column={meant[0]}"
                raise UsageError(f"{name} has several columns of text ({listed(meant)}): {hint}")
        problem = "has no column that holds text alone"
    raise UsageError(f"{name} {problem}; its columns are {listed(kinds)}")


def kinds_of(schema: Any) -> dict[str, Kind]:
    """By the types of Arrow. A chat is a list of messages, which have fields."""
    from pyarrow import types

    def kind(column: Any) -> Kind:
        if any(is_text(column) for is_text in (types.is_string, types.is_large_string, types.is_string_view)):
            return "text"
        if types.is_dictionary(column):  # each value stored once, as pandas keeps categories
            return kind(column.value_type)
        listed = types.is_list(column) or types.is_large_list(column)
        if listed and types.is_struct(column.value_type) and is_chat([{field.name: "" for field in column.value_type}]):
            return "chat"
        return "other"

    return {field.name: kind(field.type) for field in schema}


def listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "") or "none"
