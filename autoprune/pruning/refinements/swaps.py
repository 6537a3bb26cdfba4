"""SparseSwaps: exchanging pruned and kept weights of a row as long as that lowers the error of the layer's output.

SparseSwaps (Zimmer et al., arXiv 2512.10922) lowers the error p H p^T of each row of a layer, p the pruned part of the
row and H the full layer Hessian. With G = p H, bringing back weight j and pruning weight k instead changes that error
by

    -2 w_j G_j + w_j^2 H_jj + 2 w_k G_k + w_k^2 H_kk - 2 w_j w_k H_jk

The paper takes the best pair of a row until none lowers the error. Here a round takes a few pairs at a time, each
chosen by its own two terms and swapped only if the whole change is negative (`pruning.swaps.swap_rounds`): nearly the
same gain for a small part of the work. Without a limit of rounds, the best of all pairs of a row is tried whenever
rounds gain nothing more, so that no single swap can improve the result.
"""

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.refinements.spec import SWAP_ROUNDS, RefinementSpec, Statistic
from autoprune.pruning.swaps import swap_rounds

GAIN = 1e-5
"""Swaps that lower a row's error by a smaller share do not count as improvements, since float32 does not resolve
them."""
NOISE = 1e-6
"""The same as a share of the largest error that a single weight of the row causes."""

FEW = 32
"""Weights of each kind whose pairs are tried before all pairs of a row."""


def swaps(
    weight: Tensor,
    mask: Tensor,
    hessian: Tensor,
    rounds: int | None = SWAP_ROUNDS,
    pattern: tuple[int, int] | None = None,
) -> Tensor:
    """A new mask [out, in] (bool, True = keep) whose rows have at most the error of the given mask's rows.

    `weight` [out, in] in any floating dtype, `hessian` [in, in] in float32 of any scale, both on the mask's device. The
    number of kept weights is preserved per row, or with a `pattern` (n, m) per m neighbours along the inputs. `rounds`:
    None for as many as it takes until no single swap improves any row. Weights that are zero remain pruned.
    Deterministic. Raises UsageError if the shapes do not fit.
    """
    inputs = weight.shape[1]
    if mask.shape != weight.shape or hessian.shape != (inputs, inputs):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (weight, mask, hessian))
        raise UsageError(f"a weight, its mask and its Hessian do not have the shapes {shapes}")
    values = weight.detach().float()
    already = values == 0
    fixed = already.float() if bool(already.any()) else None
    neighbours = pattern[1] if pattern else 0
    if rounds is not None:
        return swap_rounds(mask.float(), values, hessian, rounds, neighbours, fixed) > 0.5
    return _until_none_improves(mask, values, hessian, neighbours, already)


def _until_none_improves(mask: Tensor, weight: Tensor, hessian: Tensor, neighbours: int, fixed: Tensor) -> Tensor:
    """Alternate rounds and the best swap of each row, row by row until neither lowers the error.

    The best swap is first looked for among a few pairs, then among all pairs of the row.
    """
    kept = swap_rounds(mask.float(), weight, hessian, SWAP_ROUNDS, neighbours, fixed.float())

    def improved(rows: Tensor, few: int) -> Tensor:
        """Swap once and go on with rounds in those of the rows that a swap improves, which are returned."""
        better, swapped = _best_swaps(kept[rows], weight[rows], hessian, neighbours, fixed[rows], few)
        rows, swapped = rows[better], swapped[better]
        if len(rows):
            kept[rows] = swap_rounds(swapped, weight[rows], hessian, SWAP_ROUNDS, neighbours, fixed[rows].float())
        return rows

    active = torch.arange(len(kept), device=kept.device)
    while len(active):
        among_few = active
        while len(among_few):
            among_few = improved(among_few, FEW)
        active = improved(active, 0)
    return kept > 0.5


