"""Calibration statistics that need a backward pass: the gradient of the loss by weights and by layer outputs."""

from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from autoprune.models.blocks import PrunableLayer, decoder_blocks, watch_outputs
from autoprune.models.passages import patched_blocks
from autoprune.models.target import Target
from autoprune.pruning.layers import LayerInfo

Advance = Callable[[], None]


def collect_output_sensitivity(
    target: Target, windows: Tensor, advance: Advance = lambda: None, blocks: Container[int] | None = None
) -> dict[str, Tensor]:
    """Mean squared gradient of the causal loss by each output of a layer, float32 [out], of every layer.

    The loss is summed over a window's positions, the mean is over the calibration tokens. This is the diagonal of the
    Fisher information of a layer's outputs (LeCun, Denker and Solla 1990), which turns the squared error of an output
    into an estimate of its cost in loss. An expert's outputs count as 0 for tokens that were not routed to it.
    `windows`: [samples, seqlen]; `blocks`: limits the layers to these decoder blocks.

    Each block is recomputed in the backward pass, so that only hidden states and one block's activations are held
    beside the model, and blocks can be offloaded.
    """
    layers = [layer for layer in target.prunable if blocks is None or layer.info.block in blocks]
    sums = {layer.info.name: torch.zeros(layer.info.shape[0], device=target.device) for layer in layers}

    def add(info: LayerInfo, gradient: Tensor) -> None:
        sums[info.name] += gradient.float().square().sum(0)

    with ExitStack() as stack:
        for watch in watch_outputs(layers, add):
            stack.callback(watch.remove)
        embedding: Any = target.model.get_input_embeddings()  # type: ignore[operator]
        stack.callback(embedding.register_forward_hook(_begin_graph).remove)
        blocks_of_model = list(decoder_blocks(target.model)[1])
        recomputed = patched_blocks(
            blocks_of_model, lambda _, forward: partial(checkpoint, forward, use_reentrant=False)
        )
        stack.enter_context(recomputed)
        for window in windows:
            tokens = window.unsqueeze(0).to(target.device)
            loss = target.model(tokens, labels=tokens, use_cache=False).loss * (tokens.numel() - 1)
            loss.backward()
            advance()
    return {name: total.div_(windows.numel()).cpu() for name, total in sums.items()}


def _begin_graph(module: object, args: object, output: Tensor) -> Tensor:
    """The autograd graph begins at the embeddings, since no parameter requires a gradient."""
    return output.detach().requires_grad_(True).clone()  # a copy that the model may change in place


def collect_gradients(target: Target, windows: Tensor, advance: Advance = lambda: None) -> dict[str, Tensor]:
    """Mean absolute gradient of the causal loss over windows, float32 [out, in], of every layer.

    The sums of all layers are held beside the model, as much as the model in float32. Raises UsageError if blocks are
    offloaded.
    """
    target.need_whole("the gradient")
    sums = {layer.info.name: torch.zeros(layer.info.shape, device=target.device) for layer in target.prunable}
    of_parameter: dict[Tensor, list[PrunableLayer]] = defaultdict(list)  # one parameter can hold all experts
    for layer in target.prunable:
        of_parameter[layer.parameter].append(layer)
    with ExitStack() as stack:
        for parameter, layers in of_parameter.items():
            parameter.requires_grad_(True)
            stack.callback(parameter.requires_grad_, False)
            stack.callback(parameter.register_post_accumulate_grad_hook(partial(_add_gradient, layers, sums)).remove)
        for window in windows:
            tokens = window.unsqueeze(0).to(target.device)
            target.model(tokens, labels=tokens, use_cache=False).loss.backward()
            advance()
    return {name: total.div_(len(windows)).cpu() for name, total in sums.items()}


def _add_gradient(layers: Sequence[PrunableLayer], sums: dict[str, Tensor], parameter: Tensor) -> None:
    """Add the absolute gradient of a parameter to the sums of its layers, and free it."""
    for layer in layers:
        if parameter.grad is not None:
            sums[layer.info.name] += layer.oriented(parameter.grad).float().abs()
    parameter.grad = None
