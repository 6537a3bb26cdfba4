"""Disjoint calibration, search and report texts, as windows of tokens with fingerprints.

`builtin` is the English reference text that is part of every CPython (`pydoc_data.topics`), split by topic. Repetitions
within a text are removed, so that no text of the search split is in the report split.
"""

import hashlib
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoprune.config_sections import DataSettings
from autoprune.errors import UsageError
from autoprune.evaluation.bos import Bos
from autoprune.evaluation.data_sets import PUBLISHED, Source, read_published, read_rows
from autoprune.evaluation.disjoint import (
    SEPARATOR,
    deal_out,
    deal_out_whole,
    every_nth,
    made_disjoint,
    new_paragraphs,
    sentences,
    without,
)
from autoprune.log import quiet
from autoprune.models.target import Target
from autoprune.runs.measurement import Split as Split
from autoprune.text_files import read_text_file

SPLITS: tuple[Split, ...] = ("calibration", "search", "report")


@dataclass(frozen=True)
class Windows:
    """The windows of one split: `tokens` int64 [windows, seqlen], or [windows, 1 + seqlen] with a `bos`. `fingerprint`:
    a hash of them."""

    split: Split
    source: str
    tokens: Tensor
    fingerprint: str
    bos: Bos | None = None

    @property
    def lead(self) -> int:
        """Tokens before the text of each window."""
        return 0 if self.bos is None else 1

    @property
    def seqlen(self) -> int:
        """Tokens of text per window."""
        return self.tokens.shape[1] - self.lead

    def with_bos(self, bos: Bos | None) -> "Windows":
        """These windows with a BOS prepended to each, or unchanged for None."""
        return self if bos is None else _windows(self.split, self.source, bos.prepended_to(self.tokens), bos)


def load_splits(settings: DataSettings, tokenizer: Any) -> dict[Split, Windows]:
    """Calibration, search and report windows. Raises UsageError for a text that is missing, unreadable or too short."""
    source, seqlen = settings.source, settings.seqlen
    texts = read_texts(source, SPLITS if settings.calibration == source else SPLITS[1:], tokenizer)
    if "calibration" not in texts:
        texts["calibration"] = _calibration_text(settings, tokenizer, texts)
    counts: dict[Split, int] = {
        "calibration": settings.calibration_samples,
        "search": settings.search_windows,
        "report": settings.report_windows,
    }
    sources: dict[Split, str] = {"calibration": settings.calibration, "search": source, "report": source}
    return {split: cut(texts[split], sources[split], split, tokenizer, seqlen, counts[split]) for split in SPLITS}


@quiet()
def load_calibration(settings: DataSettings, tokenizer: Any, seed: int = 0) -> Windows:
    """The calibration windows: the first ones for seed 0, else a random sample from a random offset.

    Raises UsageError for a text that is missing, unreadable or too short.
    """
    source, seqlen, count = settings.calibration, settings.seqlen, settings.calibration_samples
    text = _calibration_text(settings, tokenizer)
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


def _calibration_text(settings: DataSettings, tokenizer: Any, measured: dict[Split, str] | None = None) -> str:
    """The calibration text; from another source, without sentences of the `measured` texts (read if None)."""
    text = read_text(settings.calibration, "calibration", tokenizer)
    if settings.calibration == settings.source:
        return text
    measured = measured or read_texts(settings.source, SPLITS[1:], tokenizer)
    measured_sentences = sentences(measured["search"]) | sentences(measured["report"])
    remaining = without(text, measured_sentences)
    if text.strip() and not remaining.strip():
        raise UsageError(
            f"all of the calibration text of {settings.calibration} is in the search or report text of "
            f"{settings.source}; give another data.calibration"
        )
    return remaining


def read_text(source: str, split: Split, tokenizer: Any = None) -> str:
    """The text of one split; see `read_texts`."""
    return read_texts(source, (split,), tokenizer)[split]


