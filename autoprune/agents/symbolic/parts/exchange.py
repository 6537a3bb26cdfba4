import torch

SPACING = 64
SWEEPS = 2


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round computes p H for whole rows,
    lists pairs of a pruned and a kept weight that would do well to change places (one pair for every SPACING inputs),
    and decides on a row's pairs one after the other, each in the light of those before it. No row ever gets worse.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    alone = weight.square() * hessian.diagonal()
    keep = _first_mask(score, layer.sparsity, group)
    for _ in range(rounds):
        pull = ((weight * ~keep) @ hessian).mul_(weight).mul_(2)
        count = max(1, weight.shape[1] // SPACING)
        gain, back = _best((pull - alone).masked_fill_(keep, -torch.inf), count)
        loss, out = _best(pull.add_(alone).neg_().masked_fill_(~keep, -torch.inf), count)
        change = -(gain + loss)
        rows, pairs = _swapped(weight, hessian, back, out, change).nonzero(as_tuple=True)
        keep[rows, back[rows, pairs]], keep[rows, out[rows, pairs]] = True, False
    share = score.abs() / (score.abs() + score.abs().mean() + 1e-12)
    return 2.0 * keep + share


def _first_mask(score, sparsity, group):
    rows = score if group == "row" else score.reshape(1, -1)
    kept = rows.topk(rows.shape[1] - round(sparsity * rows.shape[1]), dim=1).indices
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, kept, True).view_as(score)


def _best(values, count):
    """Of every row split into `count` interleaved classes the best of each, best first: values, columns."""
    rows, columns = values.shape
    missing = -columns % count
    padded = torch.nn.functional.pad(values, (0, missing), value=-torch.inf)
    best, place = padded.view(rows, -1, count).max(dim=1)
    best, order = best.sort(dim=1, descending=True)
    columns_of = place * count + torch.arange(count, device=values.device)
    return best, columns_of.gather(1, order).clamp_(max=columns - 1)


def _swapped(weight, hessian, back, out, change):
    """Which pairs to swap [rows, pairs]: pair by pair, as long as the error falls. `change`: its change by each
    pair alone, without what the two of a pair do to each other; infinite where there is no such pair."""
    both = torch.cat([back, out], dim=1)
    moved = weight.gather(1, both)
    moved[:, : back.shape[1]].neg_()
    product = hessian.reshape(-1)[both.unsqueeze(2) * hessian.shape[1] + both.unsqueeze(1)]
    product.mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    first, last = product.split(back.shape[1], dim=1)
    mutual = (first + last).unflatten(2, (2, -1)).sum(dim=2).permute(1, 2, 0).contiguous()
    change = change.T + 2 * first[:, :, back.shape[1] :].diagonal(dim1=1, dim2=2).T
    swapped = torch.zeros_like(change)
    for _ in range(SWEEPS):
        for pair, between in enumerate(mutual):
            alone = change[pair].clone()
            step = torch.where(swapped[pair] > 0, -(alone > 0).float(), (alone < 0).float())
            change.add_(2 * step * between)
            change[pair] = alone
            swapped[pair] += step
    return swapped.T > 0
