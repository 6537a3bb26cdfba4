"""Rows of text from data sets: of the hub, of a folder in its layout, or of one file of rows.

A data set has one column that is meant: `text` if there is one, else a column of chats, else its only column of text.
Where several could be meant the user says which, as in `hf:NAME,column=title`.
"""

import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autoprune.downloads import hub_answers
from autoprune.errors import UsageError
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
"""Names of their own: data set, subset, and which of its splits is which of ours."""
PUBLISHED_ROWS = 4000
"""Of c4, which is large."""
_OPTION = re.compile(r",(column|subset|split)=([^,]*)$")


@dataclass(frozen=True)
class Rows:
    """What is measured: texts, or chats, each of which stays whole."""

    texts: list[str]
    chats: bool


@dataclass(frozen=True)
class Source:
    """What a user named: all the `words`, the `name` among them (hf: included), and which part of it is meant."""

    words: str
    name: str
    column: str | None = None
    subset: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, words: str) -> "Source":
        """From `NAME[,subset=...][,split=...][,column=...]`."""
        name, options = words, dict[str, str]()
        while option := _OPTION.search(name):
            name = name[: option.start()]
            options[option[1]] = option[2]
        return cls(words, name, **options)

    @property
    def of_rows(self) -> bool:
        """Whether it is a data set, and no plain text."""
        return self.name.startswith(HUB) or is_row_file(self.name)


def read_rows(source: Source, tokenizer: Any) -> Rows:
    """The rows of a data set's column of text, without empty ones; chats as the tokenizer's template writes them.

    Logs which column that is. Raises UsageError, one line, for a data set that cannot be loaded, or that does
    not say which column, subset or split is meant.
    """
    columns = _of_hub(source) if source.name.startswith(HUB) else _of_file(source)
    column = choose_column(columns.kinds, source.words, source.column)
    values = [value for value in columns.values(column) if value]
    chats = columns.kinds[column] == "chat"
    texts = rendered(values, source.name, tokenizer) if chats else values
    texts = [text.encode(errors="replace").decode() for text in texts if text.strip()]  # JSON may hold half characters
    split = f" of the split {columns.split}" if columns.split else ""
    logger.info(f"{source.name}: the column {column}{split}, {len(texts):,} {'chats' if chats else 'rows'} of text")
    if not texts:
        raise UsageError(f"the column {column} of {source.name} holds no text")
    return Rows(texts, chats)


def _of_hub(source: Source) -> Columns:
    """A data set of the hub, through `datasets`, or from its cache; or one in a folder of the same layout."""
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
    """The error for a data set that `datasets` cannot load."""
    cause = error.__cause__ or error  # "An error occurred while generating the dataset"
    reason = str(cause).splitlines()[0][:200] if str(cause) else type(cause).__name__
    hint = "use data.source=builtin or a text file"
    return UsageError(f"the text {source} cannot be loaded{place} ({reason}); {hint}")


def _place(there: bool) -> str:
    return " from the hub" if there else " from the hub, which cannot be reached, or its cache"


def _faults() -> tuple[type[Exception], ...]:
    """What `datasets` raises for a data set that it cannot load."""
    from datasets.exceptions import DatasetsError

    return OSError, ValueError, RuntimeError, DatasetsError


def _subsets(name: str) -> list[str]:
    """The names of a data set's configurations; none where they cannot be found."""
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
