"""Texts are tokenised once for all tests: the built-in text takes longer than a measurement on the tiny model."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch import Tensor

LONG = 10_000
"""Characters of a text from which it is remembered."""


def remembering(tokenise: Callable[[str, Any], Tensor]) -> Callable[[str, Any], Tensor]:
    """The same function, with a memory of long texts, by text and all that the tokenizer is made of."""
    kept: dict[tuple[str, str], Tensor] = {}

    @functools.wraps(tokenise)
    def tokens(text: str, tokenizer: Any) -> Tensor:
        if len(text) < LONG or not getattr(tokenizer, "is_fast", False):
            return tokenise(text, tokenizer)
        key = (text, tokenizer.backend_tokenizer.to_str())
        if key not in kept:
            kept[key] = tokenise(text, tokenizer)
        return kept[key].clone()

    return tokens


def remember_tokens(patch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that are forked from it, tokenise each long text once."""
    from autoprune.evaluation import evaluate, texts

    tokenise = remembering(texts.tokenise)
    for module in (texts, evaluate):
        patch.setattr(module, "tokenise", tokenise)


@pytest.fixture(scope="session", autouse=True)
def remembered_tokens() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember_tokens(patch)
        yield
