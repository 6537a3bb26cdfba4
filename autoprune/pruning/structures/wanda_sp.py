"""Wanda-sp: Wanda's score, summed over the columns that a structure feeds.

Source: An et al., FLAP, arXiv 2312.11983, where it is the structured extension of Wanda (Sun et al., arXiv 2306.11695):
sum over outputs of |W_ij| ||X_j||, W the down or output projection. Their sum over the columns of a head is taken here,
too.
"""

from torch import Tensor

from autoprune.pruning.structures.spec import CHANNEL, HEAD, Structures, StructureSpec


def wanda_sp(structures: Structures) -> Tensor:
    """sum_i |W_ij| ||X_j||_2 over the columns j of a structure, float32 [count]."""
    consumer = structures.consumer
    return structures.of_features(consumer.weight.abs().sum(0) * consumer.statistic("input_norm"))


SPEC = StructureSpec("Wanda's score of the columns that a structure feeds", (CHANNEL, HEAD), wanda_sp)
