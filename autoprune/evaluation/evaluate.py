"""Evaluation of any model: perplexity by the project's protocol, zeros, and zero-shot tasks."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autoprune.config_values import BosSetting
from autoprune.errors import UsageError
from autoprune.evaluation.bos import choose_bos, shown
from autoprune.evaluation.perplexity import check_length, perplexity, window_losses
from autoprune.evaluation.texts import check_tokens, cut, read_text, tokenise
from autoprune.log import quiet
from autoprune.models.outputs import not_finite
from autoprune.models.saving import count_zeros
from autoprune.models.target import load_target
from autoprune.progress import progress


@dataclass(frozen=True)
class Evaluation:
    """An evaluated model. `zeros` among the `weights` of the linear layers in the decoder blocks. `bos`: the token
    before each window."""

    model: str
    fingerprint: str
    dtype: str
    data: str
    split: str
    text_fingerprint: str
    perplexity: float
    seqlen: int
    windows: int
    zeros: int
    weights: int
    sparsity: float
    seconds: float
    tasks: list[dict[str, Any]] = field(default_factory=list)
    bos: str | None = None


def evaluate(
    model: str,
    data: str,
    seqlen: int,
    windows: int | None,
    tasks: Sequence[str],
    device: str,
    dtype: str,
    limit: int | None = None,
    offload: str = "auto",
    bos: BosSetting = "auto",
) -> Evaluation:
    """Measure perplexity on the report split of a text (`windows` None: all of it), zeros, and lm-eval's tasks, for
    which lm-eval decides on a BOS. Raises UsageError for invalid input and for a perplexity that is not finite."""
    target = load_target(model, device, dtype, offload)
    check_length(target, seqlen)
    if tasks:
        target.need_whole("a zero-shot task")
    tokenizer = target.tokenizer
    text = cut(read_text(data, "report", tokenizer), data, "report", tokenizer, seqlen, windows)
    check_tokens(target, [text])
    # As in a search, the BOS is not chosen on the report split. The source was logged above.
    chosen = choose_bos(bos, target, seqlen, quiet()(lambda: tokenise(read_text(data, "search", tokenizer), tokenizer)))
    text = text.with_bos(chosen)
    started = time.perf_counter()
    with progress("perplexity", len(text.tokens), "windows", logging.DEBUG) as advance:
        value = perplexity(window_losses(target, text.tokens, lambda: advance(1), text.lead))
    seconds = time.perf_counter() - started
    if not value < float("inf"):
        raise UsageError(f"the perplexity on {data} is not finite: {not_finite(target)}")
    results = []
    if tasks:
        from autoprune.evaluation.zeroshot import zero_shot

        results = [vars(result) for result in zero_shot(target, tasks, limit)]
    zeros = count_zeros(target)
    return Evaluation(
        model=model,
        fingerprint=target.fingerprint,
        dtype=str(target.dtype).removeprefix("torch."),
        data=data,
        split="report",
        text_fingerprint=text.fingerprint,
        perplexity=value,
        seqlen=seqlen,
        windows=len(text.tokens),
        zeros=zeros,
        weights=target.weights,
        sparsity=zeros / target.weights,
        seconds=seconds,
        tasks=results,
        bos=shown(chosen),
    )
