"""Rounds of swaps between pruned and kept weights of a row, by the full layer Hessian.

The text below the imports is also a part of the sources that the symbolic engine writes, so it stands by itself: it
imports nothing but torch. Use `refinements.swaps`, which takes and returns masks.
"""

import torch

SPACING = 288
NEVER = 2.0**100


def swap_rounds(
    kept: torch.Tensor,
    weight: torch.Tensor,
    hessian: torch.Tensor,
    rounds: int,
    neighbours: int = 0,
    fixed: torch.Tensor | None = None,
) -> torch.Tensor:
    """Improve a mask row by row, in place: `kept` [out, in] is 1 where a weight is kept, else 0.

    With p the pruned part of a row and H the Hessian, the error of the layer's output is p H p^T. A round lists pairs
    of a pruned and a kept weight that would do well to change places (one pair for every SPACING inputs, or a few
    more), by p H of the whole row, and decides on a row's pairs one after the other, each in the light of those before
    it. Few pairs, for the next round knows what these did to p H. No row ever gets worse.
    `neighbours`: both weights of a pair are of the same so many neighbours (M of a pattern N:M); 0: of the row.
    `fixed` [out, in]: 1 where a pruned weight must stay pruned.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    diagonal = hessian.diagonal()
    # What p gains at a weight that changes its place, and what that does to the error: to come back, or to be pruned.
    pruned = 1 - kept
    step = torch.addcmul(weight, weight, pruned, value=-2)
    effect = ((weight - step) @ hessian).addcmul_(step, diagonal).mul_(step)
    back, out = torch.add(effect, kept, alpha=NEVER), effect.add_(pruned, alpha=NEVER)
    if fixed is not None:
        back.add_(fixed, alpha=NEVER)
    for left in reversed(range(rounds)):
        columns, effects = _pairs(back, out, neighbours)
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
    return kept


def _pairs(back: torch.Tensor, out: torch.Tensor, neighbours: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of weights to bring back, then of those to prune instead, [rows, 2 * pairs], and their effects.

    The columns are split into classes, within which one weight of each kind is chosen: M neighbours, or as many as
    there are inputs to a pair.
    """
    inputs = back.shape[1]
    count = max(1, inputs // SPACING)
    if neighbours:
        size = neighbours
    else:
        count = next(some for some in range(count, 0, -1) if inputs % some == 0)
        size = inputs // count
    least = [_least(each.view(len(each), -1, size)) for each in (back, out)]
    if neighbours:
        count = min(count, inputs // size)
        chosen = [(least[0][0] + least[1][0]).topk(count, dim=1, largest=False).indices] * 2
    else:
        chosen = [effect.argsort(dim=1) for effect, _ in least]
    columns = [each * size + place.gather(1, each) for (_, place), each in zip(least, chosen, strict=True)]
    effects = [effect.gather(1, each) for (effect, _), each in zip(least, chosen, strict=True)]
    return torch.cat(columns, dim=1), torch.cat(effects, dim=1)


def _least(classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The least of each class [rows, classes, size] and its place in it, both [rows, classes].

    On the CPU by NumPy, whose search for a place is vectorised.
    """
    place = classes.argmin(dim=2) if classes.is_cuda else torch.from_numpy(classes.numpy().argmin(axis=2))
    return classes.gather(2, place.unsqueeze(2)).squeeze(2), place


def _product(columns: torch.Tensor, values: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian: torch.Tensor, columns: torch.Tensor, moved: torch.Tensor, pulled: torch.Tensor) -> torch.Tensor:
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
