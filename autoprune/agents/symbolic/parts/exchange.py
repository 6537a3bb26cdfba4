import torch

SPACING = 64
SWEEPS = 2
NEVER = 1e30


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round lists pairs of a pruned and a
    kept weight that would do well to change places (one pair for every SPACING inputs), by p H of the whole row, and
    decides on a row's pairs one after the other, each in the light of those before it. No row ever gets worse.
    Under a pattern N:M both weights of a pair are of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    count = max(1, weight.shape[1] // SPACING)
    keep = _first_mask(score, layer, group).to(weight.dtype)
    pulled = (weight - weight * keep) @ hessian
    alone, twice = weight.square() * hessian.diagonal(), 2 * weight
    if_back, if_out = alone + NEVER * keep, alone + NEVER * (1 - keep)
    for _ in range(rounds):
        pull = pulled * twice
        back, out, change = _pairs(pull - if_back, pull.add_(if_out).neg_(), count, layer.pattern)
        both, moved = _moves(weight, back, out)
        swapped = _swapped(hessian, both, moved, change)
        pulled += _product(both, moved * swapped.repeat(1, 2), hessian)
        rows, pairs = swapped.nonzero(as_tuple=True)
        back, out = back[rows, pairs], out[rows, pairs]
        keep[rows, back], keep[rows, out] = 1, 0
        if_back[rows, back] += NEVER
        if_out[rows, out] += NEVER
        if_back[rows, out], if_out[rows, back] = alone[rows, out], alone[rows, back]
    size = score.abs()
    return size.div_(size + size.mean() + 1e-12).add_(keep, alpha=2)


def _first_mask(score, layer, group):
    if layer.pattern != "none":
        kept, of = map(int, layer.pattern.split(":"))
        neighbours = score.unflatten(1, (-1, of))
        best = neighbours.topk(kept, dim=2).indices
        return torch.zeros_like(neighbours, dtype=torch.bool).scatter_(2, best, True).flatten(1)
    rows = score if group == "row" else score.reshape(1, -1)
    zeros = round(layer.sparsity * rows.shape[1])
    if zeros == 0:
        return torch.ones_like(score, dtype=torch.bool)
    best = rows.topk(rows.shape[1] - zeros, dim=1, sorted=False).indices
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, best, True).view_as(score)


def _pairs(gain, loss, count, pattern):
    """Columns of weights to bring back and to prune instead [rows, count], and the change of the error by each pair."""
    if pattern == "none":
        (gain, back), (loss, out) = _best(gain, count), _best(loss, count)
        return back, out, -(gain + loss)
    of = int(pattern.split(":")[1])
    gain, back = gain.unflatten(1, (-1, of)).max(dim=2)
    loss, out = loss.unflatten(1, (-1, of)).max(dim=2)
    best, chosen = _best(gain + loss, min(count, gain.shape[1]))
    return chosen * of + back.gather(1, chosen), chosen * of + out.gather(1, chosen), -best


def _best(values, count):
    """Of every row split into `count` interleaved classes the best of each, best first: values, columns."""
    rows, columns = values.shape
    missing = -columns % count
    if missing:
        values = torch.nn.functional.pad(values, (0, missing), value=-NEVER)
    best, place = values.view(rows, -1, count).max(dim=1)
    best, order = best.sort(dim=1, descending=True)
    columns_of = place * count + torch.arange(count, device=values.device)
    return best, columns_of.gather(1, order).clamp_(max=columns - 1)


def _moves(weight, back, out):
    """Columns of the weights of all pairs [rows, 2 pairs], and what the pruned part gains at them."""
    both = torch.cat([back, out], dim=1)
    moved = weight.gather(1, both)
    moved[:, : back.shape[1]].neg_()
    return both, moved


def _product(columns, values, hessian):
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian, both, moved, change):
    """Which pairs to swap [rows, pairs]: pair by pair, as long as the error falls. `change`: its change by each
    pair alone, without what the two of a pair do to each other; huge where there is no such pair."""
    pairs, places = change.shape[1], both.unsqueeze(2) * hessian.shape[1] + both.unsqueeze(1)
    product = hessian.reshape(-1).index_select(0, places.view(-1)).view_as(places)
    product.mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    first, last = product.split(pairs, dim=1)
    mutual = (first + last).unflatten(2, (2, -1)).sum(dim=2).permute(1, 2, 0).contiguous()
    change = change.T + 2 * first[:, :, pairs:].diagonal(dim1=1, dim2=2).T
    swapped = torch.zeros_like(change)
    for _ in range(SWEEPS):
        for pair, between in enumerate(mutual):
            alone = change[pair].clone()
            step = torch.where(swapped[pair] > 0, -(alone > 0).to(alone.dtype), (alone < 0).to(alone.dtype))
            change.add_(2 * step * between)
            change[pair] = alone
            swapped[pair] += step
    return swapped.T.contiguous()