def read_texts(source: str, splits: Collection[Split], tokenizer: Any = None) -> dict[Split, str]:
    """The texts of some splits, disjoint from each other and from the texts of all other splits.

    `source`: builtin, wikitext2, c4, hf:NAME, a file of rows (`row_files`), or the path of a text file. `tokenizer`:
    for chats. The report split of a published data set is complete, as in the literature. Raises UsageError.
    """
    parsed = Source.parse(source)
    if not parsed.of_rows and parsed.name != source:
        raise UsageError(f"{parsed.name} is no data set, and takes no {source.removeprefix(parsed.name).lstrip(',')}")
    if source in PUBLISHED:
        later = SPLITS[min(SPLITS.index(split) for split in splits) :]
        texts = dict(zip(later, made_disjoint([_published(source, split) for split in later]), strict=True))
    else:
        texts = dict(zip(SPLITS, _distributed(parsed, tokenizer), strict=True))
    return {split: texts[split] for split in splits}


def _distributed(source: Source, tokenizer: Any) -> list[str]:
    """The texts of all splits of a source without splits of its own."""
    parts = len(SPLITS)
    if source.name == "builtin":
        return every_nth(_topics(), parts)
    if source.of_rows:
        rows = read_rows(source, tokenizer)
        return (deal_out_whole if rows.chats else deal_out)(rows.texts, parts)
    hint = "; it is neither a file nor builtin, wikitext2, c4 or hf:NAME"
    text = read_text_file(Path(source.name), "the text", hint)
    if not text.strip():
        raise UsageError(f"the text file {source.name} is empty")
    return deal_out([text], parts)


def _published(source: str, split: Split) -> str:
    """The text of a split. The measured rows of c4 alternate between search and report."""
    rows = read_published(source, PUBLISHED[source][2][split])
    if source == "c4" and split != "calibration":
        return SEPARATOR.join(rows[SPLITS.index(split) - 1 :: 2])
    return SEPARATOR.join(rows)


def _topics() -> list[str]:
    """The topics in order of their names. They quote each other, so repeated paragraphs are removed."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    rows = (SEPARATOR.join(new_paragraphs(topics[name], seen)) for name in sorted(topics))
    return [row for row in rows if row]


def cut(text: str, source: str, split: Split, tokenizer: Any, seqlen: int, count: int | None) -> Windows:
    """Tokenise a text and cut it into `count` (None: all) non-overlapping windows; the rest is dropped.

    Raises UsageError if there are fewer than `count` windows, or none.
    """
    return cut_tokens(tokenise(text, tokenizer), source, split, seqlen, count)


def tokenise(text: str, tokenizer: Any) -> Tensor:
    """The text's tokens, int64 [tokens], without special ones. Raises UsageError for text without a token."""
    tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if None in tokens:
        raise UsageError(
            f"the tokenizer has no token for a part of the text, of {len(tokenizer)} tokens, nor an unknown one"
        )
    return torch.tensor(tokens, dtype=torch.long)


def cut_tokens(tokens: Tensor, source: str, split: Split, seqlen: int, count: int | None) -> Windows:
    """Non-overlapping windows from tokens [tokens]; see `cut`."""
    windows = count if count is not None else max(len(tokens) // seqlen, 1)
    if len(tokens) < windows * seqlen:
        raise UsageError(
            f"the {split} text of {source} has {len(tokens)} tokens; {windows} windows of {seqlen} need "
            f"{windows * seqlen}: give a longer text, fewer windows, or a smaller data.seqlen"
        )
    return _windows(split, source, tokens[: windows * seqlen].view(windows, seqlen))


def _windows(split: Split, source: str, tokens: Tensor, bos: Bos | None = None) -> Windows:
    return Windows(split, source, tokens, hashlib.sha256(tokens.numpy().tobytes()).hexdigest()[:16], bos)


def check_tokens(target: Target, texts: Iterable[Windows]) -> None:
    """Raises UsageError for a token in these windows without a row in the target's embedding.

    Only tokens that occur are checked, since many tokenizers have reserved tokens.
    """
    for text in texts:
        lowest, highest = map(int, text.tokens.aminmax())
        if lowest < 0 or highest >= target.vocabulary:
            raise UsageError(
                f"the {text.split} text of {text.source} has token {lowest if lowest < 0 else highest}, of a tokenizer "
                f"of {len(target.tokenizer)} tokens, and {target.name} has embeddings of {target.vocabulary}: the "
                "tokenizer is another model's, or tokens were added to it without resizing the embeddings"
            )


def check_samples(target: Target, settings: DataSettings, seeds: int) -> None:
    """Check the calibration samples of all seeds below `seeds` in advance."""
    if len(target.tokenizer) > target.vocabulary:
        check_tokens(target, (load_calibration(settings, target.tokenizer, seed) for seed in range(1, seeds)))
