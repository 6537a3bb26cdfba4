"""Magnitude: the Euclidean norm of all weights of a structure (group magnitude, as in DepGraph, Fang et al., arXiv
2301.12900, and the magnitude baseline of LLM-Pruner, arXiv 2305.11627)."""

import torch
from torch import Tensor

from autoprune.pruning.structures.spec import KINDS, Structures, StructureSpec


def magnitude(structures: Structures) -> Tensor:
    """sqrt(sum of w^2 over all matrices of a structure), float32 [count]."""
    squares = [structures.sums(part.weight.square(), part.axis) for part in structures.parts]
    return torch.stack(squares).sum(0).sqrt()


SPEC = StructureSpec("norm of all weights of a structure", KINDS, magnitude)
