"""How fast this machine is at what candidates do, so that who designs one can plan its time."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from autoprune.pruning.layers import LayerInfo

REPEATS = 2
"""The shorter of so many times counts."""


@dataclass(frozen=True)
class MachineSpeed:
    """Seconds over all prunable layers, float32. `product`: one product of each weight [out, in] with a matrix
    [in, in]; `element`: one elementwise multiply-add over each weight."""

    product: float
    element: float


def machine_speed(layers: Sequence[LayerInfo], device: torch.device) -> MachineSpeed:
    """Measured on random tensors, once for each shape that layers have, with all threads of this process."""
    product = element = 0.0
    for (outputs, inputs), count in Counter(layer.shape for layer in layers).items():
        weight = torch.randn(outputs, inputs, device=device)
        square = torch.randn(inputs, inputs, device=device)
        product += count * _seconds(partial(torch.mm, weight, square), device)
        element += count * _seconds(partial(torch.addcmul, weight, weight, weight), device)
    return MachineSpeed(product, element)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)