def _best_swaps(
    kept: Tensor, weight: Tensor, hessian: Tensor, neighbours: int, fixed: Tensor, few: int
) -> tuple[Tensor, Tensor]:
    """Which rows a single swap improves (bool, [rows]), and `kept` [rows, in] after the best swap of each of those.

    `few`: how many weights of each kind are tried, the best ones by their own terms; 0 for all.
    """
    pruned_part = weight * (1 - kept)
    pull = pruned_part @ hessian
    alone = weight.square() * hessian.diagonal()
    back = (alone - 2 * weight * pull).masked_fill((kept > 0.5) | fixed, torch.inf)
    out = (alone + 2 * weight * pull).masked_fill(kept < 0.5, torch.inf)
    if neighbours:
        change, new, old = _best_of_neighbours(back, out, weight, hessian, neighbours)
    elif few:
        change, new, old = _best_of_few(back, out, weight, hessian, min(few, weight.shape[1]))
    else:
        change, new, old = _best_of_rows(back, out, weight, hessian)
    error = (pruned_part * pull).sum(1)
    improved = change < -(GAIN * error + NOISE * alone.amax(1))
    return improved, kept.scatter(1, new, 1.0).scatter(1, old, 0.0)


def _best_of_few(back: Tensor, out: Tensor, weight: Tensor, hessian: Tensor, few: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `_best_of_rows` among the `few` least of `back` and of `out`."""
    (gain, new), (cost, old) = (effect.topk(few, dim=1, largest=False) for effect in (back, out))
    mutual = hessian[new[:, :, None], old[:, None, :]]
    mutual *= weight.gather(1, new)[:, :, None] * weight.gather(1, old)[:, None, :]
    least, best = (gain[:, :, None] + cost[:, None, :] - 2 * mutual).flatten(1).min(dim=1, keepdim=True)
    return least.squeeze(1), new.gather(1, best // few), old.gather(1, best % few)


def _best_of_rows(back: Tensor, out: Tensor, weight: Tensor, hessian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The least change of each row [rows] by a swap, and the columns to bring back and to prune, each [rows, 1]."""
    changes, new, old = [], [], []
    for row in range(len(weight)):
        pruned, kept = back[row].isfinite().nonzero().squeeze(1), out[row].isfinite().nonzero().squeeze(1)
        if not len(pruned) or not len(kept):
            changes.append(weight.new_zeros(()))  # this row stays as it is
            new.append(pruned.new_zeros(()))
            old.append(pruned.new_zeros(()))
            continue
        mutual = hessian[pruned][:, kept].mul_(weight[row, pruned][:, None]).mul_(weight[row, kept])
        change = (out[row, kept] + back[row, pruned][:, None]).sub_(mutual, alpha=2).flatten()
        best = change.argmin()
        changes.append(change[best])
        new.append(pruned[best // len(kept)])
        old.append(kept[best % len(kept)])
    return torch.stack(changes), torch.stack(new)[:, None], torch.stack(old)[:, None]


def _best_of_neighbours(
    back: Tensor, out: Tensor, weight: Tensor, hessian: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same for swaps within `size` neighbours along the inputs."""
    groups = weight.shape[1] // size
    squares = hessian.view(groups, size, groups, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    grouped = weight.view(-1, groups, size)
    change = back.view(-1, groups, size, 1) + out.view(-1, groups, 1, size)
    change = (change - 2 * grouped[..., None] * grouped[..., None, :] * squares).flatten(1)
    least, best = change.min(dim=1)
    group, pair = best // size**2, best % size**2
    return least, (group * size + pair // size)[:, None], (group * size + pair % size)[:, None]


def _refine(
    weight: Tensor, mask: Tensor, statistic: Statistic, pattern: tuple[int, int] | None, rounds: int | None
) -> Tensor:
    return swaps(weight, mask, statistic("hessian"), rounds, pattern)


SPEC = RefinementSpec(f"{SWAP_ROUNDS} rounds of swaps by the full Hessian", _refine, ("hessian",), SWAP_ROUNDS)
