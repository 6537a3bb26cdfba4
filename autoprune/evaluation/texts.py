"""Texts and splits: calibration, search and report text, disjoint, as windows of tokens with fingerprints.

`builtin` is the English reference text that ships inside every CPython (`pydoc_data.topics`), split by topic. What is
said twice in it, or in a text file, is said once here: else the report split would hold text of the search split.
"""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from autoprune.config import DataSettings
from autoprune.downloads import hub_answers
from autoprune.errors import UsageError

Split = Literal["calibration", "search", "report"]
SPLITS: tuple[Split, ...] = ("calibration", "search", "report")
HUB_SOURCES = {
    "wikitext2": (
        "Salesforce/wikitext",
        "wikitext-2-raw-v1",
        {"calibration": "train", "search": "validation", "report": "test"},
    ),
    "c4": ("allenai/c4", "en", {"calibration": "train", "search": "validation", "report": "validation"}),
}
HUB_ROWS = 4000
SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Windows:
    """The windows of one split: `tokens` int64 [windows, seqlen], and a hash of them."""

    split: Split
    source: str
    tokens: Tensor
    fingerprint: str


def load_splits(settings: DataSettings, tokenizer: Any) -> dict[Split, Windows]:
    """Calibration, search and report windows. Raises UsageError for a text that is missing, unreadable or too short."""
    counts: dict[Split, int] = {"search": settings.search_windows, "report": settings.report_windows}
    evaluated = {
        split: cut(read_text(settings.source, split), settings.source, split, tokenizer, settings.seqlen, count)
        for split, count in counts.items()
    }
    return {"calibration": load_calibration(settings, tokenizer), **evaluated}


def load_calibration(settings: DataSettings, tokenizer: Any, seed: int = 0) -> Windows:
    """The calibration windows: seed 0 takes the first ones; others start elsewhere and take a random sample.

    Raises UsageError for a text that is missing, unreadable or too short.
    """
    source, seqlen, count = settings.calibration, settings.seqlen, settings.calibration_samples
    text = read_text(source, "calibration")
    if seed == 0:
        return cut(text, source, "calibration", tokenizer, seqlen, count)
    chance = random.Random(seed)
    tokens = tokenise(text, tokenizer)
    room = max(len(tokens) - count * seqlen, 0)
    every = cut_tokens(tokens[chance.randint(0, min(room, seqlen - 1)) :], source, "calibration", seqlen, None)
    if len(every.tokens) < count:
        return cut_tokens(tokens, source, "calibration", seqlen, count)
    chosen = torch.tensor(sorted(chance.sample(range(len(every.tokens)), count)))
    return _windows("calibration", source, every.tokens[chosen])


def read_text(source: str, split: Split) -> str:
    """The text of one split of a source: builtin, wikitext2, c4, hf:NAME, or the path of a text file."""
    if source == "builtin":
        return _part(_topics(), split)
    if source in HUB_SOURCES or source.startswith("hf:"):
        return _from_hub(source, split)
    return _from_file(Path(source), split)


def cut(text: str, source: str, split: Split, tokenizer: Any, seqlen: int, count: int | None) -> Windows:
    """Tokenise once and cut into non-overlapping windows; the tail is dropped. `count` None takes all.

    Raises UsageError when there are fewer than one window, or fewer than `count`.
    """
    return cut_tokens(tokenise(text, tokenizer), source, split, seqlen, count)


def tokenise(text: str, tokenizer: Any) -> Tensor:
    """The text's tokens, int64 [tokens], without special ones. Raises UsageError where the tokenizer has none."""
    tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if None in tokens:
        raise UsageError(
            f"the tokenizer has no token for a part of the text, of {len(tokenizer)} tokens, nor an unknown one"
        )
    return torch.tensor(tokens, dtype=torch.long)


def cut_tokens(tokens: Tensor, source: str, split: Split, seqlen: int, count: int | None) -> Windows:
    """Non-overlapping windows from tokens [tokens]; see `cut`."""
    wanted = count if count is not None else max(len(tokens) // seqlen, 1)
    if len(tokens) < wanted * seqlen:
        raise UsageError(
            f"the {split} text of {source} has {len(tokens)} tokens; {wanted} windows of {seqlen} need "
            f"{wanted * seqlen}: give a longer text, fewer windows, or a smaller data.seqlen"
        )
    return _windows(split, source, tokens[: wanted * seqlen].view(wanted, seqlen))


def _windows(split: Split, source: str, tokens: Tensor) -> Windows:
    return Windows(split, source, tokens, hashlib.sha256(tokens.numpy().tobytes()).hexdigest()[:16])


def _part(rows: list[str], split: Split) -> str:
    """Every third row, so that the splits are disjoint and alike."""
    return SEPARATOR.join(rows[SPLITS.index(split) :: len(SPLITS)])


def _topics() -> list[str]:
    """The topics in order of their names. They quote each other at length, so a paragraph stays in the first only."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    rows = (SEPARATOR.join(_new_paragraphs(topics[name], seen)) for name in sorted(topics))
    return [row for row in rows if row]


def _new_paragraphs(text: str, seen: set[str]) -> list[str]:
    """The paragraphs that were not seen before, whatever their spaces and line breaks; they are now."""
    found = []
    for paragraph in text.split(SEPARATOR):
        words = " ".join(paragraph.split())
        if words and words not in seen:
            seen.add(words)
            found.append(paragraph)
    return found


def _from_file(path: Path, split: Split) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot read the text {path}: {error.strerror}; it is neither a file nor builtin, wikitext2, c4 or hf:NAME"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})") from None
    rows = _new_paragraphs(text, set())
    if not rows:
        raise UsageError(f"the text file {path} is empty")
    if len(rows) < 3 * len(SPLITS):
        # Too few paragraphs to deal out: three contiguous thirds are disjoint as well.
        third = len(text) // len(SPLITS)
        start = SPLITS.index(split) * third
        return text[start : start + third]
    return _part(rows, split)


def _from_hub(source: str, split: Split) -> str:
    """Rows of a data set on the hub, through `datasets`, or from its cache."""
    from datasets import disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError

    there = hub_answers()
    if not there:
        disable_progress_bars()
    name, subset, parts = HUB_SOURCES.get(source, (source.removeprefix("hf:"), None, None))
    try:
        stream = source == "c4" and there
        rows = load_dataset(name, subset, split=parts[split] if parts else "train", streaming=stream)
        column = "text" if parts else next(key for key, kind in rows.features.items() if kind.dtype == "string")
        texts = [row[column] for row in (rows.take(HUB_ROWS) if stream else rows)]
    except (OSError, ValueError, RuntimeError, DatasetsError, StopIteration) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        hub = "the hub" if there else "the hub, which cannot be reached, or its cache"
        raise UsageError(
            f"the text {source} cannot be loaded from {hub} ({reason}); use data.source=builtin or a text file"
        ) from None
    if parts is None:
        return _part(texts, split)
    if source == "c4" and split != "calibration":
        return SEPARATOR.join(texts[SPLITS.index(split) - 1 :: 2])
    return SEPARATOR.join(texts)
