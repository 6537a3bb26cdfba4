"""Replacements for functions of the package in self-contained sources (`self_contained.py`), using only torch.

Results are bit-identical; masks on the CPU take longer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def select_highest(score: Tensor, quota: int, keep: Tensor) -> None:
    """`masks._select_numpy`: write to `keep` [rows, cols] whether each score outranks the `quota` lowest of its row."""
    if quota == score.shape[1]:
        keep.fill_(False)
        return
    lowest_kept = score.kthvalue(quota + 1, dim=1, keepdim=True).values
    torch.ge(score, lowest_kept, out=keep)
    surplus = keep.sum(1, keepdim=True) - (score.shape[1] - quota)
    equal = score == lowest_kept
    keep &= ~(equal & (equal.cumsum(1) <= surplus))


def rank_in_pairs(groups: Tensor, n: int) -> Tensor:
    """`masks._rank_in_pairs`: keep the n best of each row, of equal ones the last."""
    order = groups.sort(dim=1, stable=True).indices
    kept = torch.zeros_like(groups, dtype=torch.bool)
    return kept.scatter_(1, order[:, groups.shape[1] - n :], True)


def least_of_classes(classes: Tensor) -> tuple[Tensor, Tensor]:
    """`swaps._least`: the least of each class [rows, classes, size] and its first place, both [rows, classes]."""
    place = classes.argmin(dim=2)
    return classes.gather(2, place.unsqueeze(2)).squeeze(2), place


def parse_pattern(text: str) -> tuple[int, int] | None:
    """`masks.parse_pattern`: "2:4" as (2, 4), "none" as None."""
    if text == "none":
        return None
    n, m = map(int, text.split(":"))
    return n, m


def as_mappings(units: Sequence[Any]) -> list[Mapping[str, Any]]:
    """`kit._described`: units as mappings."""
    return [unit if isinstance(unit, dict) else unit.__dict__ for unit in units]


def pairwise(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """`itertools.pairwise` of a list."""
    return ((values[at], values[at + 1]) for at in range(len(values) - 1))
