"""Which matrices of the decoder blocks no algorithm prunes, whatever it needs, so that budgets compare."""

import re
from collections.abc import Collection, Sequence

from torch import nn

from autoprune.models.blocks import PrunableLayer, decoder_blocks, shared_layers

NOTABLE = 0.1
"""Share of the weights of the blocks from which on it is said that they are in modules of an unknown kind."""
NAMED = 8
"""How many kinds a line names."""


def stay_dense(model: nn.Module, layers: Sequence[PrunableLayer], applied: Collection[str]) -> list[str]:
    """A line on each kind, for the screen. `layers`: all linear matrices; `applied`: those that the model calls."""
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
    """Names with `*` for the numbers in them, each once; the first few of many."""
    kinds = sorted({re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names})
    return ", ".join(kinds[:NAMED]) + (f" and {len(kinds) - NAMED} more" if len(kinds) > NAMED else "")
