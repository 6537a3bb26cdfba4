"""A score of the variance and norm of each input, improved by 16 rounds of mask swaps.

Formula: |W| · (σ² + ‖X‖^0.75), compared within each row; density by depth and role.
Found by autoprune 0.1.0 in the run 20261127-145844-smollm2-135m-60: candidate g68.c1,
c05a246d017cd611 (operator deepen, engine symbolic).
Perplexity on smollm2-135m at sparsity 0.6, report split: 31.39 (3 calibration seeds); best of 30
baselines without swaps: gblm+atp tuned, 54.79 (-42.7 %, 95 % interval -45.7 to -40.5 %: better).
Lineage and confirmation: exchange_by_variance.md
"""

"""Score: exchange(mul(|weight|, add(input variance, pow(input norm, 0.75))), 16)."""

import torch

GROUP = "row"


SPACING = 288
NEVER = 2.0**100


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 1/2, pruned ones below.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round lists pairs of a pruned and a
    kept weight that would do well to change places (one pair for every SPACING inputs, or a few more), by p H of the
    whole row, and decides on a row's pairs one after the other, each in the light of those before it. Few pairs, for
    the next round knows what these did to p H. No row ever gets worse. Under a pattern N:M both weights of a pair are
    of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian, diagonal = layer.weight, layer.hessian, layer.hessian.diagonal()
    kept = _first_mask(score, layer, group)
    # What p gains at a weight that changes its place, and what that does to the error: to come back, or to be pruned.
    pruned = 1 - kept
    step = torch.addcmul(weight, weight, pruned, value=-2)
    effect = ((weight - step) @ hessian).addcmul_(step, diagonal).mul_(step)
    back, out = torch.add(effect, kept, alpha=NEVER), effect.add_(pruned, alpha=NEVER)
    for left in reversed(range(rounds)):
        columns, effects = _pairs(back, out, layer.pattern)
        moved, was_kept = step.gather(1, columns), kept.gather(1, columns)
        alone = moved.square() * diagonal[columns]
        swapped = _swapped(hessian, columns, moved, effects - alone).repeat(1, 2)
        kept.scatter_(1, columns, (was_kept - swapped).abs())
        if not left:
            break
        gain = _product(columns, 2 * moved * swapped, hessian)
        now = [each.addcmul_(gain, step).gather(1, columns) for each in (back, out)]
        # A weight that has changed its place may only change it back, and its step has turned round.
        turned = 2 * alone - torch.minimum(*now)
        for each, old, bar in zip((back, out), now, (1 - was_kept, was_kept), strict=True):
            each.scatter_(1, columns, torch.where(swapped > 0, torch.add(turned, bar, alpha=NEVER), old))
        step.scatter_(1, columns, moved - 2 * moved * swapped)
    largest = torch.stack(score.aminmax()).abs().max().clamp_min(1e-30)
    return kept.add_(score, alpha=0.25 / float(largest))


def _first_mask(score, layer, group):
    """1 where a weight is kept, else 0."""
    if layer.pattern == "none":
        rows = score if group == "row" else score.reshape(1, -1)
        most = rows.shape[1] - round(layer.sparsity * rows.shape[1])
    else:
        most, of = map(int, layer.pattern.split(":"))
        rows = score.reshape(-1, of)
    if most == 0:
        return torch.zeros_like(score)
    first = torch.ge(rows, _lowest_kept(rows, most), out=torch.empty_like(rows))
    if (first.sum(dim=1) > most).any():  # of equal scores some are kept
        best = rows.topk(most, dim=1, sorted=False).indices
        first = torch.zeros_like(rows).scatter_(1, best, 1.0)
    return first.view_as(score)


def _lowest_kept(rows, most):
    """The lowest of the `most` highest of each row [rows, 1], on the CPU by NumPy, whose selection is vectorised."""
    if rows.is_cuda:
        return rows.kthvalue(rows.shape[1] - most + 1, dim=1, keepdim=True).values
    ordered = rows.clone()
    ordered.numpy().partition(rows.shape[1] - most, axis=1)
    return ordered[:, -most, None]


def _pairs(back, out, pattern):
    """Columns of weights to bring back, then of those to prune instead, [rows, 2 * pairs], and their effects.

    The columns are split into classes, within which one weight of each kind is chosen: M neighbours, or as many as
    there are inputs to a pair.
    """
    columns = back.shape[1]
    count = max(1, columns // SPACING)
    if pattern == "none":
        count = next(some for some in range(count, 0, -1) if columns % some == 0)
        size = columns // count
    else:
        size = int(pattern.split(":")[1])
    least = [_least(each.view(len(each), -1, size)) for each in (back, out)]
    if pattern == "none":
        chosen = [effect.argsort(dim=1) for effect, _ in least]
    else:
        count = min(count, columns // size)
        chosen = [(least[0][0] + least[1][0]).topk(count, dim=1, largest=False).indices] * 2
    columns = [each * size + place.gather(1, each) for (_, place), each in zip(least, chosen, strict=True)]
    effects = [effect.gather(1, each) for (effect, _), each in zip(least, chosen, strict=True)]
    return torch.cat(columns, dim=1), torch.cat(effects, dim=1)


def _least(classes):
    """The least of each class [rows, classes, size] and its place in it, both [rows, classes].

    On the CPU by NumPy, whose search for a place is vectorised.
    """
    place = classes.argmin(dim=2) if classes.is_cuda else torch.from_numpy(classes.numpy().argmin(axis=2))
    return classes.gather(2, place.unsqueeze(2)).squeeze(2), place


def _product(columns, values, hessian):
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian, columns, moved, pulled):
    """Which pairs to swap [rows, pairs], 1 or 0: pair by pair, as long as the error falls.

    `columns`: of all weights to bring back, then of those to prune; `moved`: their steps, `pulled`: 2 p H of them.
    """
    among = hessian.flatten().index_select(0, (columns.unsqueeze(2) * len(hessian) + columns.unsqueeze(1)).view(-1))
    mutual = among.view(*columns.shape, -1).mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    mutual = mutual.unflatten(2, (2, -1)).sum(dim=2).unflatten(1, (2, -1)).sum(dim=1).permute(1, 2, 0).contiguous()
    change = pulled.unflatten(1, (2, -1)).sum(dim=1).T + mutual.diagonal().T
    swapped = torch.zeros_like(change)
    for pair, between in enumerate(mutual):
        swapped[pair] = change[pair] < 0
        change += 2 * swapped[pair] * between
    return swapped.T.contiguous()


def score(layer):
    W = layer.weight.abs()
    X = layer.input_norm
    V = layer.input_var
    return exchange((W * (V + X.pow(0.75))), layer, GROUP, 16)


UNIT = "module"
KNOTS = [0.349, 0.135, -0.015, -0.102, -0.125, -0.084]
ROLES = {"gate": -0.138, "q": -0.059, "up": -0.055, "k": 0.196}


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
