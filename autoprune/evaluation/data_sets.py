"""Rows of text from data sets: of the hub, of a folder in its layout, or of one file of rows.

The column is `text` if there is one, else the only column of chats, else the only column of text. If it is ambiguous,
the user specifies it, as in `hf:NAME,column=title`.
"""

import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autoprune.downloads import hub_answers
from autoprune.errors import UsageError, first_line
from autoprune.evaluation.chats import rendered
from autoprune.evaluation.columns import Columns, choose_column, kinds_of, listed
from autoprune.evaluation.row_files import is_row_file, read_row_file

logger = logging.getLogger(__name__)
HUB = "hf:"
TRAIN = "train"
PUBLISHED: dict[str, tuple[str, str, dict[str, str]]] = {
    "wikitext2": (
        "Salesforce/wikitext",
        "wikitext-2-raw-v1",
        {"calibration": "train", "search": "validation", "report": "test"},
    ),
    "c4": ("allenai/c4", "en", {"calibration": "train", "search": "validation", "report": "validation"}),
}
"""Data sets with short names: data set, subset, and its split for each of ours."""
PUBLISHED_ROWS = 4000
"""Rows of c4, which is too large to load completely."""
_OPTION = re.compile(r",(column|subset|split)=([^,]*)$")


@dataclass(frozen=True)
class Rows:
    """Rows of text; chats must not be split."""

    texts: list[str]
    chats: bool


@dataclass(frozen=True)
class Source:
    """A parsed source: the user's `words`, the `name` in them (with hf:), and its options."""

    words: str
    name: str
    column: str | None = None
    subset: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, words: str) -> "Source":
        """Parse `NAME[,subset=...][,split=...][,column=...]`."""
        name, options = words, dict[str, str]()
        while option := _OPTION.search(name):
            name = name[: option.start()]
            options[option[1]] = option[2]
        return cls(words, name, **options)

    @property
    def of_rows(self) -> bool:
        """Whether it is a data set instead of plain text."""
        return self.name.startswith(HUB) or is_row_file(self.name)


def read_rows(source: Source, tokenizer: Any) -> Rows:
    """The rows of a data set's column of text, without empty ones; chats by the tokenizer's template.

    Logs the column. Raises UsageError if the data set cannot be loaded, or its column, subset or split is ambiguous.
    """
    columns = _of_hub(source) if source.name.startswith(HUB) else _of_file(source)
    column = choose_column(columns.kinds, source.words, source.column)
    values = [value for value in columns.values(column) if value]
    chats = columns.kinds[column] == "chat"
    texts = rendered(values, source.name, tokenizer) if chats else values
    texts = [text.encode(errors="replace").decode() for text in texts if text.strip()]  # JSON may hold surrogates
    split = f" of the split {columns.split}" if columns.split else ""
    logger.info(f"{source.name}: the column {column}{split}, {len(texts):,} {'chats' if chats else 'rows'} of text")
    if not texts:
        raise UsageError(f"the column {column} of {source.name} holds no text")
    return Rows(texts, chats)


def _of_hub(source: Source) -> Columns:
    """A data set of the hub or its cache, or of a folder in the same layout, loaded by `datasets`."""
    import datasets

    name = source.name.removeprefix(HUB)
    if not name.strip():
        raise UsageError(f"{source.words} names no data set; give hf:NAME, or hf: and a folder")
    local = os.path.isdir(name)
    there = local or hub_answers()
    if local or not there:
        datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(name, source.subset)
    except _faults() as error:
        if source.subset is None and len(subsets := _subsets(name)) > 1:
            hint = f"say which is meant, as in {source.words},subset={subsets[0]}"
            raise UsageError(f"{source.name} has several subsets ({listed(subsets)}): {hint}") from None
        raise _unloadable(source.words, error, "" if local else _place(there)) from None
    split = source.split or TRAIN
    if split not in loaded:
        hint = f"say which is meant, as in {source.name},split={next(iter(loaded), 'test')}"
        raise UsageError(f"{source.name} has no split {split}; it has {listed(loaded)}: {hint}")
    rows = loaded[split]
    return Columns(kinds_of(rows.features.arrow_schema), rows.__getitem__, split)


def _unloadable(source: str, error: Exception, place: str) -> UsageError:
    cause = error.__cause__ or error  # the error itself may say only that an error occurred
    hint = "use data.source=builtin or a text file"
    return UsageError(f"the text {source} cannot be loaded{place} ({first_line(cause)}); {hint}")


def _place(there: bool) -> str:
    return " from the hub" if there else " from the hub, which cannot be reached, or its cache"


def _faults() -> tuple[type[Exception], ...]:
    """The errors of `datasets` for a data set that cannot be loaded."""
    from datasets.exceptions import DatasetsError

    return OSError, ValueError, RuntimeError, DatasetsError


def _subsets(name: str) -> list[str]:
    """The names of a data set's configurations; empty if they cannot be determined."""
    import datasets

    try:
        return list(datasets.get_dataset_config_names(name))
    except _faults():
        return []


def _of_file(source: Source) -> Columns:
    if source.subset or source.split:
        raise UsageError(f"{source.name} is one file of rows, which has no {'subset' if source.subset else 'split'}")
    return read_row_file(Path(source.name))


@cache
def read_published(name: str, split: str) -> list[str]:
    """The rows of a split of a data set in `PUBLISHED`. Raises UsageError when it cannot be loaded."""
    import datasets

    there = hub_answers()
    if not there:
        datasets.disable_progress_bars()
    repository, subset, _ = PUBLISHED[name]
    stream = name == "c4" and there
    try:
        rows = datasets.load_dataset(repository, subset, split=split, streaming=stream)
        return [row["text"] for row in (rows.take(PUBLISHED_ROWS) if stream else rows)]
    except _faults() as error:
        raise _unloadable(name, error, _place(there)) from None
