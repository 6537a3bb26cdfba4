"""Storage of a target's decoder blocks: in memory, or on disk, from where one block at a time is loaded to the device.

A storage holds the pristine and the live weight of each layer and moves blocks to and from the device. Pristine weights
on disk are never written to: masks and new weights are stored separately and applied when a block is loaded.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from accelerate.hooks import remove_hook_from_submodules
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autoprune.errors import AutoPruneError
from autoprune.models.blocks import PrunableLayer, decoder_blocks
from autoprune.models.footprint import outside
from autoprune.pruning.masks import masked_weight


class BlockStorage(Protocol):
    """Holds pristine and live weights, [out, in], by layer name. In masks True = keep."""

    away: bool
    """Whether blocks must be loaded to the device."""
    mapped: bool
    """Whether blocks are on disk."""
    stored: Mapping[str, Tensor]
    """Parameters that are not in memory, by name."""

    def pristine(self, name: str) -> Tensor: ...

    def live(self, name: str) -> Tensor: ...

    def keep(self, name: str) -> None:
        """Preserve the pristine weight before the live one is edited."""

    def replace(self, name: str, weight: Tensor) -> None: ...

    def mask(self, name: str, mask: Tensor) -> None:
        """Set the live weight to the masked pristine weight."""

    def restore(self, name: str) -> None:
        """Set the live weight to the pristine weight."""

    def forget_pristine(self) -> None:
        """Drop pristine weights that are kept in memory; they cannot be restored any more."""

    def load(self, block: int) -> None: ...

    def offload(self, block: int) -> None: ...


def cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast every floating-point parameter to one dtype. Buffers are kept: in bfloat16 the angles of rotary embeddings
    would be wrong by radians at late positions."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


class InMemory:
    """Blocks in memory, either on the device or in host memory."""

    mapped = False
    stored: Mapping[str, Tensor] = {}

    def __init__(self, model: nn.Module, layers: Sequence[PrunableLayer], device: torch.device) -> None:
        self._layers = {layer.info.name: layer for layer in layers}
        self._pristine: dict[str, Tensor] = {}
        self._blocks = decoder_blocks(model)[1]
        self._device = device
        spread = getattr(model, "hf_device_map", None)  # accelerate moves the activations between several devices
        self._place = device if spread else next(self._blocks.parameters()).device
        self.away = self._place != device

    def pristine(self, name: str) -> Tensor:
        return self._pristine[name] if name in self._pristine else self.live(name)

    def live(self, name: str) -> Tensor:
        return self._layers[name].weight

    def keep(self, name: str) -> None:
        if name not in self._pristine:
            weight = self.live(name)
            self._pristine[name] = weight.to(self._place, copy=True) if self.away else weight.clone()

    def replace(self, name: str, weight: Tensor) -> None:
        self.live(name).copy_(weight)

    def mask(self, name: str, mask: Tensor) -> None:
        live = self.live(name)  # on the device while its block visits it, where the pristine weight is not
        masked_weight(self.pristine(name).to(live.device), mask.to(live.device), out=live)

    def restore(self, name: str) -> None:
        if name in self._pristine:
            self.replace(name, self._pristine[name])

    def forget_pristine(self) -> None:
        self._pristine.clear()

    def load(self, block: int) -> None:
        self._blocks[block].to(self._device)

    def offload(self, block: int) -> None:
        self._blocks[block].to(self._place)


class OnDisk:
    """Blocks on disk, mapped from the model's own files where their format allows.

    The loaded block and the masks (one bit per weight) are in memory; new weights are written to temporary files.
    `model` is loaded with its blocks on accelerate's device "disk"; `folder` holds the converted weights.
    """

    away = mapped = True

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[PrunableLayer],
        device: torch.device,
        folder: "tempfile.TemporaryDirectory[str]",
        dtype: torch.dtype,
    ) -> None:
        self.stored: Mapping[str, Tensor] = _Stored(model, dtype)
        with outside(model):
            cast(model, dtype)
        self._temporary = folder  # deleted with this object
        self._folder = Path(folder.name)
        self._device = device
        self._dtype = dtype
        self._layers = {layer.info.name: layer for layer in layers}
        self._edits: dict[str, Callable[[Tensor], Tensor]] = {}
        # The memory of an offloaded block is reused for the next one, since freeing it would fragment the heap.
        self._spare: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
        path, self._blocks = decoder_blocks(model)
        self._parameters: dict[int, dict[str, tuple[nn.Module, str]]] = {
            index: {
                ".".join(filter(None, (f"{path}.{index}", inside, name))): (module, name)
                for inside, module in block.named_modules()
                for name, _ in module.named_parameters(recurse=False)
            }
            for index, block in enumerate(self._blocks)
        }
        # The meta tensors that replace offloaded parameters; blocks that share a parameter share its meta tensor.
        self._absent = {
            (module, name): parameter
            for block in self._blocks
            for module in block.modules()
            for name, parameter in module.named_parameters(recurse=False)
        }
        places = {place: name for block in self._parameters.values() for name, place in block.items()}
        self._names = {name: places[layer.module, layer.attribute] for name, layer in self._layers.items()}

    def pristine(self, name: str) -> Tensor:
        return self._layers[name].oriented(self.stored[self._names[name]]).to(self._device)

    def live(self, name: str) -> Tensor:
        layer = self._layers[name]
        if not layer.parameter.is_meta:
            return layer.weight
        weight = self.pristine(name)
        return self._edits[name](weight) if name in self._edits else weight

    def keep(self, name: str) -> None:
        pass

    def replace(self, name: str, weight: Tensor) -> None:
        file = self._folder / f"edit-{name}.safetensors"
        try:
            save_file({"weight": weight.detach().to("cpu", self._dtype).contiguous()}, file)
        except (OSError, SafetensorError) as error:
            raise AutoPruneError(f"cannot keep a new weight in {self._folder}: {error}") from None
        self._edit(name, lambda pristine: load_file(file)["weight"].to(pristine.device))

    def mask(self, name: str, mask: Tensor) -> None:
        packed = PackedMask(mask)
        self._edit(name, lambda pristine: masked_weight(pristine, packed.mask().to(pristine.device)))

    def restore(self, name: str) -> None:
        if self._edits.pop(name, None):
            (self._folder / f"edit-{name}.safetensors").unlink(missing_ok=True)
            layer = self._layers[name]
            if not layer.parameter.is_meta:
                layer.weight.copy_(self.pristine(name))

    def forget_pristine(self) -> None:
        pass

    @torch.inference_mode(False)
    @torch.no_grad()
    def load(self, block: int) -> None:
        for name, (module, attribute) in self._parameters[block].items():
            stored = self.stored[name]
            spare = self._spare[stored.shape]
            value = spare.pop() if spare else torch.empty(stored.shape, dtype=self._dtype, device=self._device)
            setattr(module, attribute, nn.Parameter(value.copy_(stored), requires_grad=False))
        for name, layer in self._layers.items():
            if layer.info.block == block and name in self._edits:
                layer.weight.copy_(self._edits[name](layer.weight))

    @torch.inference_mode(False)
    @torch.no_grad()
    def offload(self, block: int) -> None:
        for module, attribute in self._parameters[block].values():
            value = getattr(module, attribute).data
            self._spare[value.shape].append(value)
            setattr(module, attribute, self._absent[module, attribute])

    def _edit(self, name: str, edit: Callable[[Tensor], Tensor]) -> None:
        self._edits[name] = edit
        layer = self._layers[name]
        if not layer.parameter.is_meta:
            layer.weight.copy_(edit(self.pristine(name)))


class PackedMask:
    """A mask [out, in], stored as one bit per weight."""

    def __init__(self, mask: Tensor) -> None:
        self._bits, self._shape = np.packbits(mask.cpu().numpy()), mask.shape

    def mask(self) -> Tensor:
        return torch.from_numpy(np.unpackbits(self._bits, count=self._shape.numel()).view(bool).reshape(self._shape))


class _Stored(Mapping[str, Tensor]):
    """The parameters that accelerate left on disk, memory-mapped where the files have the dtype of the model.

    Removes accelerate's hooks from the model, which would load and drop every matrix at every use.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self._read: dict[str, Callable[[], Tensor]] = {}
        self._dtype = dtype
        for path, module in model.named_modules():
            hook = getattr(module, "_hf_hook", None)
            for weights in (getattr(inner, "weights_map", None) for inner in getattr(hook, "hooks", (hook,))):
                for name, parameter in module.named_parameters(recurse=False):
                    if parameter.is_meta and weights is not None:
                        self._read[f"{path}.{name}"] = partial(weights.__getitem__, name)
        remove_hook_from_submodules(model)

    def __getitem__(self, name: str) -> Tensor:
        return self._read[name]().to(self._dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
