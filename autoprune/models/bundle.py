"""A bundle: weights and calibration statistics of every layer, which candidates read from memory-mapped files.

layers.json              {"version": 3, "layers": [LayerInfo, ...]}
weights-N.safetensors    layer name -> [out, in] of decoder block N, the model's dtype
statistics.safetensors   "<layer>/<statistic>" -> float32 [in]
gradient-N.safetensors   layer name -> float32 [out, in] of decoder block N, only when collected
hessian-N.safetensors    layer name -> float32 [in, in] of decoder block N, only when collected
output_sensitivity-N.safetensors    layer name -> float32 [out] of decoder block N, only when collected

There is one file per block, so that Hessians, and the weights of a model that does not fit in memory, are written block
by block.
"""

import errno
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoprune.errors import AutoPruneError
from autoprune.file_modes import give_usual_modes, staging_beside
from autoprune.pruning.fields import EXPENSIVE_FIELDS
from autoprune.pruning.layers import LayerInfo, LayerView

VERSION = 3
STATISTICS = ("input_norm", "input_mean", "input_var", "hessian_diag")
SENSITIVITY = "output_sensitivity"
"""Weighs the errors of output rows; collected from fewer windows where only trusted code reads it."""


class Bundle:
    """A bundle opened for reading. Tensors are private memory maps: writing to one does not change the file; or, with
    a `device` other than the CPU, copies there.

    Raises AutoPruneError when the directory is not a bundle of this version.
    """

    def __init__(self, path: Path, device: torch.device = torch.device("cpu")) -> None:  # noqa: B008  immutable
        self.path = path
        self._device = device
        try:
            described = json.loads((path / "layers.json").read_text(encoding="utf-8"))
            if described["version"] != VERSION:
                raise AutoPruneError(f"{path} is a bundle of version {described['version']}, not {VERSION}")
            self.layers = [LayerInfo(**{**layer, "shape": tuple(layer["shape"])}) for layer in described["layers"]]
            self._statistics = safe_open(path / "statistics.safetensors", framework="pt")
            blocks = {layer.block for layer in self.layers}
            self._weights = {block: safe_open(_of_block(path, "weights", block), framework="pt") for block in blocks}
            self._expensive = {
                (kind, block): safe_open(file, framework="pt")
                for kind in (field.name for field in EXPENSIVE_FIELDS)
                for block in blocks
                if (file := _of_block(path, kind, block)).exists()
            }
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise AutoPruneError(f"{path} is not a bundle of weights and statistics: {error}") from None
        self._by_name = {layer.name: layer for layer in self.layers}

    def view(self, name: str, sparsity: float, pattern: str = "none") -> LayerView:
        """A layer with the fields of the contract, its weight in float32. `sparsity` is that of the layer's unit."""
        layer = self._by_name[name]
        expensive = {
            field.name: self._placed(self._expensive[field.name, layer.block].get_tensor(name)).float()
            for field in EXPENSIVE_FIELDS
            if (field.name, layer.block) in self._expensive
        }
        return LayerView(
            weight=self.weight(name).float(),
            **{statistic: self.statistic(name, statistic) for statistic in STATISTICS},
            **expensive,
            name=name,
            role=layer.role,
            depth=layer.depth,
            sparsity=sparsity,
            pattern=pattern,
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights; float32 for a bundle without layers."""
        return self.weight(self.layers[0].name).dtype if self.layers else torch.float32

    def weight(self, name: str) -> Tensor:
        """The dense weight [out, in] in the model's dtype."""
        return self._placed(self._weights[self._by_name[name].block].get_tensor(name))

    def hessian(self, name: str) -> Tensor:
        """The full Hessian of a layer, float32 [in, in], if it was collected."""
        return self._placed(self._expensive["hessian", self._by_name[name].block].get_tensor(name)).float()

    def output_sensitivity(self, name: str) -> Tensor:
        """The mean squared gradient of the loss by each output of a layer, float32 [out], if it was collected."""
        return self._placed(self._expensive[SENSITIVITY, self._by_name[name].block].get_tensor(name))

    def statistic(self, name: str, statistic: str) -> Tensor:
        """One calibration statistic of a layer, float32 [in], or its full Hessian [in, in] if it was collected."""
        if statistic == "hessian":
            return self.hessian(name)
        return self._placed(self._statistics.get_tensor(f"{name}/{statistic}"))

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device)


def write_bundle(
    path: Path,
    layers: Sequence[LayerInfo],
    weight: Callable[[str], Tensor],
    statistics: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Write a bundle directory, which is complete or absent. An existing one is kept.

    `weight` maps a layer's name to its weight [out, in]; one block is held at a time. `statistics`: name -> statistic
    -> [in]. Raises AutoPruneError when the disk is full.
    """
    described: dict[str, Any] = {"version": VERSION, "layers": [asdict(layer) for layer in layers]}
    flat = {f"{layer.name}/{name}": statistics[layer.name][name] for layer in layers for name in STATISTICS}
    with _appearing_whole(path) as staging:
        (staging / "layers.json").write_text(json.dumps(described), encoding="utf-8")
        for block in sorted({layer.block for layer in layers}):
            own = {layer.name: weight(layer.name) for layer in layers if layer.block == block}
            _save(_of_block(staging, "weights", block), own)
        _save(staging / "statistics.safetensors", flat, torch.float32)


def widen_bundle(base: Path, path: Path, expensive: Mapping[str, Iterable[Mapping[str, Tensor]]]) -> None:
    """Write a bundle with hard links to the files of `base`, and on-demand statistics.

    `expensive`: name of an on-demand statistic -> parts of whole decoder blocks (layer name -> tensor), of which
    one is held at a time. Raises AutoPruneError when the disk is full.
    """
    block_of = {layer.name: layer.block for layer in Bundle(base).layers}
    with _appearing_whole(path) as staging:
        for file in base.iterdir():
            _link(file, staging / file.name)
        for kind, parts in expensive.items():
            for part in parts:
                by_block: dict[int, dict[str, Tensor]] = defaultdict(dict)
                for name, tensor in part.items():
                    by_block[block_of[name]][name] = tensor
                for block, tensors in by_block.items():
                    _save(_of_block(staging, kind, block), tensors, torch.float32)


def join_bundles(bundles: Sequence[Path], path: Path) -> None:
    """Write a bundle with hard links to all files of several bundles of the same target and text."""
    with _appearing_whole(path) as staging:
        for file in {file.name: file for bundle in bundles for file in bundle.iterdir()}.values():
            _link(file, staging / file.name)


def _link(file: Path, into: Path) -> None:
    """Hard-link a file, or copy it where links are impossible, for example across disks."""
    try:
        os.link(file, into)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copyfile(file, into)


def _of_block(path: Path, kind: str, block: int) -> Path:
    return path / f"{kind}-{block}.safetensors"


@contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """A staging directory that is renamed to `path` at the end, unless another process has created it."""
    try:
        with staging_beside(path) as staging:
            yield staging
            give_usual_modes(staging)
            if not path.exists():
                os.rename(staging, path)
    except (OSError, SafetensorError) as error:
        if not path.exists():
            raise AutoPruneError(f"cannot write the statistics to {path}: {error}") from None


def _save(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    save_file({name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}, path)
