"""The target: the causal language model being pruned, loaded once, masked and restored exactly."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoprune.errors import AutoPruneError
from autoprune.pruning.blocks import PrunableLayer, prunable_layers
from autoprune.pruning.bundle import LayerInfo
from autoprune.pruning.loading import DTYPES, Notify, choose_device, faster_dtype, load_model


class Target:
    """A model in evaluation mode, its tokenizer, and a way back to its pristine weights.

    A layer's pristine weight is copied when it is first replaced, so a target that is only read costs no second copy.
    `fingerprint`: hash over names, shapes and values of all parameters, in the dtype they are used in.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.prunable: list[PrunableLayer] = prunable_layers(model)
        self.layers: list[LayerInfo] = [layer.info for layer in self.prunable]
        first = next(model.parameters())
        self.dtype, self.device = first.dtype, first.device
        self.fingerprint = checksum(model)
        self._by_name = {layer.info.name: layer for layer in self.prunable}
        self._pristine: dict[str, Tensor] = {}

    @property
    def weights(self) -> int:
        """How many weights are prunable."""
        return sum(layer.size for layer in self.layers)

    def weight(self, name: str) -> Tensor:
        """The pristine dense weight [out, in] of a layer. Not to be written to."""
        return self._pristine.get(name, self._by_name[name].weight)

    def live_weight(self, name: str) -> Tensor:
        """The weight [out, in] that the model computes with now."""
        return self._by_name[name].weight

    def zeros(self, name: str) -> int:
        """How many zeros there are in the weight that the model computes with now."""
        weight = self.live_weight(name)
        return weight.numel() - int(weight.count_nonzero())

    @contextmanager
    def edited(self) -> Iterator[Callable[[str, Tensor], None]]:
        """Yields `put(name, weight)`, which replaces a layer's weight [out, in]; at the end the pristine are back."""
        touched: set[str] = set()

        def put(name: str, weight: Tensor) -> None:
            self._keep(name)
            touched.add(name)
            self.live_weight(name).copy_(weight)

        with self._restoring(touched):
            yield put

    @contextmanager
    def pruned(self, masks: Mapping[str, Tensor]) -> Iterator[None]:
        """The model with these masks ([out, in], True = keep) applied; afterwards the pristine weights are back."""
        with self._restoring(masks):
            for name, mask in masks.items():
                torch.mul(self._keep(name), mask, out=self.live_weight(name))
            yield

    def verify(self) -> None:
        """Raises AutoPruneError unless every parameter is again what it was when the target was loaded."""
        now = checksum(self.model)
        if now != self.fingerprint:
            raise AutoPruneError(
                f"the weights of {self.name} changed while they were measured: {now}, not {self.fingerprint}"
            )

    def _keep(self, name: str) -> Tensor:
        """The pristine weight, copied now if it was not before."""
        if name not in self._pristine:
            self._pristine[name] = self.live_weight(name).clone()
        return self._pristine[name]

    @contextmanager
    def _restoring(self, names: Iterable[str]) -> Iterator[None]:
        try:
            yield
        finally:
            for name in names:
                if name in self._pristine:
                    self.live_weight(name).copy_(self._pristine[name])


def load_target(model: str, device: str = "auto", dtype: str = "auto", notify: Notify = lambda line: None) -> Target:
    """Load a target from a directory, a hub id, a GGUF file, or a built-in name.

    `device` auto: the first GPU if there is one. `dtype` auto: what a measured probe finds faster on this machine.
    Code that comes with a model is never run. Raises UsageError for a model or device that cannot be used.
    """
    chosen = choose_device(device)
    loaded, tokenizer = load_model(model, torch.float32, notify)
    loaded = loaded.to(chosen)
    loaded = loaded.to(faster_dtype(loaded, notify) if dtype == "auto" else DTYPES[dtype])
    return Target(loaded, tokenizer, model)


def checksum(model: nn.Module) -> str:
    """A hash over all parameters (16 hex digits)."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}{parameter.dtype}".encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
