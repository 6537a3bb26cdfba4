"""What transformers computes with a model: the tokens and the perplexity that a runtime must agree with."""

from dataclasses import dataclass

from autoprune.evaluation.bos import choose_bos
from autoprune.evaluation.completions import complete
from autoprune.evaluation.perplexity import max_positions, perplexity, window_losses
from autoprune.evaluation.texts import check_tokens, cut_tokens, read_text, tokenise
from autoprune.exporting.probes import probe_texts
from autoprune.log import quiet
from autoprune.models.target import load_target

DATA = "builtin"
SEQLEN, WINDOWS = 128, 2


@dataclass(frozen=True)
class Reference:
    """`windows` of tokens, of which the first `lead` and one are not counted; `perplexity` on them; `probes`: texts and
    their tokens; `completion`: of the first built-in prompt."""

    windows: list[list[int]]
    lead: int
    perplexity: float
    probes: list[tuple[str, list[int]]]
    completion: str

    @property
    def tokens(self) -> int:
        """How many tokens are predicted."""
        return sum(len(window) - self.lead - 1 for window in self.windows)


def measure(model: str, dtype: str = "float32") -> Reference:
    """Measure a model by transformers, computed in `dtype`. Raises UsageError for a model that cannot be loaded."""
    with quiet():
        target = load_target(model, "auto", dtype)
        tokenizer = target.tokenizer
        seqlen = min(SEQLEN, (max_positions(target) or SEQLEN + 1) - 1)
        text = tokenise(read_text(DATA, "report", tokenizer), tokenizer)
        windows = cut_tokens(text, DATA, "report", seqlen, WINDOWS)
        windows = windows.with_bos(choose_bos("auto", target, seqlen, lambda: text))
        check_tokens(target, [windows])
        value = perplexity(window_losses(target, windows.tokens, lead=windows.lead))
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        probes = [(text, tokenizer(text, add_special_tokens=False)["input_ids"]) for text in probe_texts(special)]
        completion = next(iter(complete(target, 1)), "")
    return Reference(windows.tokens.tolist(), windows.lead, value, probes, completion)
