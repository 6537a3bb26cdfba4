"""The reconstruction error of a greedily pruned matrix, which LSA compares units by."""

import torch
from torch import Tensor

BLOCK = 128
SHARE = 0.5
"""Share of inputs that are pruned in each row of a block."""


def greedy_error(weight: Tensor, hessian: Tensor, block: int = BLOCK, share: float = SHARE) -> float:
    """The sum of p H p^T over rows, p the pruned part of a row of `weight` [out, in], `hessian` [in, in], float32.

    The inputs are split into blocks from left to right. Of each, a share of the weights of a row is pruned one by one:
    the weight w_j with the smallest increase w_j^2 H_jj + 2 w_j (p H)_j. LSA's authors (`layersp/blk.py` of
    github.com/BeiYazi0/LSA) start from such a sum of a multiple of H, with the same block and share; but of a narrower
    last block their code prunes as many weights as of the others.
    """
    values = weight.detach().float()
    pruned = torch.zeros_like(values)
    alone = values.square() * hessian.diagonal()
    total = torch.zeros((), dtype=torch.float64, device=values.device)
    for start in range(0, values.shape[1], block):
        within = slice(start, min(start + block, values.shape[1]))
        inside = values[:, within]
        cost = alone[:, within] + 2 * inside * (pruned[:, :start] @ hessian[:start, within])
        for _ in range(int(inside.shape[1] * share)):
            least, place = cost.min(1, keepdim=True)
            total += least.double().sum()
            chosen = inside.gather(1, place)
            cost.addcmul_(inside * chosen, hessian[within, within][place.squeeze(1)], value=2)
            cost.scatter_(1, place, torch.inf)
            pruned[:, within].scatter_(1, place, chosen)
    return float(total)
