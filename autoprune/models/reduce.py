"""Removing FFN channels, head groups and decoder blocks from a model: the result is a smaller model of the same
architecture, built from its own configuration, which a plain `from_pretrained` loads after saving.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from autoprune.errors import AutoPruneError, UsageError, first_line
from autoprune.models.structures import Anatomy
from autoprune.pruning.shapes import Shape
from autoprune.pruning.structures.spec import CHANNEL, HEAD


@dataclass(frozen=True)
class Reduction:
    """What is kept of a model. `blocks`: kept ones, ascending. `channels`, `groups`: of each kept block, ascending
    indices (int64) of the kept structures, the same number in each; None for all.

    `weights`: layer name (of the dense model) -> new weight [out, kept inputs] of a down or output projection.
    `biases`: the same -> what is added to its bias, [out].
    """

    blocks: tuple[int, ...]
    channels: Mapping[int, Tensor] | None = None
    groups: Mapping[int, Tensor] | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    biases: Mapping[str, Tensor] = field(default_factory=dict)

    def kept(self, kind: str) -> Mapping[int, Tensor] | None:
        """The kept structures of a kind (channel, head) by block; None for all."""
        return self.channels if kind == CHANNEL else self.groups


def reduced(anatomy: Anatomy, reduction: Reduction) -> nn.Module:
    """A new model without what the reduction removes, in evaluation mode; unchanged tensors are shared with the dense
    model. Raises UsageError where the architecture has no place for a bias or does not accept the shape."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    dense: Any = anatomy.model
    shape = _shape(anatomy, reduction)
    config = anatomy.config(shape, reduction.blocks, tuple(sorted(_added_biases(anatomy, reduction))))
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=dense.dtype)
    state, added = _state(anatomy, reduction, model)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise AutoPruneError(f"{anatomy.name}: its tensors do not fit the reduced model: {first_line(error)}") from None
    model.tie_weights()
    model.generation_config = dense.generation_config
    result: nn.Module = model.to(dense.device)
    promised = anatomy.sizes.parameters(shape) + added
    counted = sum(parameter.numel() for parameter in result.get_submodule(anatomy.path).parameters())
    if counted != promised:
        raise AutoPruneError(f"the reduced blocks hold {counted:,} parameters, not the {promised:,} of {shape}")
    return result.eval().requires_grad_(False)


def kept_columns(anatomy: Anatomy, kind: str, kept: Tensor) -> Tensor:
    """The inputs of the consumer (down or output projection) that belong to kept structures, int64, ascending."""
    size = 1 if kind == CHANNEL else anatomy.heads // anatomy.groups * anatomy.head_size
    return _features(kept, size)


def _features(kept: Tensor, size: int) -> Tensor:
    return (kept[:, None] * size + torch.arange(size, device=kept.device)).flatten()


def _shape(anatomy: Anatomy, reduction: Reduction) -> Shape:
    dense = anatomy.sizes.dense

    def number(kept: Mapping[int, Tensor] | None, whole: int) -> int:
        if kept is None:
            return whole
        counts = {len(kept[block]) for block in reduction.blocks}
        if len(counts) != 1:
            raise UsageError(f"blocks would keep {min(counts)} to {max(counts)} structures; only equal numbers load")
        return counts.pop()

    channels, groups = number(reduction.channels, dense.channels), number(reduction.groups, dense.groups)
    return Shape(len(reduction.blocks), channels, groups)


def _added_biases(anatomy: Anatomy, reduction: Reduction) -> set[str]:
    """Keys of the configuration for biases that the model does not have yet. Raises UsageError if there is none."""
    keys = set()
    for kind in (CHANNEL, HEAD):
        path = anatomy.consumer(kind)
        wanted = any(name.endswith(f".{path}") for name in reduction.biases)
        if wanted and getattr(anatomy.blocks[0].get_submodule(path), "bias", None) is None:
            keys.add(check_bias(anatomy, kind))
    return keys


def check_bias(anatomy: Anatomy, kind: str) -> str:
    """The key that gives the consumer of a kind a bias; empty if it has one. Raises UsageError if there is none."""
    path = anatomy.consumer(kind)
    if getattr(anatomy.blocks[0].get_submodule(path), "bias", None) is not None:
        return ""
    key = anatomy.family.bias_key(path)
    if key is None:
        raise UsageError(
            f"{type(anatomy.model).__name__} has no place for a bias of {path}; use --compensate least-squares or none"
        )
    return key


def _split(anatomy: Anatomy, name: str) -> tuple[int | None, str]:
    """The block that a tensor belongs to, None if it is outside of the blocks, and its path within the block."""
    if not name.startswith(f"{anatomy.path}."):
        return None, name
    number, _, inside = name.removeprefix(f"{anatomy.path}.").partition(".")
    return int(number), inside


def _state(anatomy: Anatomy, reduction: Reduction, model: nn.Module) -> tuple[dict[str, Tensor], int]:
    """The tensors of the reduced model by name, and the number of values in biases that the dense model has not."""
    dense: Any = anatomy.model
    before = dense.state_dict()
    state, added = {}, 0
    for name, empty in model.state_dict().items():
        new, inside = _split(anatomy, name)
        if new is None:
            state[name] = before[name]
            continue
        block = reduction.blocks[new]
        source = anatomy.layer(block, inside)
        path, _, attribute = inside.rpartition(".")
        if attribute == "bias" and source not in before:
            value = torch.zeros(empty.shape, dtype=dense.dtype, device=dense.device)
            added += value.numel()
        else:
            value = _sliced(anatomy, reduction, block, path, attribute, before[source])
        layer = anatomy.layer(block, path)
        if attribute == "bias" and layer in reduction.biases:
            value = value + reduction.biases[layer].to(value.device, value.dtype)
        state[name] = value
    return state, added


def _sliced(anatomy: Anatomy, reduction: Reduction, block: int, path: str, attribute: str, value: Tensor) -> Tensor:
    """What is left of one tensor of a block."""
    transposed = isinstance(anatomy.blocks[block].get_submodule(path), Conv1D) and attribute == "weight"
    for kind in (CHANNEL, HEAD):
        kept = reduction.kept(kind)
        if kept is None:
            continue
        columns = path == anatomy.consumer(kind)
        if columns and attribute == "weight":
            own = reduction.weights.get(anatomy.layer(block, path))
            if own is not None:
                own = own.to(value.device, value.dtype)
                return (own.T if transposed else own).contiguous()
            features = kept_columns(anatomy, kind, kept[block]).to(value.device)
            return value.index_select(0 if transposed else 1, features).contiguous()
        if path in anatomy.feeding(kind):
            axis = 1 if transposed else 0
            count = anatomy.channels if kind == CHANNEL else anatomy.groups
            features = _features(kept[block], value.shape[axis] // count).to(value.device)
            return value.index_select(axis, features).contiguous()
    return value
