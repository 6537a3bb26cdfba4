import torch

from autoprune.pruning.swaps import swap_rounds


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved by rounds of swaps, as scores: kept weights above 1/2, pruned ones below.

    Under a pattern N:M both weights of a swap are of the same M neighbours.
    """
    neighbours = 0 if layer.pattern == "none" else int(layer.pattern.split(":")[1])
    kept = swap_rounds(_first_mask(score, layer, group), layer.weight, layer.hessian, rounds, neighbours)
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
