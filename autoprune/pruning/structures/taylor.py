"""First-order Taylor importance: how much the loss changes if a structure's weights become zero.

Source: Ma et al., LLM-Pruner, arXiv 2305.11627, equation 5 (first order, per element, summed over the group). The
gradient here is the mean over windows of its absolute value (the statistic `gradient`), instead of the absolute value
of one batch's gradient, so that windows do not cancel.
"""

import torch
from torch import Tensor

from autoprune.pruning.structures.spec import KINDS, Structures, StructureSpec


def taylor(structures: Structures) -> Tensor:
    """sum of |w g| over all matrices of a structure, float32 [count]."""
    products = [
        structures.sums((part.weight * part.statistic("gradient")).abs(), part.axis) for part in structures.parts
    ]
    return torch.stack(products).sum(0)


SPEC = StructureSpec("LLM-Pruner: first-order Taylor, |weight x gradient|", KINDS, taylor, ("gradient",))
