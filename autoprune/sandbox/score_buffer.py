"""The bounded shared buffer through which scores leave the sandbox, and the file that takes what a candidate prints.

Both are anonymous memory files. A slot is sealed: nobody can shrink it under the trusted side's reading or grow it.
The trusted side never maps it: it copies once with pread and looks at the copy only.
"""

import fcntl
import os
from typing import TYPE_CHECKING

from autoprune.plain_text import clean

if TYPE_CHECKING:
    from torch import Tensor


PLACES = 2
"""Scores of one layer are copied out of one place while the worker writes those of the next into another."""


class ScoreBuffer:
    """`PLACES` buffers of `size` bytes each, one behind the other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("scores", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, PLACES * size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def copy(self, shape: tuple[int, int], place: int) -> "Tensor":
        """A float32 tensor of `shape`, copied from a place's start: later writes to the slot do not reach it."""
        import torch

        tensor = torch.empty(shape, dtype=torch.float32)
        view = tensor.numpy().data.cast("B")
        offset = place * self.size
        while len(view):
            count = os.preadv(self.descriptor, [view], offset)
            view, offset = view[count:], offset + count
        return tensor

    def close(self) -> None:
        os.close(self.descriptor)


class Output:
    """What a candidate prints, as a file; its size is bounded by the worker's RLIMIT_FSIZE."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
        self._final: str | None = None

    def text(self) -> str:
        """The text so far, cut at the limit; control characters other than newline and tab are dropped."""
        if self._final is not None:
            return self._final
        data = os.pread(self.descriptor, self.limit, 0)
        return clean(data.decode("utf-8", "replace"))

    def close(self) -> None:
        """Free the file; the text stays. May be called twice."""
        if self._final is None:
            self._final = self.text()
            os.close(self.descriptor)
