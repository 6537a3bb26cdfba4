"""ShortGPT's block influence: how much a decoder block turns its hidden states.

Source: Men et al., ShortGPT, arXiv 2403.03853, equation 1: 1 - E[cos(x, f(x))] over tokens, x the block's input and
f(x) its output.
"""

import torch
from torch import Tensor
from torch.nn import functional

from autoprune.pruning.structures.spec import BLOCK, Structures, StructureSpec


def influence(before: Tensor, after: Tensor) -> Tensor:
    """1 - cosine of the hidden states [tokens, hidden] before and after a block: float64 [tokens], in [0, 2]."""
    return 1.0 - functional.cosine_similarity(before.double(), after.double(), dim=-1)


def shortgpt(structures: Structures) -> Tensor:
    """The block's mean influence, float32 [1]."""
    assert structures.influence is not None  # since SPEC reads it
    return torch.tensor([structures.influence])


SPEC = StructureSpec("ShortGPT: block influence, 1 - cosine of input and output", (BLOCK,), shortgpt, ("influence",))
