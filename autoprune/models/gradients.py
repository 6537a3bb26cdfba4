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

    The loss is the sum over a window's positions, the mean is over the calibration tokens: the diagonal of the Fisher
    information of a layer's outputs (LeCun, Denker and Solla 1990), by which a squared error of an output becomes an
    estimate of the loss that it costs. An expert's outputs for tokens that it did not see count as 0. `windows`: token
    windows [samples, seqlen]; `blocks`: the layers of these decoder blocks alone.

    Each block is computed once more in the backward pass, so that besides the model only hidden states and one block's
    activations are held, and blocks may live elsewhere than on the device.
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
        stack.enter_context(patched_blocks(list(decoder_blocks(target.model)[1]), _recomputed))
        for window in windows:
            tokens = window.unsqueeze(0).to(target.device)
            loss = target.model(tokens, labels=tokens, use_cache=False).loss * (tokens.numel() - 1)
            loss.backward()
            advance()
    return {name: total.div_(windows.numel()).cpu() for name, total in sums.items()}


def _begin_graph(module: object, args: object, output: Tensor) -> Tensor:
    """No parameter needs a gradient, so the graph begins at the embedded tokens."""
    return output.detach().requires_grad_(True).clone()  # a copy, which the model may change in place


def _recomputed(index: int, forward: Callable[..., Any]) -> Callable[..., Any]:
    return partial(checkpoint, forward, use_reentrant=False)


def collect_gradients(target: Target, windows: Tensor, advance: Advance = lambda: None) -> dict[str, Tensor]:
    """Mean absolute gradient of the causal loss over windows, float32 [out, in], of every layer.

    One backward pass per window reaches every layer, so the sums of all of them, a second model in float32, are kept
    beside the model; a gradient itself only until it is added to them. Raises UsageError where blocks are not on the
    device.
    """
    target.need_whole("the gradient")
    sums = {layer.info.name: torch.zeros(layer.info.shape, device=target.device) for layer in target.prunable}
    of_parameter: dict[Tensor, list[PrunableLayer]] = defaultdict(list)  # a tensor may hold all experts of a block
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
    """Add the size of a parameter's gradient to its layers' sums and drop it, as soon as the backward pass made it."""
    for layer in layers:
        if parameter.grad is not None:
            sums[layer.info.name] += layer.oriented(parameter.grad).float().abs()
    parameter.grad = None
