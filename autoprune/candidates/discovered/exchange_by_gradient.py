"""A score of inputs and gradients that descends from GBLM's, improved by 8 rounds of mask swaps.

Formula: |W| · (‖X‖ + |G| · |μ|^0.75), compared within each row; density by depth and role.
Found by autoprune 0.1.0 in the run 20261126-234612-smollm2-135m-60: candidate g16.c3,
3fb2af0b42c2da5d (operator allocation, engine symbolic).
Perplexity on smollm2-135m at sparsity 0.6, report split: 33.45 (3 calibration seeds); best of 30
baselines without swaps: gblm+atp tuned, 54.78 (-38.9 %, 95 % interval -41.5 to -36.6 %: better).
Lineage and confirmation: exchange_by_gradient.md
"""

"""Score: exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input mean|, 0.75)))), 8)."""

import torch

GROUP = "row"


SPACING = 288
NEVER = 2.0**100


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round lists pairs of a pruned and a
    kept weight that would do well to change places (one pair for every SPACING inputs, or a few more), by p H of the
    whole row, and decides on a row's pairs one after the other, each in the light of those before it. Few pairs, for
    the next round knows what these did to p H. No row ever gets worse. Under a pattern N:M both weights of a pair are
    of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    keep = _first_mask(score, layer, group)
    pulled = (weight - weight * keep) @ hessian
    # What p gains at a weight that changes its place, and what that alone does to the error: 2 step (p H) + alone.
    step, alone = weight * (2 * keep - 1), weight.square() * hessian.diagonal()
    kept, pruned = NEVER * keep, NEVER * (1 - keep)
    for _ in range(rounds):
        effect = torch.addcmul(alone, pulled, step, value=2)
        back, out = _pairs(effect, kept, pruned, layer.pattern)
        forbidden = kept.gather(1, back) + pruned.gather(1, out)
        columns = torch.cat([back, out], dim=1)
        moved, was_kept = step.gather(1, columns), kept.gather(1, columns)
        swapped = _swapped(hessian, columns, moved, pulled.gather(1, columns), forbidden).repeat(1, 2)
        pulled += _product(columns, moved * swapped, hessian)
        now_kept = was_kept + swapped * (NEVER - 2 * was_kept)
        step.scatter_(1, columns, moved - 2 * moved * swapped)
        kept.scatter_(1, columns, now_kept)
        pruned.scatter_(1, columns, NEVER - now_kept)
    size = score.abs()
    return size.div_(size + size.mean() + 1e-12).add_(kept, alpha=2 / NEVER)


def _first_mask(score, layer, group):
    """1 where a weight is kept, else 0."""
    if layer.pattern == "none":
        rows = score if group == "row" else score.reshape(1, -1)
        most = rows.shape[1] - round(layer.sparsity * rows.shape[1])
    else:
        most, of = map(int, layer.pattern.split(":"))
        rows = score.reshape(-1, of)
    best = rows.topk(most, dim=1, sorted=False).indices
    return torch.zeros_like(rows).scatter_(1, best, 1.0).view_as(score)


def _pairs(effect, kept, pruned, pattern):
    """Columns of weights to bring back, and of those to prune instead, [rows, pairs] each.

    The columns are split into classes, within which one weight of each kind is chosen: M neighbours, or as many as
    there are inputs to a pair. Changes the last bits of `effect`: they take the place within the class, so that a
    minimum, which is ten times as fast without its index, brings it along.
    """
    columns = effect.shape[1]
    count = max(1, columns // SPACING)
    if pattern == "none":
        count = next(some for some in range(count, 0, -1) if columns % some == 0)
        size = columns // count
    else:
        size = int(pattern.split(":")[1])
    bits = 2 ** (size - 1).bit_length() - 1
    classes = effect.view(effect.shape[0], -1, size)
    places = torch.arange(size, dtype=torch.int32, device=effect.device)
    classes.view(torch.int32).bitwise_and_(~bits).bitwise_or_(places)
    back, out = ((effect + bar).view_as(classes).amin(dim=2) for bar in (kept, pruned))
    if pattern == "none":
        chosen = [back.argsort(dim=1), out.argsort(dim=1)]
    else:
        chosen = [(back + out).topk(min(count, back.shape[1]), dim=1, largest=False).indices] * 2
    return [
        chosen * size + (least.gather(1, chosen).view(torch.int32) & bits).clamp_(max=size - 1)
        for least, chosen in zip((back, out), chosen, strict=True)
    ]


def _product(columns, values, hessian):
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian, columns, moved, pulled, forbidden):
    """Which pairs to swap [rows, pairs], 1 or 0: pair by pair, as long as the error falls.

    `columns`: of all weights to bring back, then of those to prune; `moved`, `pulled`: of these columns.
    """
    among = hessian.flatten().index_select(0, (columns.unsqueeze(2) * len(hessian) + columns.unsqueeze(1)).view(-1))
    mutual = among.view(*columns.shape, -1).mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    mutual = mutual.unflatten(2, (2, -1)).sum(dim=2).unflatten(1, (2, -1)).sum(dim=1).permute(1, 2, 0).contiguous()
    change = (2 * moved * pulled).unflatten(1, (2, -1)).sum(dim=1).add_(forbidden).T + mutual.diagonal().T
    swapped = torch.zeros_like(change)
    for pair, between in enumerate(mutual):
        swapped[pair] = change[pair] < 0
        change += 2 * swapped[pair] * between
    return swapped.T.contiguous()


def score(layer):
    W = layer.weight.abs()
    G = layer.gradient.abs()
    X = layer.input_norm
    M = layer.input_mean.abs()
    return exchange((W * (X + (G * M.pow(0.75)))), layer, GROUP, 8)


UNIT = "module"
KNOTS = [0.344, 0.141, -0.006, -0.097, -0.132, -0.11]
ROLES = {"q": -0.043, "up": -0.078}


def allocate(units, sparsity):
    """The mean density times 1 + a change: straight lines between KNOTS over depth, and something for a role."""
    density, last = 1.0 - sparsity, len(KNOTS) - 1
    raw = []
    for unit in units:
        place = unit.depth * last
        left = min(int(place), last - 1)
        change = KNOTS[left] + (place - left) * (KNOTS[left + 1] - KNOTS[left])
        raw.append(density * (1.0 + change + ROLES.get(unit.role, 0.0)))
    return raw
