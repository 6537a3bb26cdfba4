"""Random models whose biases are not zero, random reductions of them, and the same removal by zeros."""

import copy
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from autoprune.models.reduce import Reduction, kept_columns
from autoprune.models.structures import Anatomy
from autoprune.pruning.compensation import removed
from autoprune.pruning.structures.spec import CHANNEL, HEAD
from tests.architectures.families import config_of


def random_model(family: str, **settings: Any) -> nn.Module:
    """A tiny random model of a family, with random biases and norms."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = config_of(family)
    for name, value in settings.items():
        setattr(config, name, value)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.requires_grad_(False)


def random_reduction(anatomy: Anatomy, blocks=(0, 2), channels: int = 17, groups: int = 1) -> Reduction:
    """Other channels and groups in each kept block."""
    chance = torch.Generator().manual_seed(1)

    def some(count: int, kept: int) -> dict[int, torch.Tensor]:
        return {block: torch.randperm(count, generator=chance)[:kept].sort().values for block in blocks}

    own = some(anatomy.groups, groups) if anatomy.groups and groups < anatomy.groups else None
    return Reduction(tuple(blocks), some(anatomy.channels, channels), own)


def by_zeros(anatomy: Anatomy, reduction: Reduction) -> nn.Module:
    """The dense model with zeros for what a reduction removes: columns of removed structures, and all outputs of
    removed blocks."""
    model = copy.deepcopy(anatomy.model)
    blocks = model.get_submodule(anatomy.path)
    for index, block in enumerate(blocks):
        for kind in (CHANNEL, HEAD):
            module = block.get_submodule(anatomy.consumer(kind))
            weight = module.weight.data.T if isinstance(module, Conv1D) else module.weight.data
            kept = reduction.kept(kind)
            if index not in reduction.blocks:
                weight.zero_()
                if module.bias is not None:
                    module.bias.data.zero_()
            elif kept is not None:
                weight[:, removed(kept_columns(anatomy, kind, kept[index]), weight.shape[1])] = 0
    return model
