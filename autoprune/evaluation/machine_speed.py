"""The speed of this machine at typical operations of candidates, for proposers to plan within the time limit."""

import timeit
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from autoprune.pruning.layers import LayerInfo

REPEATS = 2
"""Repetitions, of which the fastest counts."""


@dataclass(frozen=True)
class MachineSpeed:
    """Seconds over all prunable layers, float32. `product`: one product of each weight [out, in] with a matrix
    [in, in]; `element`: one elementwise multiply-add over each weight; `selection`: one `torch.where` over each weight;
    `sort`: sorting each row of each weight."""

    product: float
    element: float
    selection: float
    sort: float


def machine_speed(layers: Sequence[LayerInfo], device: torch.device) -> MachineSpeed:
    """Measure the speed on random tensors of each distinct shape, with all threads of this process."""
    product = element = selection = sort = 0.0
    for (outputs, inputs), count in Counter(layer.shape for layer in layers).items():
        weight = torch.randn(outputs, inputs, device=device)
        square = torch.randn(inputs, inputs, device=device)
        product += count * _seconds(partial(torch.mm, weight, square), device)
        element += count * _seconds(partial(torch.addcmul, weight, weight, weight), device)
        selection += count * _seconds(partial(torch.where, weight > 0, weight, 0.0), device)
        sort += count * _seconds(partial(torch.sort, weight, dim=1), device)
    return MachineSpeed(product, element, selection, sort)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    def timed() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return min(timeit.repeat(timed, number=1, repeat=REPEATS))
