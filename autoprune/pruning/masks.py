"""Masks from scores: True = keep, with exact counts under ties, by selection instead of sorting.

On the CPU the selection is numpy's vectorised quickselect on pieces that fit the cache, in one thread, since threads
would compete with torch's; elsewhere it is `torch.kthvalue`, or a sort. Layers are processed in parallel (threads.py).
Scores must not contain NaN.
"""

import re
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.fields import GROUPS

PIECE = 1 << 16
"""Scores per piece: 256 KiB of float32, which fit a core's second-level cache."""

BAR = np.float32(0.5)
"""In scores that are masks, as those of swaps, kept weights are above it and pruned ones below."""

_WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}

SMALL_GROUP = 8
"""Up to this number of neighbours, comparing all pairs in all groups at once is faster than a selection per group."""


def parse_pattern(text: str) -> tuple[int, int] | None:
    """Parse "2:4" to (2, 4): two kept of every four along the inputs; "none" to None. Raises UsageError otherwise."""
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if not match or not 0 < int(match[1]) < int(match[2]):
        raise UsageError(f"pattern {text!r} is not of the form N:M with 0 < N < M, for example 2:4")
    return int(match[1]), int(match[2])


def make_mask(score: Tensor, weight: Tensor, zeros: int, group: str, pattern: tuple[int, int] | None = None) -> Tensor:
    """The mask [out, in] of a layer: `zeros` weights pruned within `group` ("row", "matrix"), or by an N:M pattern.

    Existing zeros are pruned first, so that the pruned weight has exactly `zeros` zeros; a row with more than its share
    of them reduces the share of the others. A pattern ignores `zeros` and `group`. Raises UsageError if `zeros` does
    not fit, the weight already has more zeros, or the pattern does not divide the inputs.
    """
    if score.shape != weight.shape:
        raise UsageError(f"scores {tuple(score.shape)} do not have the weight's shape {tuple(weight.shape)}")
    if group not in GROUPS:
        raise UsageError(f"scores are compared within {' or '.join(GROUPS)}, not {group!r}")
    score = score.to(weight.device)
    mask = _mask(score, zeros, group, pattern)
    if count_zeros(weight) == 0:  # the usual case, and faster than locating zeros
        return mask
    already = weight == 0
    # Most scores prune zeros first by themselves.
    if not bool((mask & already).any()):
        return mask
    return _mask(score.masked_fill(already, -torch.inf), zeros, group, pattern, already.sum(1))


def _mask(
    score: Tensor, zeros: int, group: str, pattern: tuple[int, int] | None, at_least: Tensor | None = None
) -> Tensor:
    if pattern is not None:
        return nm_mask(score, *pattern)
    rows, cols = score.shape
    shares = row_zeros(zeros, rows, cols, at_least)
    return row_mask(score, shares) if group == "row" else matrix_mask(score, zeros)


def check_mask(weight: Tensor, mask: Tensor) -> None:
    """Raises UsageError if a mask does not have the weight's shape."""
    if mask.shape != weight.shape:
        raise UsageError(f"the mask {tuple(mask.shape)} does not have the weight's shape {tuple(weight.shape)}")


def masked_weight(weight: Tensor, mask: Tensor, out: Tensor | None = None) -> Tensor:
    """The weight [out, in] where the mask is True, bit by bit, and +0.0 elsewhere.

    `out`: an optional output tensor of the weight's dtype. The product is computed on integers of the same bits, which
    is several times as fast on the CPU as on floats or by `masked_fill`.
    """
    whole = _WHOLE[weight.element_size()]
    product = torch.mul(weight.view(whole), mask, out=None if out is None else out.view(whole))
    return product.view(weight.dtype)


def count_zeros(weight: Tensor) -> int:
    """Number of entries that are 0.0 or -0.0, by their bits, which is several times as fast on the CPU."""
    bits = weight.view(_WHOLE[weight.element_size()])
    return weight.numel() - int((bits + bits).count_nonzero())  # doubling shifts out the sign bit


