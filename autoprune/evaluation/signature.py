"""Signatures of masks, with which the agreement of two candidates is estimated: their bits at a fixed random sample.

With updated weights a signature also says of each sampled weight whether it grew or shrank by more than a tenth, so
that only the same mask with the same update is a duplicate. It is longer than that of masks alone, with which it has
no agreement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import LayerInfo

SAMPLE = 1 << 17
SEED = 2511
CHANGED = 0.1
"""The share of its value by which an updated weight must differ to count as changed."""
TWIN = 0.9999
"""Share of equal mask bits above which two candidates are duplicates."""


class Signature:
    """Samples the mask bits of every candidate at the same weights."""

    def __init__(self, layers: Sequence[LayerInfo]) -> None:
        weights = sum(layer.size for layer in layers)
        chosen = np.sort(np.random.default_rng(SEED).integers(0, weights, min(SAMPLE, weights)))
        self._positions: dict[str, Tensor] = {}
        start = 0
        for layer in layers:
            inside = chosen[(chosen >= start) & (chosen < start + layer.size)] - start
            self._positions[layer.name] = torch.from_numpy(inside)
            start += layer.size

    def bits(self, name: str, mask: Tensor, weight: Tensor | None = None, updated: Tensor | None = None) -> Tensor:
        """The sampled bits of a layer's mask [out, in], bool, on the CPU, and of the change from the dense `weight` to
        the `updated` one, if there is one."""
        kept = self._sampled(name, mask)
        if weight is None or updated is None:
            return kept
        before, after = self._sampled(name, weight).float(), self._sampled(name, updated).float()
        change, least = after - before, CHANGED * before.abs()
        return torch.cat([kept, change > least, -change > least])

    def _sampled(self, name: str, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1)[self._positions[name].to(tensor.device)].cpu()

    def packed(self, bits: Mapping[str, Tensor]) -> bytes:
        """The signature, from the sampled bits of every layer."""
        return np.packbits(torch.cat([bits[name] for name in self._positions]).numpy()).tobytes()


def agreement(one: bytes, other: bytes) -> float:
    """The share of sampled weights with equal mask bits; 0 for signatures of different targets."""
    if len(one) != len(other) or not one:
        return 0.0
    different = np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)
    return 1.0 - int(np.bitwise_count(different).sum()) / (8 * len(one))


def nearest(signature: bytes, others: Mapping[str, bytes]) -> tuple[str, float]:
    """The subject whose masks agree most with a signature, and the agreement; ("", 0) if there are no others."""
    agreements = {subject: agreement(signature, other) for subject, other in others.items()}
    subject = max(agreements, key=lambda subject: agreements[subject], default="")
    return subject, agreements.get(subject, 0.0)


@dataclass(frozen=True)
class Unlike:
    """Rejects duplicate masks: a rung of the ladder, as plain data. `signatures`: by subject."""

    signatures: Mapping[str, bytes]

    def __call__(self, signature: bytes) -> None:
        """Raises CandidateFailure (stage check) for a duplicate."""
        subject, share = nearest(signature, self.signatures)
        if share >= TWIN:
            raise CandidateFailure("check", "duplicate", f"its masks are those of {subject} (agreement {share:.4f})")
