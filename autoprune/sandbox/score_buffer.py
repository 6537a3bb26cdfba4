"""The shared buffer through which tensors enter and leave the sandbox, and the file for a candidate's output.

Both are anonymous memory files. The buffer is sealed, so that its size cannot change while it is read. The trusted side
never maps it, but copies it once with pread and checks the copy. Pages that nobody writes take no memory.
"""

import fcntl
import os
from typing import TYPE_CHECKING

from autoprune.text_files import clean

if TYPE_CHECKING:
    from torch import Tensor


PLACES = 2
"""While the tensors of one layer are copied from one place, the worker writes those of the next into the other."""

BYTES_PER_WEIGHT = PLACES * (4 + 4 + 1)
"""Of the largest matrix: float32 scores, float32 weights and a mask of one byte each, in that order."""


class ScoreBuffer:
    """`PLACES` places for each of scores, new weights and masks of a matrix of up to `weights` weights."""

    def __init__(self, weights: int) -> None:
        self._weights = weights
        self.descriptor = os.memfd_create("scores", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, BYTES_PER_WEIGHT * weights)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def scores(self, shape: tuple[int, ...], place: int) -> "Tensor":
        """The scores at a place, float32 of `shape`: a copy."""
        return self._copy(shape, "float32", 4 * place)

    def weight(self, shape: tuple[int, int], place: int) -> "Tensor":
        """The new weight at a place, float32 of `shape`: a copy."""
        return self._copy(shape, "float32", 4 * PLACES + 4 * place)

    def mask(self, shape: tuple[int, int], place: int) -> "Tensor":
        """The mask at a place, uint8 of `shape`: a copy, of any values."""
        return self._copy(shape, "uint8", 8 * PLACES + place)

    def put_mask(self, mask: "Tensor", place: int) -> None:
        """Write a mask, bool on the CPU, for the worker to read."""
        import torch

        view, offset = mask.contiguous().view(torch.uint8).numpy().data.cast("B"), (8 * PLACES + place) * self._weights
        while len(view):
            count = os.pwritev(self.descriptor, [view], offset)
            view, offset = view[count:], offset + count

    def _copy(self, shape: tuple[int, ...], dtype: str, start: int) -> "Tensor":
        """Copied once. `start`: in bytes per weight."""
        import torch

        tensor = torch.empty(shape, dtype=getattr(torch, dtype))
        view, offset = tensor.numpy().data.cast("B"), start * self._weights
        while len(view):
            count = os.preadv(self.descriptor, [view], offset)
            view, offset = view[count:], offset + count
        return tensor

    def close(self) -> None:
        os.close(self.descriptor)


class Output:
    """The output of a candidate as a file, whose size is bounded by the worker's RLIMIT_FSIZE."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
        self._final: str | None = None

    def text(self) -> str:
        """The text so far, up to the limit, without control characters other than newline and tab."""
        if self._final is not None:
            return self._final
        data = os.pread(self.descriptor, self.limit, 0)
        return clean(data.decode("utf-8", "replace"))

    def close(self) -> None:
        """Free the file and keep the text. May be called twice."""
        if self._final is None:
            self._final = self.text()
            os.close(self.descriptor)
