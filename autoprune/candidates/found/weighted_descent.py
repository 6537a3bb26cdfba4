import torch


def weighted_descent(weight, hessian, kept, sensitivity, sweeps=7, block=16, swaps=12, shrink=0.03):
    """The mask [out, in] that keeps `kept` weights of a matrix, with a low sum of s_i p_i H p_i^T over its rows i.

    p_i is the pruned part of row i, s = sensitivity [out], not negative, H the Hessian with its off-diagonals times
    1 - shrink. Rows compete for the budget (GROUP = "matrix"). Coordinate descent minimises the sum plus a price for
    every kept weight, which follows the count in every sweep: one weight per row and block of columns at a time. Then
    the count is made exact, and the best swaps within rows follow. Never worse than the best mask by H's diagonal.
    """
    inputs = weight.shape[1]
    matrix = hessian.float() * (1.0 - shrink)
    matrix.diagonal().copy_(hessian.diagonal().clamp_min(1e-12))
    scaled = weight.float() * sensitivity.float().sqrt()[:, None]
    # Neighbours are put into different blocks: of the weights of a row and block, only the best one changes at a time.
    blocks = (inputs + block - 1) // block
    order = torch.cat([torch.arange(start, inputs, blocks, device=weight.device) for start in range(blocks)])
    scaled, matrix = scaled[:, order].contiguous(), matrix[order][:, order].contiguous()
    first = _largest(scaled.square() * matrix.diagonal(), kept)
    mask = first
    if 0 < kept < mask.numel():
        mask = _descended(scaled, matrix, first, kept, sweeps, block)
        importance = _importance(scaled, matrix, mask)
        mask = _largest(mask * 4.0 + importance / (importance.abs().max() + 1e-30), kept)
        mask = _swapped(scaled, matrix, mask, swaps)
        if _error(scaled, matrix, mask) > _error(scaled, matrix, first):
            mask = first
    restored = torch.empty_like(mask)
    restored[:, order] = mask
    return restored


def _descended(weight, hessian, mask, kept, sweeps, block):
    """A mask after sweeps of coordinate descent on the sum of p H p^T plus a price per kept weight."""
    pruned, signs = weight * ~mask, mask * 2.0 - 1.0
    diagonal = hessian.diagonal()
    for _ in range(sweeps):
        importance = _importance(weight, hessian, signs > 0)
        price = importance.flatten().kthvalue(importance.numel() - kept + 1).values
        for start in range(0, weight.shape[1], block):
            part = slice(start, start + block)
            own = weight[:, part]
            # What the sum gains when a weight changes its place: out of the mask (sign 1), or back into it (-1).
            change = (pruned @ hessian[:, part]).mul_(2.0 * own).sub_(price).mul_(signs[:, part])
            least, column = change.add_(own.square() * diagonal[part]).min(1, keepdim=True)
            old = signs[:, part].gather(1, column)
            new = torch.where(least < 0, -old, old)
            signs[:, part].scatter_(1, column, new)
            pruned[:, part].scatter_(1, column, own.gather(1, column) * (0.5 - 0.5 * new))
    return signs > 0


def _swapped(weight, hessian, mask, rounds, rows=128):
    """A mask after swaps of a pruned and a kept weight within rows, as long as they lower p H p^T."""
    swapped = mask.clone()
    diagonal = hessian.diagonal()
    for own, kept in zip(weight.split(rows), swapped.split(rows), strict=True):
        alone, twice = own.square() * diagonal, 2.0 * own
        pull = (own * ~kept) @ hessian
        for _ in range(rounds):
            gain, back = (alone - twice * pull).masked_fill(kept, torch.inf).min(1, keepdim=True)
            pulled = torch.addcmul(pull, own.gather(1, back), hessian[back[:, 0]], value=-1.0)
            cost, out = (alone + twice * pulled).masked_fill(~kept, torch.inf).min(1, keepdim=True)
            better = gain + cost < 0
            if not bool(better.any()):
                break
            pull = torch.where(better, torch.addcmul(pulled, own.gather(1, out), hessian[out[:, 0]]), pull)
            kept.scatter_(1, back, kept.gather(1, back) | better)
            kept.scatter_(1, out, kept.gather(1, out) & ~better)
    return swapped


def _importance(weight, hessian, mask):
    """What pruning a kept weight adds to the sum, and what keeping a pruned one takes from it."""
    return weight.square() * hessian.diagonal() * (mask * 2.0 - 1.0) + 2.0 * weight * ((weight * ~mask) @ hessian)


def _largest(score, kept):
    mask = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    mask[score.flatten().topk(kept).indices] = True
    return mask.view_as(score)


def _error(weight, hessian, mask):
    pruned = weight * ~mask
    return (pruned @ hessian * pruned).double().sum()
