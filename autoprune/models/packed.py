"""A pruned model as one packed file, without loss: a bitmap and the remaining values instead of zeros.

The container is a safetensors file. Its metadata holds an index (JSON) of what was packed: every tensor of every
`*.safetensors` file of a model directory, and the directory's other files byte for byte. A tensor is packed where that
is smaller: 1 bit per weight, and the weights that are not zero. Which weights those are is decided by their bits, so
that a negative zero comes back as one.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoprune.errors import AutoPruneError, UsageError
from autoprune.file_modes import give_usual_modes

FORMAT = "autoprune-packed"
VERSION = "1"
SUFFIX = ".safetensors"
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


LEAST = 1_000_000_000
"""Bytes that any packed file may stand for."""
MOST_TIMES = 40
"""How many times its own size a larger one may stand for: float32 with hardly anything but zeros is 32 times."""
Name = Annotated[str, Field(max_length=4096)]
Length = Annotated[int, Field(ge=0, lt=2**48, strict=True)]


def _dtype(name: str) -> str:
    if not isinstance(getattr(torch, name, None), torch.dtype):
        raise ValueError(f"{name!r} is no dtype")
    return name


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Tensor(_Entry):
    """A tensor of a file: `dense` as it is, or `bitmap` and `values`; each names a tensor of the container."""

    name: Name
    dtype: Annotated[str, AfterValidator(_dtype)]
    shape: Annotated[tuple[Length, ...], Field(max_length=16)]
    dense: Name | None = None
    bitmap: Name | None = None
    values: Name | None = None

    @model_validator(mode="after")
    def _stored_in_one_way(self) -> Self:
        if [self.dense is None, self.bitmap is None, self.values is None] not in (
            [False, True, True],
            [True, False, False],
        ):
            raise ValueError("a tensor is stored either dense, or as bitmap and values")
        return self


class _File(_Entry):
    """A file of the directory: `tensors` with their `metadata`, or the first `size` of some `bytes`."""

    file: Name
    bytes: Name | None = None
    size: Length = 0
    metadata: dict[str, str] | None = None
    tensors: list[_Tensor] = []

    def stored(self) -> list[str]:
        """The container's tensors that it takes."""
        named = [
            self.bytes,
            *(name for tensor in self.tensors for name in (tensor.dense, tensor.bitmap, tensor.values)),
        ]
        return [name for name in named if name is not None]

    def bytes_on_disk(self, packed: Any) -> int:
        """How much it takes, but for names and metadata; `packed`: the container."""
        if self.bytes is not None:
            return self.size
        return sum(math.prod(tensor.shape) * getattr(torch, tensor.dtype).itemsize for tensor in self.tensors)


_INDEX = TypeAdapter(list[_File])


@dataclass(frozen=True)
class Sizes:
    """Bytes of a model directory and of the packed file made of it."""

    directory: int
    packed: int


