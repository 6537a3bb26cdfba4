"""Checks that a target has an embedding for every token of its texts."""

from collections.abc import Iterable

from autoprune.config_sections import DataSettings
from autoprune.errors import UsageError
from autoprune.evaluation.texts import Windows, load_calibration
from autoprune.models.target import Target


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
