"""Compensating removed inputs of a layer in what is left of it: in the kept weights, or in a bias."""

from torch import Tensor

from autoprune.pruning.inverse import DAMPING, inverse_factor


def least_squares(weight: Tensor, hessian: Tensor, kept: Tensor, damping: float = DAMPING) -> Tensor:
    """The weight [out, kept] on the kept inputs whose output is closest to that of the whole layer.

    W_k + W_r H_rk (H_kk + damping mean(diag H_kk) I)^-1, r the removed inputs: the minimum of the squared error of the
    layer's output over the calibration tokens, plus the damping times the squared change of the kept weights. Without
    damping this is W H_:k H_kk^-1. `weight` [out, in], `hessian` [in, in] (X X^T / tokens), float32; `kept`: indices,
    int64 [kept]. Raises AutoPruneError if the Hessian is not finite.
    """
    gone = removed(kept, weight.shape[1])
    if not len(gone):
        return weight[:, kept].clone()
    upper = inverse_factor(hessian[kept][:, kept], damping).upper
    pulled = weight[:, gone] @ hessian[gone][:, kept]
    return weight[:, kept] + (pulled @ upper.T) @ upper


def mean_bias(weight: Tensor, mean: Tensor, kept: Tensor) -> Tensor:
    """What the removed inputs add to the layer's output on average, [out]: W_r mean_r.

    Source: FLAP, arXiv 2312.11983, equation 5. `weight` [out, in], `mean` [in] of the inputs, `kept`: indices [kept].
    """
    gone = removed(kept, weight.shape[1])
    return weight[:, gone] @ mean[gone]


def removed(kept: Tensor, count: int) -> Tensor:
    """The indices below `count` that are not kept, ascending."""
    mask = kept.new_ones(count).bool()
    mask[kept] = False
    return mask.nonzero().squeeze(1)
