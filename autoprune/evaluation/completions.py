"""Greedy completions of a few built-in prompts, for people to look at: the same ones every time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from autoprune.evaluation.perplexity import max_positions
from autoprune.models.target import Target

PROMPTS = (
    "The capital of France is",
    "Water boils when",
    "def is_even(number):\n",
    "Once upon a time there was",
    "The three largest planets of the solar system are",
    "To make bread, first",
)
TOKENS = 24
"""Length of a completion."""


@dataclass(frozen=True)
class Completion:
    """How the dense and the pruned model continue a prompt."""

    prompt: str
    dense: str
    pruned: str


def side_by_side(dense: Sequence[str], pruned: Sequence[str]) -> list[Completion]:
    """Completions of the first prompts by both models, of which each has as many."""
    return [Completion(*texts) for texts in zip(PROMPTS[: len(dense)], dense, pruned, strict=True)]


@torch.inference_mode()
def complete(target: Target, count: int, tokens: int = TOKENS) -> list[str]:
    """Completions of the first `count` prompts by the model in its present state, each of at most `tokens` tokens.

    The most probable token is taken each time, whatever the model's own generation settings are. Without a cache, as
    `perplexity` calls the model, so that every model that can be measured can complete.
    """
    tokenizer = target.tokenizer
    texts = []
    for prompt in PROMPTS[:count]:
        ids: list[int] = list(tokenizer(prompt)["input_ids"])
        start = len(ids)
        end = min(start + tokens, max_positions(target) or start + tokens)
        while len(ids) < end:
            logits = target.model(torch.tensor([ids], device=target.device), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
        texts.append(tokenizer.decode(ids[start:], skip_special_tokens=True))
    return texts
