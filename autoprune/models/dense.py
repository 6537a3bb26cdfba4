"""Matrices of the decoder blocks that are not pruned under any algorithm, so that budgets are comparable."""

import re
from collections.abc import Collection, Sequence

from torch import nn

from autoprune.models.blocks import PrunableLayer, decoder_blocks, shared_layers

NOTABLE = 0.1
"""Share of the blocks' weights in modules of an unknown kind above which they are reported."""
NAMED = 8
"""Kinds of modules that a message names."""


def stay_dense(model: nn.Module, layers: Sequence[PrunableLayer], applied: Collection[str]) -> list[str]:
    """One message per reason. `layers`: all linear matrices; `applied`: the names of those that the model calls."""
    shared = shared_layers(layers)
    idle = {layer.info.name for layer in layers} - shared - set(applied)
    path, blocks = decoder_blocks(model)
    prunable = {layer.parameter for layer in layers}
    unknown = {
        f"{path}.{index}.{inside}.{name}": parameter.numel()
        for index, block in enumerate(blocks)
        for inside, module in block.named_modules()
        if not isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1 and parameter not in prunable
    }
    share = sum(unknown.values()) / sum(parameter.numel() for parameter in blocks.parameters())
    lines = [
        (shared, f"{len(shared)} layers stay dense, as several decoder blocks share their weights"),
        (idle, f"{len(idle)} layers stay dense, as the model does not call them"),
        (
            set(unknown) if share > NOTABLE else set(),
            f"{share:.0%} of the weights of the decoder blocks stay dense, as their modules are of no known kind",
        ),
    ]
    return [f"{line}: {_kinds(names)}" for names, line in lines if names]


def _kinds(names: Collection[str]) -> str:
    """The distinct names with `*` for numbers, at most NAMED of them."""
    kinds = sorted({re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names})
    return ", ".join(kinds[:NAMED]) + (f" and {len(kinds) - NAMED} more" if len(kinds) > NAMED else "")
