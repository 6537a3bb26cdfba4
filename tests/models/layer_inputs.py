"""What layers are given in whole forward passes of a model, which walks must agree with."""

from collections.abc import Sequence

import torch
from torch import Tensor

from autoprune.models.blocks import PrunableLayer, watch_inputs
from autoprune.models.target import Target


def layer_inputs(target: Target, layers: Sequence[PrunableLayer], windows: Tensor) -> dict[str, Tensor]:
    """Layer name -> inputs [tokens, in], float64."""
    parts: dict[str, list[Tensor]] = {}
    handles = watch_inputs(layers, lambda info, inputs: parts.setdefault(info.name, []).append(inputs.clone()))
    with torch.inference_mode():
        for window in windows:
            target.model(window.unsqueeze(0), use_cache=False)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(inputs).double() for name, inputs in parts.items()}
