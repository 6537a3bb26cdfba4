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
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoprune.errors import AutoPruneError, UsageError

FORMAT = "autoprune-packed"
VERSION = "1"
SUFFIX = ".safetensors"
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


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
        os.rename(staging / into.name, into)
    return Sizes(sum(path.stat().st_size for path in files), into.stat().st_size)


def unpack(file: Path, into: Path) -> Sizes:
    """Restore the model directory that a packed file was made of. Nothing in the file is executed.

    Raises UsageError when `into` exists or the file is not a packed model of this version, AutoPruneError when it is
    damaged or the disk is full.
    """
    with _writing(into) as staging:
        folder = staging / "model"
        folder.mkdir()
        with _opened(file) as (packed, index):
            try:
                for entry in index:
                    _restore(entry, packed, folder)
            except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
                raise AutoPruneError(f"the packed file {file} is damaged: {error}") from None
        os.rename(folder, into)
    return Sizes(sum(path.stat().st_size for path in into.rglob("*") if path.is_file()), file.stat().st_size)


def _pack_tensor(name: str, tensor: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Add a tensor to `tensors`, packed if that is smaller; returns its entry in the index."""
    entry = {"name": name, "dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
    width = tensor.element_size()
    if width not in _BITS:
        return {**entry, "dense": _add(tensors, tensor.contiguous())}
    bits = tensor.contiguous().reshape(-1).view(_BITS[width])
    there = bits != 0
    values = bits[there]
    if values.numel() * width + math.ceil(bits.numel() / 8) >= bits.numel() * width:
        return {**entry, "dense": _add(tensors, tensor.contiguous())}
    bitmap = torch.from_numpy(np.packbits(there.numpy()))
    return {**entry, "bitmap": _add(tensors, bitmap), "values": _add(tensors, values)}


def _restore(entry: dict[str, Any], packed: Any, folder: Path) -> None:
    """Write one file of the index below the folder."""
    path = folder / _inside(entry["file"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if "bytes" in entry:
        path.write_bytes(packed.get_tensor(entry["bytes"]).numpy().tobytes()[: int(entry["size"])])
        return
    restored = {each["name"]: _unpack_tensor(each, packed) for each in entry["tensors"]}
    save_file(restored, path, entry["metadata"])


def _unpack_tensor(entry: dict[str, Any], packed: Any) -> Tensor:
    if "dense" in entry:
        tensor: Tensor = packed.get_tensor(entry["dense"])
        return tensor
    dtype, shape = getattr(torch, entry["dtype"]), [int(length) for length in entry["shape"]]
    count = math.prod(shape)
    bitmap, values = packed.get_tensor(entry["bitmap"]), packed.get_tensor(entry["values"])
    if min(shape, default=0) < 0 or bitmap.numel() != math.ceil(count / 8):
        raise ValueError(f"{entry['name']} has a bitmap of {bitmap.numel()} bytes for {count} weights")
    there = torch.from_numpy(np.unpackbits(bitmap.numpy(), count=count).view(bool))
    bits = torch.zeros(count, dtype=values.dtype)
    bits[there] = values
    return bits.view(dtype).view(shape)


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


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    try:
        with safe_open(file, framework="pt") as packed:
            about = packed.metadata() or {}
            if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
                raise UsageError(f"{file} is not a packed model of version {VERSION}, as `autoprune prune` writes them")
            yield packed, json.loads(about["index"])
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read the packed model {file}: {error}") from None


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
