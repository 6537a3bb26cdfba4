"""Greedy completions of a few built-in prompts, for people to look at: the same ones every time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from autoprune.models.silence import silence_transformers
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

    The most probable token is taken each time, whatever the model's own generation settings are. Empty for a model that
    does not generate.
    """
    model: Any = target.model
    if not count or not hasattr(model, "generate"):
        return []
    tokenizer = target.tokenizer
    end = tokenizer.eos_token_id
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=tokens, eos_token_id=end, pad_token_id=end if end is not None else 0
    )
    texts = []
    with silence_transformers():
        for prompt in PROMPTS[:count]:
            encoded = torch.tensor([tokenizer(prompt)["input_ids"]], device=target.device)
            ids = model.generate(encoded, attention_mask=torch.ones_like(encoded), generation_config=settings)
            texts.append(tokenizer.decode(ids[0, encoded.shape[1] :], skip_special_tokens=True))
    return texts
