"""The shared buffer through which scores leave the sandbox, and the file for a candidate's output.

Both are anonymous memory files. The buffer is sealed, so that its size cannot change while it is read. The trusted side
never maps it, but copies it once with pread and checks the copy.
"""

import fcntl
import os
from typing import TYPE_CHECKING

from autoprune.plain_text import clean

if TYPE_CHECKING:
    from torch import Tensor


PLACES = 2
"""While the scores of one layer are copied from one place, the worker writes those of the next into the other."""


class ScoreBuffer:
    """`PLACES` consecutive buffers of `size` bytes each."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("scores", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, PLACES * size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def copy(self, shape: tuple[int, int], place: int) -> "Tensor":
        """A float32 tensor of `shape`, copied from the start of a place."""
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
