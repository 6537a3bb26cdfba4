"""Whether a runtime computes with an exported model what transformers computes with the model itself."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autoprune.errors import AutoPruneError
from autoprune.evaluation.completions import PROMPTS, TOKENS
from autoprune.evaluation.perplexity import perplexity
from autoprune.exporting.llama_cpp import LlamaCpp
from autoprune.exporting.reference import Reference, measure
from autoprune.progress import progress

TOLERANCES: Mapping[str, float] = {
    **dict.fromkeys(("f32", "f16", "bf16", "float32", "float16", "bfloat16"), 0.005),
    "q8_0": 0.02,
    **dict.fromkeys(("q5_1", "q5_0"), 0.1),
    **dict.fromkeys(("q4_1", "q4_0"), 0.25),
}
"""Largest relative difference of the perplexity, by format. For floats it is a test of the conversion; below, a bound
on what quantisation may cost before the file is refused."""


@dataclass(frozen=True)
class Check:
    """What a runtime computed. `differences`: probe texts with other tokens than transformers'. `completion`: of the
    built-in `prompt`."""

    runtime: str
    perplexity: float
    reference: float
    tolerance: float
    tokens: int
    texts: int
    differences: list[str]
    prompt: str
    completion: str

    @property
    def ratio(self) -> float:
        return self.perplexity / self.reference


def check_gguf_export(file: Path, reference: Reference, tolerance: float, carried: bool) -> Check:
    """Load a GGUF file by llama.cpp and compare it with transformers on the same tokens.

    `carried`: the tokenizer is that of the original GGUF file, which transformers may split in another way; then
    differing texts are reported only. Raises AutoPruneError if the perplexity or, unless `carried`, the tokens of a
    text differ, or if nothing is generated.
    """
    context = max(len(window) for window in reference.windows) + TOKENS + 8
    with LlamaCpp(file, context) as runtime:
        differences = [text for text, tokens in reference.probes if runtime.tokens(text) != tokens]
        if differences and not carried:
            raise _failed(
                f"llama.cpp has other tokens than transformers for {len(differences)} of {len(reference.probes)} "
                f"texts, such as {differences[0]!r}"
            )
        with progress(f"checking {file.name}", reference.tokens, "tokens", logging.DEBUG) as advance:
            losses = [runtime.loss(window, reference.lead + 1, advance) for window in reference.windows]
        completion, _ = runtime.complete(PROMPTS[0], TOKENS)
    return _agrees("llama.cpp", perplexity(losses), completion, differences, reference, tolerance)


def check_hf_export(folder: Path, reference: Reference, tolerance: float) -> Check:
    """The same for a directory, loaded by transformers again. Raises AutoPruneError as above."""
    again = measure(str(folder))
    differences = [
        text
        for (text, tokens), (_, tokens_again) in zip(reference.probes, again.probes, strict=True)
        if tokens != tokens_again
    ]
    if differences:
        raise _failed(f"its tokenizer has other tokens for {len(differences)} texts, such as {differences[0]!r}")
    return _agrees("transformers", again.perplexity, again.completion, differences, reference, tolerance)


def _agrees(
    runtime: str, measured: float, completion: str, differences: list[str], reference: Reference, tolerance: float
) -> Check:
    """What a runtime computed, with its perplexity `measured`. Raises AutoPruneError if that is another model."""
    made = Check(
        runtime=runtime,
        perplexity=measured,
        reference=reference.perplexity,
        tolerance=tolerance,
        tokens=reference.tokens,
        texts=len(reference.probes),
        differences=differences,
        prompt=PROMPTS[0],
        completion=completion,
    )
    if not abs(made.ratio - 1.0) <= made.tolerance:
        raise _failed(
            f"the perplexity in {made.runtime} is {made.perplexity:.4g}, in transformers {made.reference:.4g}, on the "
            f"same {made.tokens} tokens: {made.ratio - 1.0:+.2%}, with {made.tolerance:.1%} allowed (--tolerance)"
        )
    if not made.completion:
        raise _failed(f"{made.runtime} generates nothing for {made.prompt!r}")
    return made


def _failed(reason: str) -> AutoPruneError:
    return AutoPruneError(f"the export failed its check, and nothing is written: {reason}")
