"""What all tests have in common and takes long is made once a process: the tokens of long texts, and the certificates
that each client of a chat model loads, though no test uses TLS."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

LONG = 10_000
"""Characters of a text from which its tokens are remembered."""


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


def remember(patch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that are forked from it, make each of these once."""
    from autoprune.evaluation import evaluate, texts

    tokenise = remembering(texts.tokenise)
    for module in (texts, evaluate):
        patch.setattr(module, "tokenise", tokenise)
    with contextlib.suppress(ImportError):  # other releases of openai have another client
        import httpcore2

        patch.setattr(httpcore2, "default_ssl_context", functools.cache(httpcore2.default_ssl_context))


def make_in_advance(tokenizer: Path | None) -> None:
    """Before forks: the certificates, and the tokens of the built-in text by the tokenizer in this directory."""
    from transformers import AutoTokenizer

    from autoprune.evaluation import texts

    with contextlib.suppress(ImportError):
        import httpcore2

        for trust in (True, False):
            httpcore2.default_ssl_context(_trust_env=trust)
    if tokenizer is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOKENIZERS_PARALLELISM", "false")  # its threads would not be there in a fork
            loaded = AutoTokenizer.from_pretrained(tokenizer)
            for text in texts.read_texts("builtin", texts.SPLITS).values():
                texts.tokenise(text, loaded)


@pytest.fixture(scope="session", autouse=True)
def remembered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield
