"""A pruned model as one packed file, without loss: a bitmap and the remaining values instead of zeros.

The container is a safetensors file whose metadata holds a JSON index of the packed directory: every tensor of every
`*.safetensors` file, and all other files byte for byte. A tensor is packed (1 bit per weight, and the values that are
not zero) where that is smaller. Weights are compared with zero by their bits, so that negative zeros are restored.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoprune.errors import AutoPruneError, UsageError, first_line
from autoprune.file_modes import give_usual_modes, staging_beside

FORMAT = "autoprune-packed"
VERSION = "1"
SUFFIX = ".safetensors"
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


LEAST = 1_000_000_000
"""Bytes to which any packed file may expand."""
MOST_TIMES = 40
"""Largest expansion beyond `LEAST`, as a multiple of the packed size. Float32 that is nearly all zeros expands 32
times."""
Name = Annotated[str, Field(max_length=4096)]
Length = Annotated[int, Field(ge=0, lt=2**48, strict=True)]


def _dtype(name: str) -> str:
    if not isinstance(getattr(torch, name, None), torch.dtype):
        raise ValueError(f"{name!r} is no dtype")
    return name


class _Tensor(BaseModel, extra="forbid", frozen=True):
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


class _File(BaseModel, extra="forbid", frozen=True):
    """A file of the directory: `tensors` with their `metadata`, or the first `size` of some `bytes`."""

    file: Name
    bytes: Name | None = None
    size: Length = 0
    metadata: dict[str, str] | None = None
    tensors: list[_Tensor] = []

    def stored(self) -> list[str]:
        """The names of the container's tensors that hold this file."""
        names = [name for tensor in self.tensors for name in (tensor.dense, tensor.bitmap, tensor.values)]
        return [name for name in (self.bytes, *names) if name is not None]

    def unpacked_bytes(self) -> int:
        """Size of the unpacked file without names and metadata."""
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
    """Pack a model directory into one file. Memory: the packed model and one tensor.

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
    """Restore the model directory from a packed file. Nothing in the file is executed.

    `max_gb` limits the size of the directory (default: what a pruned model can expand to). Raises UsageError when
    `into` exists, or the file is damaged, of another version, or larger than the limit; AutoPruneError when the disk is
    full.
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
                raise UsageError(f"the packed file {file} cannot be unpacked: {first_line(error)}") from None
        give_usual_modes(folder)
        os.rename(folder, into)
    return Sizes(sum(path.stat().st_size for path in into.rglob("*") if path.is_file()), file.stat().st_size)


def _check(index: list[_File], packed: Any, size: int, free: int, max_gb: float | None) -> None:
    """Raises ValueError for an index that `pack` does not write, and for a directory that would be too large."""
    paths = [_inside(entry.file) for entry in index]
    if len(set(paths)) != len(paths) or {parent for path in paths for parent in path.parents} & set(paths):
        raise ValueError("two of its files have one name")
    used = [name for entry in index for name in entry.stored()]
    if sorted(used) != sorted(packed.keys()):
        raise ValueError("its tensors are not those of its index, each once")
    whole = sum(entry.unpacked_bytes() for entry in index)
    if whole > free:
        raise ValueError(f"it stands for {whole / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")
    most = max(LEAST, size * MOST_TIMES) if max_gb is None else max_gb * 1e9
    if whole > most:
        raise ValueError(
            f"it stands for {whole / 1e9:,.1f} GB, {whole / max(size, 1):,.0f} times its own size; if that is what you "
            f"expect, allow it by --max-gb {math.ceil(whole / 1e9)}"
        )


def _pack_tensor(name: str, tensor: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Add a tensor to `tensors`, packed where that is smaller, and return its index entry."""
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
    """Write one file of the index into the folder."""
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
    """Add a tensor under the next free name, and return the name."""
    name = str(len(tensors))
    tensors[name] = tensor
    return name


def _inside(name: str) -> PurePosixPath:
    """A relative path. Raises ValueError for one that leads out of the directory."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} leads out of the directory")
    return path


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
        raise UsageError(f"cannot read the packed model {file}: {first_line(error)}") from None


@contextmanager
def _writing(into: Path) -> Iterator[Path]:
    """A staging directory for `into`, which must not exist. Raises AutoPruneError for what cannot be written."""
    if into.exists():
        raise UsageError(f"{into} exists already; name another one, or remove it first")
    try:
        with staging_beside(into) as staging:
            yield staging
    except (OSError, SafetensorError) as error:
        raise AutoPruneError(f"cannot write {into}: {error}") from None
