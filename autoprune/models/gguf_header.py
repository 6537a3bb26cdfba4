"""Validation of the header of a GGUF file, before other libraries read it.

These trust the counts and lengths in the file: a truncated or malicious one makes them loop for hours, exhaust memory
or fail midway. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import math
import mmap
import struct
from functools import cache
from pathlib import Path

from autoprune.errors import UsageError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes per value, by type."""
MOST_DIMENSIONS = 4
LONGEST_NAME = 1 << 16


def check_gguf(path: Path, named: str) -> int:
    """The number of tensors in the file. Raises UsageError with `named` and the reason for an unreadable file."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{named} is no GGUF file but {'a directory' if path.is_dir() else 'a pipe or a device'}")
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise UsageError(f"{named} is no GGUF file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data).tensors()
    except OSError as error:
        raise UsageError(f"{named} cannot be read: {error.strerror}; give a GGUF file") from None
    except (ValueError, struct.error) as error:
        raise UsageError(f"{named} is a damaged GGUF file: {error}") from None


@cache
def _sizes() -> dict[int, tuple[int, int]]:
    """Type of tensor -> (elements, bytes) per block."""
    from gguf.constants import GGML_QUANT_SIZES

    return {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}


class _Walk:
    """A position in the header. Raises ValueError for invalid content."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(MAGIC)
        self._order = "<"

    def tensors(self) -> int:
        if self._number("I") not in VERSIONS:
            self._at, self._order = len(MAGIC), ">"  # big-endian
            if (version := self._number("I")) not in VERSIONS:
                raise ValueError(f"its version is none of {VERSIONS} (read as big-endian: {version})")
        count, fields = self._number("Q"), self._number("Q")
        self._room(count * 24 + fields * 13)
        alignment = 32
        for _ in range(fields):
            name = self._string(LONGEST_NAME)
            kind, at = self._number("I"), self._at
            self._value(kind)
            if name == b"general.alignment":
                if WIDTHS.get(kind) != 4:
                    raise ValueError("its alignment is no number")
                (alignment,) = struct.unpack_from(f"{self._order}I", self._data, at)
        if alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"its alignment of {alignment} bytes is no power of two")
        ends = [self._tensor() for _ in range(count)]
        start = self._at + -self._at % alignment
        if ends and start + max(offset + size for offset, size in ends) > len(self._data):
            raise ValueError("it ends before its tensors do; was its download cut off?")
        if sum(size for _, size in ends) > len(self._data):
            raise ValueError("its tensors share their bytes")
        return count

    def _tensor(self) -> tuple[int, int]:
        name = self._string(LONGEST_NAME)[:80].decode(errors="replace")
        dimensions = self._number("I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"its tensor {name!r} has {dimensions} dimensions")
        elements = math.prod(self._number("Q") for _ in range(dimensions))
        kind, offset = self._number("I"), self._number("Q")
        if kind not in (sizes := _sizes()):
            raise ValueError(f"its tensor {name!r} is of the unknown type {kind}")
        block, width = sizes[kind]
        return offset, elements // block * width

    def _value(self, kind: int, inner: bool = False) -> None:
        if kind in WIDTHS:
            self._skip(WIDTHS[kind])
        elif kind == STRING:
            self._string()
        elif kind == ARRAY and not inner:
            kind, count = self._number("I"), self._number("Q")
            if kind in WIDTHS:
                self._skip(WIDTHS[kind] * count)
            else:
                self._room(8 * count)
                for _ in range(count):
                    self._value(kind, inner=True)
        else:
            raise ValueError(f"it holds a value of the unknown type {kind}")

    def _number(self, form: str) -> int:
        at = self._at
        self._skip(struct.calcsize(form))
        number: int = struct.unpack_from(self._order + form, self._data, at)[0]
        return number

    def _string(self, longest: int | None = None) -> bytes:
        length = self._number("Q")
        if longest is not None and length > longest:
            raise ValueError(f"one of its names has {length} bytes")
        at = self._at
        self._skip(length)
        return self._data[at : self._at] if longest is not None else b""

    def _skip(self, count: int) -> None:
        self._room(count)
        self._at += count

    def _room(self, count: int) -> None:
        if self._at + count > len(self._data):
            raise ValueError("it ends before its header does; was its download cut off?")
