"""Observing masks and updated weights while they are computed: diagnostics, the signature, errors of sampled layers."""

import math
from collections.abc import Mapping

from torch import Tensor

from autoprune.errors import CandidateFailure
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.ladder import Ladder
from autoprune.evaluation.prune import Seconds
from autoprune.runs.measurement import LayerDiagnostic, Measurement


class MaskWatch:
    """Collects from the masks of all layers what a measurement records and what the ladder's first rungs need."""

    def __init__(
        self, bench: Bench, empty: Measurement, ladder: Ladder, zeros: Mapping[str, int] | None = None
    ) -> None:
        """`zeros`: per layer, if they are known beforehand; else reconstruction errors have no reference."""
        self._bench, self._ladder = bench, ladder
        self._sample = bench.sampled(empty.split)
        references = self._sample.references(zeros, bench.target.weight) if self._sample and zeros else []
        sampled = {"sampled_layers": len(self._sample.layers) if self._sample else 0, "reference_errors": references}
        self._masked = empty.model_copy(update=sampled)
        self._diagnostics: dict[str, LayerDiagnostic] = {}
        self._errors: dict[str, float] = {}
        self._bits: dict[str, Tensor] = {}

    def see(self, name: str, weight: Tensor, mask: Tensor, updated: Tensor | None = None) -> None:
        """Add the mask and the updated weight of a layer. Thread-safe for different layers.

        Raises CandidateFailure for weights so large that the reconstruction error is not finite.
        """
        if self._sample and name in self._sample.layers:
            self._errors[name] = self._sample.error(name, weight, mask, updated)
            if updated is not None and not math.isfinite(self._errors[name]):
                raise CandidateFailure("check", "not-finite", f"the reconstruction error of {name} is not finite")
        self._bits[name] = self._bench.signature.bits(name, mask, weight, updated)
        self._diagnostics[name] = self._bench.diagnose(name, mask)

    def check(self, name: str, seconds: Seconds) -> None:
        """Apply the rung of the reconstruction error, called in the order of scoring. Raises StoppedEarly."""
        if name in self._errors:
            errors = [*self._masked.layer_errors, self._errors[name]]
            self._masked = self._masked.model_copy(update={"layer_errors": errors, "seconds": seconds.reported()})
            self._ladder.check_error(self._masked)

    def record(self, seconds: Seconds, zeros: int) -> Measurement:
        """The measurement before the first window. Raises CandidateFailure if the ladder rejects the masks."""
        signature = self._bench.signature.packed(self._bits)
        fields = {
            "layers": [self._diagnostics[layer.name] for layer in self._bench.layers],
            "signature": signature,
            "seconds": seconds.reported(),
            "zeros": zeros,
            "sparsity": zeros / self._masked.weights,
        }
        self._ladder.accept(signature)
        return self._masked.model_copy(update=fields)
