"""The memory that a model needs and where it fits, from its configuration alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import nn

from autoprune.errors import AutoPruneError, UsageError
from autoprune.models.blocks import decoder_blocks, prunable_layers, shared_layers

logger = logging.getLogger(__name__)
OFFLOADS = ("none", "memory", "disk")
"""Where decoder blocks are stored: on the device (none), in host memory, or on disk."""
GIB = 2**30
SPARE = 0.9
"""Share of the free memory that a pruned model may use; the rest is for forward passes."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the memory limit of a container."""


@dataclass(frozen=True)
class Room:
    """Bytes of host and device memory. On the CPU everything is host memory."""

    host: int = 0
    device: int = 0

    def __add__(self, other: "Room") -> "Room":
        return Room(self.host + other.host, self.device + other.device)

    def fits(self, free: "Room") -> bool:
        """Whether both figures are at most those of `free`."""
        return self.host <= free.host and self.device <= free.device


class Footprint:
    """Sizes of a model on torch's device "meta", in parameters. `path`: name of the list of decoder blocks; `count`:
    number of prunable matrices; `matrices`: shapes [out, in] of those in the first block."""

    def __init__(self, model: nn.Module) -> None:
        self.path, blocks = decoder_blocks(model)
        all_layers = prunable_layers(model)
        shared = shared_layers(all_layers)
        layers = [layer for layer in all_layers if layer.info.name not in shared]
        self.blocks = [sum(parameter.numel() for parameter in block.parameters()) for block in blocks]
        self.outside = sum(parameter.numel() for parameter in model.parameters()) - sum(self.blocks)
        self.prunable = sum(layer.info.size for layer in layers)
        self.matrices = [layer.info.shape for layer in layers if layer.info.block == 0]
        self.count = len(layers)
        self.hidden: int = self.matrices[0][1]
        self.vocabulary: int = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]

    def held(self, itemsize: int, offload: str, gpu: bool, pruned: bool) -> Room:
        """Memory for the weights; if `pruned`, with pristine copies and masks."""
        blocks, copies = sum(self.blocks) * itemsize, self.prunable * (itemsize + 1) * pruned
        if offload == "disk":
            device, host = (self.outside + max(self.blocks)) * itemsize, self.prunable // 8 * pruned
        elif offload == "memory":
            device, host = (self.outside + max(self.blocks)) * itemsize, blocks + copies
        else:
            device, host = self.outside * itemsize + blocks + copies, 0
        return Room(host, device) if gpu else Room(host + device)


def free_room(device: torch.device, memory_gb: float | None = None) -> Room:
    """Free memory, with host memory limited to `memory_gb` GiB."""
    host = psutil.virtual_memory().available
    for file in LIMITS:
        if file.exists() and (limit := file.read_text(encoding="ascii").strip()).isdecimal():
            host = min(host, int(limit) - psutil.Process().memory_info().rss)
    if memory_gb is not None:
        host = min(host, round(memory_gb * GIB))
    return Room(host, torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0)


def choose_offload(
    offload: str, size: Footprint, dtype: torch.dtype, device: torch.device, free: Room, name: str
) -> str:
    """One of OFFLOADS; `auto` is the first with which the pruned model fits into free memory.

    Raises AutoPruneError if none fits, UsageError for `memory` without a GPU.
    """
    gpu = device.type == "cuda"
    if offload != "auto":
        if offload == "memory" and not gpu:
            raise UsageError("offload=memory is for a GPU, whose blocks then live in host memory; on the CPU use disk")
        return offload
    spared = Room(int(SPARE * free.host), int(SPARE * free.device))
    for place in OFFLOADS:
        needed = size.held(dtype.itemsize, place, gpu, pruned=True)
        if needed.fits(spared) and (gpu or place != "memory"):
            if place != "none":
                logger.info(
                    f"offload {place}: a pruned {name} does not fit on {device}, so its blocks are loaded one by one"
                )
            return place
    raise AutoPruneError(
        f"{name} does not fit, even block by block: embeddings, one block and masks need {shown(needed)} in "
        f"{str(dtype).removeprefix('torch.')}, and {shown(spared)} may be taken; use dtype=bfloat16, or another machine"
    )


def shown(room: Room) -> str:
    """Both figures in GiB, without the device's if it is zero."""
    host = f"{room.host / GIB:.2f} GiB of memory"
    return f"{room.device / GIB:.2f} GiB of the GPU's memory and {host}" if room.device else host


def blocks_on_disk(model: nn.Module, device: torch.device) -> dict[str, str]:
    """A device map for accelerate: the decoder blocks on disk, everything else on the device."""
    path, _ = decoder_blocks(model)
    places = {path: "disk"}
    holder, above = model, ""
    for part in path.split("."):
        tensors = (*holder.named_parameters(recurse=False), *holder.named_buffers(recurse=False))
        for name, _ in (*holder.named_children(), *tensors):
            if name != part:
                places[above + name] = str(device)
        holder, above = holder.get_submodule(part), f"{above}{part}."
    return places


@contextmanager
def outside(model: nn.Module) -> Iterator[None]:
    """Within this context, the model has no decoder blocks: only embeddings, norms and head."""
    path, blocks = decoder_blocks(model)
    parent, _, name = path.rpartition(".")
    holder = model.get_submodule(parent)
    setattr(holder, name, nn.ModuleList())
    try:
        yield
    finally:
        setattr(holder, name, blocks)
