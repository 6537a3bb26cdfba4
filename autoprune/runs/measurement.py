"""A measurement of one subject on one split, as it is stored, cached and reported."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from autoprune.leagues import MASK_ONLY, League

Split = Literal["calibration", "search", "report"]
"""Which of the disjoint texts: the third is measured once, at the end."""
DENSE = "dense"
"""The subject that is the unpruned model."""
BASELINE = "baseline:"
"""Prefix of the names of published algorithms; all other subjects are content hashes of candidates."""
WORST_LAYERS = 3
SHORT_DIGITS = 8
"""Digits of a candidate's hash in messages."""


class LayerDiagnostic(BaseModel):
    """One layer after pruning. `relative_error`: expected squared output error over the output's mean square, with
    inputs taken as independent: sum of pruned w^2 h over sum of all w^2 h, h the Hessian diagonal."""

    model_config = ConfigDict(frozen=True)

    name: str
    sparsity: float
    relative_error: float


class Measurement(BaseModel):
    """The measurement of a subject on one split. `window_losses` in nats per token, `seconds` by phase.

    A full measurement has the losses of all `windows` in the order of the text. One that was stopped early has fewer,
    in the order of measurement (`racing.order`), and its perplexity is that of those windows only.

    `layer_errors`: relative errors of the `sampled_layers` layers that `Reconstruction` samples, in the order of
    scoring, if the search asks for them; `reference_errors`: those of Wanda with as many zeros per layer. `bos`: the
    token before each window. `signature`: a sample of the masks' bits.
    `repeats`: whether a fresh process gave the same scores, None if that was not checked. `memory_bytes`: peak growth
    of the candidate's process, where the sandbox reports it; `diagnostics`: its output. `cached`: taken from the cache.
    `tuning`: the data of `Tuned` for a tuned baseline; `untuned`: not tuned, since the score is far behind the best.
    `league`: what was changed (`autoprune.leagues`). `parameters`: of a model with structures removed; its `zeros` are
    the removed parameters of the decoder blocks, of `weights` dense ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    subject: str
    split: Split
    perplexity: float
    window_losses: list[float] = Field(default_factory=list)
    sparsity: float = 0.0
    zeros: int = 0
    weights: int = 0
    seqlen: int = 0
    windows: int = 0
    bos: str | None = None
    layers: list[LayerDiagnostic] = Field(default_factory=list)
    signature: bytes = b""
    seconds: dict[str, float] = Field(default_factory=dict)
    layer_errors: list[float] = Field(default_factory=list)
    reference_errors: list[float] = Field(default_factory=list)
    sampled_layers: int = 0
    repeats: bool | None = None
    memory_bytes: int | None = None
    diagnostics: str = ""
    cached: bool = False
    tuning: dict[str, Any] | None = None
    untuned: bool = False
    league: League = MASK_ONLY
    parameters: int | None = None

    @property
    def name(self) -> str:
        """A baseline's name without prefix, or a candidate's hash."""
        return self.subject.removeprefix(BASELINE)

    @property
    def short_name(self) -> str:
        """A baseline's name, or the start of a candidate's hash."""
        return self.name[:SHORT_DIGITS] if self.name == self.subject else self.name

    @property
    def worst_layers(self) -> list[str]:
        return [layer.name for layer in sorted(self.layers, key=lambda layer: -layer.relative_error)[:WORST_LAYERS]]

    @property
    def reconstruction(self) -> float | None:
        """The error of the sampled layers as a multiple of that of Wanda with as many zeros in each; None until all of
        them are known."""
        reference = sum(self.reference_errors)
        complete = len(self.layer_errors) == len(self.reference_errors) == self.sampled_layers
        return sum(self.layer_errors) / reference if complete and reference > 0 else None

    @property
    def full(self) -> bool:
        return len(self.window_losses) == self.windows

    def with_losses(self, losses: Sequence[float]) -> "Measurement":
        """The same with other losses and their perplexity."""
        return self.model_copy(update={"window_losses": list(losses), "perplexity": perplexity(losses)})


def perplexity(losses: Sequence[float]) -> float:
    """exp of the mean loss; infinity on overflow."""
    mean = math.fsum(losses) / len(losses)
    return math.inf if mean > 700 else math.exp(mean)
