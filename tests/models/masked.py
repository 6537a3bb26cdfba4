"""A target with masks applied, for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from autoprune.models.target import Target


@contextmanager
def masked(target: Target, masks: Mapping[str, Tensor]) -> Iterator[None]:
    """The model under these masks ([out, in], True = keep); afterwards the pristine weights are back."""
    with target.edited() as edits:
        for name, mask in masks.items():
            edits.mask(name, mask)
        yield
