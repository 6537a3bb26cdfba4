import torch

SHORTLIST = 48
ROUNDS = 2
EXCHANGES = 20


def exchange(score, layer, group):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    An exchange brings the pruned weight back that lowers the error of the layer's output most, and prunes the kept one
    of the same row that then costs least: with p the pruned part of a row, the error is p H p^T. A round computes p H
    for whole rows and lists the best weights of either kind; exchanges are made within the lists, while they pay.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    alone = weight.square() * hessian.diagonal()
    keep = _first_mask(score, layer.sparsity, group)
    for _ in range(ROUNDS):
        pull = 2 * weight * ((weight * ~keep) @ hessian)
        count = min(SHORTLIST, weight.shape[1])
        back = (pull - alone).masked_fill(keep, -torch.inf).topk(count, dim=1)
        out = (-pull - alone).masked_fill(~keep, -torch.inf).topk(count, dim=1)
        _exchange_listed(keep, weight, hessian, alone, pull, back, out)
    share = score.abs() / (score.abs() + score.abs().mean() + 1e-12)
    return 2.0 * keep + share


def _first_mask(score, sparsity, group):
    rows = score if group == "row" else score.reshape(1, -1)
    kept = rows.topk(rows.shape[1] - round(sparsity * rows.shape[1]), dim=1).indices
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, kept, True).view_as(score)


def _exchange_listed(keep, weight, hessian, alone, pull, back, out):
    """Up to EXCHANGES per row, in place. A list's entry that is of the other kind is never taken."""
    lists = []
    for listed in (back, out):
        at = listed.indices
        fixed = torch.where(torch.isinf(listed.values), torch.inf, alone.gather(1, at))
        lists.append([at, weight.gather(1, at), fixed, pull.gather(1, at)])
    (into, w_in, a_in, p_in), (off, w_off, a_off, p_off) = lists
    rows = torch.arange(len(weight), device=weight.device)
    for _ in range(EXCHANGES):
        won, i = (p_in - a_in).max(dim=1)
        new, w_new = into[rows, i], w_in[rows, i].unsqueeze(1)
        by_new = w_new * hessian[new.unsqueeze(1), off]
        lost, j = (p_off + a_off - 2 * w_off * by_new).min(dim=1)
        better = won > lost
        if not better.any():
            break
        r, i, j, new, w_new = rows[better], i[better], j[better], new[better], w_new[better]
        old, w_old = off[r, j], w_off[r, j].unsqueeze(1)
        p_off[r] += 2 * w_off[r] * (w_old * hessian[old.unsqueeze(1), off[r]] - by_new[better])
        moved = w_old * hessian[old.unsqueeze(1), into[r]] - w_new * hessian[new.unsqueeze(1), into[r]]
        p_in[r] += 2 * w_in[r] * moved
        for one, other in zip(*lists, strict=True):
            one[r, i], other[r, j] = other[r, j].clone(), one[r, i].clone()
        keep[r, new], keep[r, old] = True, False
