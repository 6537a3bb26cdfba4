"""FLAP: how much a structure's output fluctuates, weighted by the weights that read it.

Source: An et al., Fluctuation-based Adaptive Structured Pruning, arXiv 2312.11983, section 3 (WIFV): the variance of
an input over the calibration tokens times the squared norm of its column of the down or output projection. What does
not fluctuate can be replaced by a bias (`compensation.mean_bias`). The paper's standardisation over layers is for
different widths per layer and changes nothing within one layer.
"""

from torch import Tensor

from autoprune.pruning.structures.spec import CHANNEL, HEAD, Structures, StructureSpec


def flap(structures: Structures) -> Tensor:
    """Var(X_j) ||W_:j||_2^2, summed over the columns j of a structure, float32 [count]."""
    consumer = structures.consumer
    return structures.of_features(consumer.weight.square().sum(0) * consumer.statistic("input_var"))


SPEC = StructureSpec("FLAP: fluctuation of the inputs times squared weight norm", (CHANNEL, HEAD), flap)
