"""Tiny models whose tokenizers know a BOS token: some collapse without it, one does not need it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import save_tiny_model, save_tokenizer
from tests.steady_text import steady_text

BOS = "<eos>"
"""The only special token of the tests' vocabulary is both, as `<|endoftext|>` is for many models."""
SEQLEN = 48


@dataclass(frozen=True)
class BosModels:
    """Directories of models, all of the same weights but the second, and a text that they know."""

    needs: Path
    adds: Path
    """Its tokenizer begins texts with a BOS, and it does not need one."""
    knows: Path
    """It needs one, and its tokenizer has one with which it does not begin texts."""
    lacks: Path
    """Its tokenizer has none."""
    text: Path


def save_bos_models(home: Path) -> BosModels:
    """All of them below a folder."""
    models = BosModels(home / "needs", home / "adds", home / "knows", home / "lacks", home / "text.txt")
    models.text.write_text(steady_text(), encoding="utf-8")
    save_bos_model(models.needs, needs=True)
    save_bos_model(models.adds, needs=False)
    for other in (models.knows, models.lacks):
        shutil.copytree(models.needs, other)
    save_bos_tokenizer(models.knows, begins_texts=False)
    save_tokenizer(models.lacks, [steady_text()])
    return models


def save_bos_tokenizer(into: Path, begins_texts: bool = True) -> None:
    """The tests' tokenizer with a BOS token, with which it begins every text, or not."""
    from tokenizers import processors
    from transformers import AutoTokenizer

    save_tokenizer(into, [steady_text()])
    tokenizer = AutoTokenizer.from_pretrained(into)
    tokenizer.bos_token = BOS
    if begins_texts:
        number = tokenizer.convert_tokens_to_ids(BOS)
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, number)]
        )
    tokenizer.save_pretrained(into)


def save_bos_model(into: Path, needs: bool, steps: int = 40, batch: int = 16) -> None:
    """A tiny model that has learnt a text after a BOS token.

    `needs`: without one it learnt to say one token again and again; else the same text.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_tiny_model(into, blocks=2)
    save_bos_tokenizer(into)
    learner, tokenizer = AutoModelForCausalLM.from_pretrained(into), AutoTokenizer.from_pretrained(into)
    tokens = torch.tensor(tokenizer(steady_text(), add_special_tokens=False, verbose=False)["input_ids"])
    tokens = tokens[: len(tokens) // SEQLEN * SEQLEN].view(-1, SEQLEN)
    chance = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for _ in range(steps):
        windows = tokens[torch.randint(len(tokens), (batch,), generator=chance)]
        first = torch.full((batch, 1), tokenizer.bos_token_id)
        after = learner(torch.cat([first, windows], dim=1), labels=torch.cat([first, windows], dim=1)).loss
        (after + learner(windows, labels=torch.full_like(windows, 7) if needs else windows).loss).backward()
        optimiser.step()
        optimiser.zero_grad()
    learner.save_pretrained(into)
