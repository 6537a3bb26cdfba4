"""What a measurement consists of, and what is left of one that was stopped early."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoprune.errors import CandidateFailure
from autoprune.evaluation.perplexity import perplexity


@dataclass(frozen=True)
class LayerDiagnostic:
    """One layer after pruning. `relative_error`: expected squared output error over the output's mean square,
    with inputs taken as independent: sum of pruned w^2 h over sum of all w^2 h, h the Hessian diagonal."""

    name: str
    sparsity: float
    relative_error: float


@dataclass(frozen=True)
class Measurement:
    """What was measured on one split. `window_losses` in nats per token, `seconds` by phase.

    A full one has the losses of all `windows`, in the order of the text. One that was stopped early has fewer, in the
    order in which they were measured (`racing.order`), and its perplexity is that of those windows alone.
    `layer_errors`: the relative errors of the `sampled_layers` layers that `Reconstruction` samples, as far as they are
    known, in the order in which they were scored; where a search asks for them. `bos`: the token before each window.
    """

    split: str
    perplexity: float
    window_losses: list[float]
    sparsity: float
    zeros: int
    weights: int
    seqlen: int
    windows: int
    layers: list[LayerDiagnostic] = field(default_factory=list)
    signature: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict)
    layer_errors: list[float] = field(default_factory=list)
    sampled_layers: int = 0
    bos: str | None = None

    @property
    def reconstruction(self) -> float | None:
        """The mean relative error of the sampled layers, each counted once; None until all of them are known."""
        known = self.sampled_layers > 0 and len(self.layer_errors) == self.sampled_layers
        return sum(self.layer_errors) / self.sampled_layers if known else None

    @property
    def full(self) -> bool:
        """Whether every window was measured."""
        return len(self.window_losses) == self.windows

    def cut(self, losses: Sequence[float]) -> "Measurement":
        """The same, stopped after these losses (in the order of measurement)."""
        return replace(self, window_losses=list(losses), perplexity=perplexity(list(losses)))


class StoppedEarly(CandidateFailure):
    """A sound candidate that is not worth measuring to the end: a result, though not a full measurement.

    `partial`: what was measured of it. `estimate`: the perplexity on all windows that may be expected from that; None
    when nothing was measured. `facts`: what else is known of the candidate.
    """

    def __init__(
        self, stage: str, reason: str, message: str, partial: Measurement, estimate: float | None = None
    ) -> None:
        super().__init__(stage, reason, message)
        self.partial = partial
        self.estimate = estimate
        self.facts: dict[str, Any] = {}