def pack(folder: Path, into: Path) -> Sizes:
    """Write everything in a model directory into one packed file. Memory: the packed model beside one tensor.

    Raises UsageError when the directory holds no safetensors file or `into` exists, AutoPruneError when a file cannot
    be read or written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not any(path.suffix == SUFFIX for path in files):
        raise UsageError(f"{folder} holds no {SUFFIX} file, so that there is nothing to pack")
    tensors: dict[str, Tensor] = {}
    index: list[dict[str, Any]] = []
    with _writing(into) as staging:
        for path in files:
            entry: dict[str, Any] = {"file": path.relative_to(folder).as_posix()}
            index.append(entry)
            if path.suffix != SUFFIX:
                entry["bytes"] = _add(
                    tensors, torch.frombuffer(bytearray(path.read_bytes() or b"\0"), dtype=torch.uint8)
                )
                entry["size"] = path.stat().st_size
                continue
            with safe_open(path, framework="pt") as opened:
                entry["metadata"] = opened.metadata()
                entry["tensors"] = [
                    _pack_tensor(name, opened.get_tensor(name), tensors) for name in sorted(opened.keys())
                ]
        metadata = {"format": FORMAT, "version": VERSION, "index": json.dumps(index)}
        save_file(tensors, staging / into.name, metadata)
        give_usual_modes(staging / into.name)
        os.rename(staging / into.name, into)
    return Sizes(sum(path.stat().st_size for path in files), into.stat().st_size)


def unpack(file: Path, into: Path, max_gb: float | None = None) -> Sizes:
    """Restore the model directory that a packed file was made of. Nothing in the file is executed.

    `max_gb`: how much may be written; default: what a pruned model can hold. Raises UsageError when `into` exists, the
    file is not a packed model of this version or is damaged, or would write more; AutoPruneError when the disk is full.
    """
    with _writing(into) as staging:
        folder = staging / "model"
        folder.mkdir()
        with _opened(file) as (packed, index):
            try:
                _check(index, packed, file.stat().st_size, shutil.disk_usage(staging).free, max_gb)
                for entry in index:
                    _restore(entry, packed, folder)
            except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, SafetensorError) as error:
                raise UsageError(f"the packed file {file} cannot be unpacked: {_first_line(error)}") from None
        give_usual_modes(folder)
        os.rename(folder, into)
    return Sizes(sum(path.stat().st_size for path in into.rglob("*") if path.is_file()), file.stat().st_size)


def _check(index: list[_File], packed: Any, size: int, free: int, max_gb: float | None) -> None:
    """Raises ValueError when an index is not one of `pack`, or stands for more than may be written."""
    paths = [_inside(entry.file) for entry in index]
    if len(set(paths)) != len(paths) or {parent for path in paths for parent in path.parents} & set(paths):
        raise ValueError("two of its files have one name")
    used = [name for entry in index for name in entry.stored()]
    if sorted(used) != sorted(packed.keys()):
        raise ValueError("its tensors are not those of its index, each once")
    whole = sum(entry.bytes_on_disk(packed) for entry in index)
    if whole > free:
        raise ValueError(f"it stands for {whole / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")
    most = max(LEAST, size * MOST_TIMES) if max_gb is None else max_gb * 1e9
    if whole > most:
        raise ValueError(
            f"it stands for {whole / 1e9:,.1f} GB, {whole / max(size, 1):,.0f} times its own size; if that is what you "
            f"expect, allow it by --max-gb {math.ceil(whole / 1e9)}"
        )


def _pack_tensor(name: str, tensor: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Add a tensor to `tensors`, packed if that is smaller; returns its entry in the index."""
    entry = {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
    width = tensor.element_size()
    if width not in _BITS:
        return {**entry, "dense": _add(tensors, tensor.contiguous())}
    bits = tensor.contiguous().reshape(-1).view(_BITS[width])
    nonzero = bits != 0
    values = bits[nonzero]
    if values.numel() * width + math.ceil(bits.numel() / 8) >= bits.numel() * width:
        return {**entry, "dense": _add(tensors, tensor.contiguous())}
    bitmap = torch.from_numpy(np.packbits(nonzero.numpy()))
    return {**entry, "bitmap": _add(tensors, bitmap), "values": _add(tensors, values)}


def _restore(entry: _File, packed: Any, folder: Path) -> None:
    """Write one file of the index below the folder."""
    path = folder / _inside(entry.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.bytes is not None:
        path.write_bytes(packed.get_tensor(entry.bytes).numpy().tobytes()[: entry.size])
        return
    save_file({tensor.name: _unpack_tensor(tensor, packed) for tensor in entry.tensors}, path, entry.metadata)


def _unpack_tensor(entry: _Tensor, packed: Any) -> Tensor:
    if entry.dense is not None:
        tensor: Tensor = packed.get_tensor(entry.dense)
        return tensor
    count, dtype = math.prod(entry.shape), getattr(torch, entry.dtype)
    bitmap, values = packed.get_tensor(entry.bitmap), packed.get_tensor(entry.values)
    if bitmap.dtype != torch.uint8 or bitmap.numel() != math.ceil(count / 8):
        raise ValueError(f"{entry.name} has a bitmap of {bitmap.numel()} bytes for {count} weights")
    if values.dtype != _BITS.get(dtype.itemsize):
        raise ValueError(f"{entry.name} has values of {values.dtype} for weights of {dtype}")
    nonzero = torch.from_numpy(np.unpackbits(bitmap.numpy(), count=count).view(bool))
    if int(nonzero.sum()) != values.numel():
        raise ValueError(f"{entry.name} has {values.numel()} values for {int(nonzero.sum())} weights that are not zero")
    bits = torch.zeros(count, dtype=values.dtype)
    bits[nonzero] = values
    return bits.view(dtype).view(list(entry.shape))


def _add(tensors: dict[str, Tensor], tensor: Tensor) -> str:
    """Keep a tensor under the next short name."""
    name = str(len(tensors))
    tensors[name] = tensor
    return name


def _inside(name: str) -> PurePosixPath:
    """A path that stays below the directory it is joined to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} leads out of the directory")
    return path


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, list[_File]]]:
    if file.exists() and not file.is_file():
        raise UsageError(f"cannot read the packed model {file}: it is no regular file")
    try:
        with safe_open(file, framework="pt") as packed:
            metadata = packed.metadata() or {}
            if (metadata.get("format"), metadata.get("version")) != (FORMAT, VERSION):
                raise UsageError(f"{file} is not a packed model of version {VERSION}, as `autoprune prune` writes them")
            try:
                index = _INDEX.validate_json(metadata.get("index", ""))
            except ValidationError as error:
                problem = error.errors()[0]
                where = ".".join(map(str, problem["loc"])) or "its index"
                reason = f"{where}: {problem['msg']}"[:300]
                raise UsageError(f"the packed file {file} cannot be unpacked: {reason}") from None
            yield packed, index
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read the packed model {file}: {_first_line(error)}") from None


@contextmanager
def _writing(into: Path) -> Iterator[Path]:
    """A directory beside `into` to prepare it in; removed at the end."""
    if into.exists():
        raise UsageError(f"{into} exists already; name another one, or remove it first")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=into.parent))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise AutoPruneError(f"cannot write {into}: {error}") from None