def row_zeros(zeros: int, rows: int, cols: int, at_least: Tensor | None = None) -> Tensor:
    """Distribute a matrix' zeros evenly over its rows (int64, [rows]); the first rows take the remainder.

    `at_least`: existing zeros per row; a row above its share keeps them, and the others share the rest. Raises
    UsageError if they exceed `zeros`.
    """
    if not 0 <= zeros <= rows * cols:
        raise UsageError(f"{zeros} zeros do not fit into {rows} rows of {cols} weights")
    if at_least is None:
        return _even(zeros, rows)
    if int(at_least.sum()) > zeros:
        raise UsageError(f"the weight already holds {int(at_least.sum())} zeros, more than the {zeros} to be reached")
    shares = at_least.cpu().clone()
    free = torch.ones(rows, dtype=torch.bool)
    while True:
        even = _even(zeros - int(shares[~free].sum()), int(free.sum()))
        above = shares[free] > even
        if not bool(above.any()):
            shares[free] = even
            return shares
        free[free.nonzero().squeeze(1)[above]] = False


def row_mask(score: Tensor, zeros_per_row: int | Tensor) -> Tensor:
    """Keep the highest scores of each row. Mask [out, in], bool, on the scores' device.

    `zeros_per_row`: integers [out], or their total, distributed by `row_zeros`. Among equal scores the leftmost are
    pruned first.
    """
    rows, cols = score.shape
    quotas = row_zeros(zeros_per_row, rows, cols) if isinstance(zeros_per_row, int) else zeros_per_row.cpu()
    if quotas.shape != (rows,) or bool(((quotas < 0) | (quotas > cols)).any()):
        raise UsageError(f"zeros per row must be {rows} integers from 0 to {cols}")
    mask = torch.empty(rows, cols, dtype=torch.bool, device=score.device)
    on_cpu = score.device.type == "cpu"
    select = _select_numpy if on_cpu else _select_torch
    score = _comparable(score)
    step = max(1, PIECE // max(cols, 1)) if on_cpu else max(1, rows)
    starts = [0, *((quotas[1:] != quotas[:-1]).nonzero().squeeze(1) + 1).tolist(), rows]
    for start, end in pairwise(starts):
        for at in range(start, end, step):
            piece = slice(at, min(at + step, end))
            select(score[piece], int(quotas[start]), mask[piece])
    return mask


def matrix_mask(score: Tensor, zeros: int) -> Tensor:
    """Keep the highest scores of a tensor of any shape: exactly `zeros` entries are False, earlier ones first among
    equals."""
    if not 0 <= zeros <= score.numel():
        raise UsageError(f"{zeros} zeros do not fit into {score.numel()} weights")
    mask = torch.empty(1, score.numel(), dtype=torch.bool, device=score.device)
    select = _select_numpy if score.device.type == "cpu" else _select_torch
    select(_comparable(score).reshape(1, -1), zeros, mask)
    return mask.view(score.shape)


def nm_mask(score: Tensor, n: int, m: int) -> Tensor:
    """Keep the n highest scores of every m neighbours along the inputs; earlier ones are pruned first among equals.

    Raises UsageError if in_features is not a multiple of m.
    """
    if not 0 <= n <= m or m < 1:
        raise UsageError(f"a pattern of {n}:{m} does not exist")
    if score.shape[-1] % m:
        raise UsageError(f"a pattern of {n}:{m} needs in_features divisible by {m}, not {score.shape[-1]}")
    groups = score.reshape(-1, m)
    if score.device.type != "cpu":  # where a selection starts a block of threads for each group
        pruned = _comparable(groups).sort(dim=1, stable=True).indices[:, : m - n]
        return torch.ones_like(groups, dtype=torch.bool).scatter_(1, pruned, False).view(score.shape)
    if m <= SMALL_GROUP:
        return _rank_in_pairs(_comparable(groups), n).view(score.shape)
    return row_mask(groups, torch.full((len(groups),), m - n)).view(score.shape)


def nm_zeros(weight: Tensor, n: int, m: int) -> int:
    """The zeros of a weight [out, in] under n:m: m - n in each group, or more if it already has more.

    Raises UsageError if in_features is not a multiple of m.
    """
    if weight.shape[-1] % m:
        raise UsageError(f"a pattern of {n}:{m} needs in_features divisible by {m}, not {weight.shape[-1]}")
    return int((weight == 0).reshape(-1, m).sum(1).clamp_min(m - n).sum())


def _rank_in_pairs(groups: Tensor, n: int) -> Tensor:
    """Keep the n best of each row of `groups` [count, m], by the number of neighbours that each entry outranks."""
    count, m = groups.shape
    columns = np.ascontiguousarray(groups.numpy().T)
    outranked = np.zeros((m, count), np.uint8)
    for left in range(m):
        for right in range(left + 1, m):
            wins = columns[left] > columns[right]
            outranked[left] += wins
            outranked[right] += ~wins
    return torch.from_numpy(np.ascontiguousarray((outranked >= m - n).T))


def _even(total: int, parts: int) -> Tensor:
    if parts == 0:
        return torch.zeros(0, dtype=torch.int64)
    shares = torch.full((parts,), total // parts)
    shares[: total % parts] += 1
    return shares


def _comparable(score: Tensor) -> Tensor:
    """The scores, contiguous, in a dtype that numpy and kthvalue support."""
    score = score.detach()
    return (score if score.dtype in (torch.float32, torch.float64) else score.float()).contiguous()


def _select_numpy(score: Tensor, quota: int, keep: Tensor) -> None:
    """Write to `keep` [rows, cols] whether each score outranks the `quota` lowest of its row."""
    rows, cols = score.shape
    if quota == cols:
        keep.fill_(False)
        return
    out = keep.numpy()
    if _is_mask(score.numpy(), cols - quota, out):
        return
    values = _as_integers(score.numpy())
    scratch = values.copy()
    scratch.partition(quota, axis=1)
    lowest_kept = scratch[:, quota : quota + 1].copy()
    np.greater_equal(values, lowest_kept, out=out)
    # Ties with the lowest kept score can only keep too many, which a single count detects.
    if np.count_nonzero(out) != rows * (cols - quota):
        _break_ties(torch.from_numpy(values), torch.from_numpy(lowest_kept), quota, keep)


def _is_mask(score: np.ndarray, kept: int, out: np.ndarray) -> bool:
    """Whether exactly `kept` scores of each row are above BAR, so that `out` is the mask."""
    np.greater(score, BAR, out=out)
    # The total count quickly excludes most scores that are no mask.
    return np.count_nonzero(out) == len(out) * kept and bool((out.view(np.uint8).sum(1, np.uint32) == kept).all())


def _as_integers(values: np.ndarray) -> np.ndarray:
    """Non-negative float32 values as integers of the same bits, which have the same order and are selected faster."""
    if values.dtype != np.float32:
        return values
    bits = values.view(np.int32)
    return bits if np.min(bits) >= 0 else values


def _select_torch(score: Tensor, quota: int, keep: Tensor) -> None:
    if quota == score.shape[1]:
        keep.fill_(False)
        return
    if len(score) == 1:  # kthvalue works on each row by one block of threads, and would leave a GPU idle
        lowest_kept = score.sort(dim=1).values[:, quota : quota + 1]
    else:
        lowest_kept = score.kthvalue(quota + 1, dim=1, keepdim=True).values
    torch.ge(score, lowest_kept, out=keep)
    _break_ties(score, lowest_kept, quota, keep)


def _break_ties(score: Tensor, lowest_kept: Tensor, quota: int, keep: Tensor) -> None:
    """In rows where ties kept too many, prune the leftmost scores that equal the lowest kept one."""
    surplus = keep.sum(1) - (score.shape[1] - quota)
    rows = (surplus > 0).nonzero().squeeze(1)
    equal = score[rows] == lowest_kept[rows]
    keep[rows] &= ~(equal & (equal.cumsum(1) <= surplus[rows, None]))
