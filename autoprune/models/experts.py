"""Mixture-of-experts blocks whose experts are stacked in parameters of three dimensions, [experts, out, in].

Each expert's slice is treated as a matrix of its own. The inputs of a slice are observed while the module runs in its
`eager` implementation, which applies one expert after the other.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autoprune.pruning.layers import LayerInfo

_PRODUCTS = (nn.functional.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__)
_NUMBER = re.compile(r"(?<=experts\.)\d+")


@dataclass(frozen=True)
class ExpertMatrix:
    """One expert's slice of a stacked parameter. `transposed`: the slice is stored as [in, out]."""

    path: str
    module: nn.Module
    attribute: str
    expert: int
    transposed: bool
    shape: tuple[int, int]


def expert_matrices(block: nn.Module) -> Iterator[ExpertMatrix]:
    """Every expert's matrices in a decoder block, expert by expert, named `<module>.<expert>.<parameter>`."""
    for path, module in block.named_modules():
        stacked = stacked_parameters(module)
        experts = {len(parameter) for parameter in stacked.values()}
        transposed = bool(getattr(module, "is_transposed", False))
        for expert in range(max(experts, default=0)):
            for name, parameter in stacked.items():
                rows, columns = parameter.shape[1:]
                shape = (columns, rows) if transposed else (rows, columns)
                yield ExpertMatrix(f"{path}.{expert}.{name}", module, name, expert, transposed, shape)


def kind_of(layer: LayerInfo) -> tuple[int, str]:
    """A key that the same matrix of all experts of a block shares: block, and name without the expert's number."""
    return layer.block, _NUMBER.sub("*", layer.name)


def stacked_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters [experts, ., .] of a module that transformers can run expert by expert."""
    if not hasattr(module, "is_transposed"):
        return {}
    return {name: parameter for name, parameter in module.named_parameters(recurse=False) if parameter.ndim == 3}


class WatchedExperts:
    """Calls `see(attribute, expert, inputs [tokens, in], output [tokens, out])` after every product with a slice, until
    it is removed. Inputs are detached; the output is the product itself."""

    def __init__(self, module: nn.Module, see: Callable[[str, int, Tensor, Tensor], None]) -> None:
        self._module = module
        self._before = module.__dict__.get("forward")  # set by accelerate, for example
        run = module.forward
        config: Any = module.config

        def forward(*args: Any, **kwargs: Any) -> Any:
            chosen = config._experts_implementation
            config._experts_implementation = "eager"
            try:
                with _SliceProducts(stacked_parameters(module), see):
                    return run(*args, **kwargs)
            finally:
                config._experts_implementation = chosen

        module.forward = forward

    def remove(self) -> None:
        """Restore the module's own `forward`."""
        if self._before is None:
            del self._module.forward
        else:
            self._module.forward = self._before


class _SliceProducts(TorchFunctionMode):
    """Observes products whose right factor is a slice of one of the stacked parameters."""

    def __init__(self, stacked: dict[str, nn.Parameter], see: Callable[[str, int, Tensor, Tensor], None]) -> None:
        super().__init__()
        self._by_storage = {parameter.untyped_storage().data_ptr(): name for name, parameter in stacked.items()}
        self._stacked = stacked
        self._see = see

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _PRODUCTS and len(args) > 1:
            inputs, weight = args[0], args[1]
            name = self._by_storage.get(weight.untyped_storage().data_ptr())
            if name is not None:
                whole = self._stacked[name]
                expert = (weight.storage_offset() - whole.storage_offset()) // whole[0].numel()
                output = func(*args, **(kwargs or {}))
                self._see(name, expert, inputs.detach().reshape(-1, inputs.shape[-1]), output)
                return output
        return func(*args, **(kwargs or {}))
