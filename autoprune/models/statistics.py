"""Calibration statistics of the layers' inputs, block by block, from forward passes of the model.

`dense` statistics come from one pass of the dense model and are reused for every candidate; `sequential` ones from the
same observer on a walk over pruned blocks.
"""

from collections.abc import Callable, Container, Iterator, Sequence

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.models.blocks import PrunableLayer, decoder_blocks
from autoprune.models.experts import kind_of
from autoprune.models.outputs import not_finite
from autoprune.models.target import Target
from autoprune.models.walk import walk
from autoprune.pruning.layers import LayerInfo

Advance = Callable[[], None]

STRIP = 192
"""Rows of X X^T per matrix product: few enough to skip nearly half of the work, enough for a fast product."""


class InputMoments:
    """First and second moments of a layer's inputs, accumulated in float64; optionally X X^T, in float32."""

    def __init__(self, features: int, device: torch.device, hessian: bool = False) -> None:
        self.count = 0
        self._sum = torch.zeros(features, dtype=torch.float64, device=device)
        self._squares = torch.zeros(features, dtype=torch.float64, device=device)
        self._products = torch.zeros(features, features, device=device) if hessian else None

    def see(self, inputs: Tensor) -> None:
        """Add inputs [tokens, in]."""
        values = inputs.float()
        self.count += len(values)
        # Float32 within one window, which torch sums in a cascade; float64 over all of them.
        self._sum += values.sum(0)
        self._squares += values.square().sum(0)
        if self._products is not None:
            _add_products(self._products, values)

    def add(self, other: "InputMoments") -> None:
        """Add the moments of other inputs."""
        self.count += other.count
        self._sum += other._sum
        self._squares += other._squares
        if self._products is not None and other._products is not None:
            self._products += other._products

    def statistics(self, name: str) -> dict[str, Tensor]:
        """input_norm, input_mean, input_var, hessian_diag [in], and optionally hessian [in, in], float32, on the device
        of the inputs.

        Raises UsageError if no token was added.
        """
        if self.count == 0:
            raise UsageError(f"layer {name} saw no calibration token")
        mean, mean_square = self._sum / self.count, self._squares / self.count
        statistics = {
            "input_norm": self._squares.sqrt(),
            "input_mean": mean,
            "input_var": (mean_square - mean.square()).clamp(min=0.0),
            "hessian_diag": mean_square,
        }
        if self._products is not None:
            _mirror(self._products)
            statistics["hessian"] = self._products / self.count
        return {statistic: tensor.float() for statistic, tensor in statistics.items()}


class Observer:
    """Collects the statistics of a target block by block; layers with the same input tensor share theirs.

    `hessian`: whether to collect the full Hessian, or the numbers of the blocks for which to collect it.
    """

    def __init__(self, target: Target, hessian: bool | Container[int] = False) -> None:
        self._target = target
        self._hessian = hessian
        self._moments: dict[str, InputMoments] = {}
        self._source: dict[str, str] = {}
        self._last: tuple[Tensor, str] | None = None

    def see(self, info: LayerInfo, inputs: Tensor) -> None:
        """Add a layer's inputs [tokens, in]."""
        if info.name not in self._source:
            self._source[info.name] = info.name
            # The reference to the last tensor keeps its memory from being reused.
            if self._last and (self._last[0].data_ptr(), self._last[0].shape) == (inputs.data_ptr(), inputs.shape):
                self._source[info.name] = self._last[1]
        source = self._source[info.name]
        if source == info.name:
            if source not in self._moments:
                self._moments[source] = InputMoments(inputs.shape[-1], inputs.device, self._wants(info))
            self._moments[source].see(inputs)
        self._last = inputs, source

    def take(self, layers: Sequence[PrunableLayer]) -> dict[str, dict[str, Tensor]]:
        """The statistics of a block's layers by name, shared ones as the same tensors; resets the observer.

        An expert without tokens gets the pooled statistics of the block's other experts. Raises UsageError when a layer
        has received no token, or inputs that are not finite.
        """
        by_source: dict[str, dict[str, Tensor]] = {}
        by_layer: dict[str, dict[str, Tensor]] = {}
        for layer in layers:
            name = layer.info.name
            source = self._source.get(name, f"{id(layer.module)}.{layer.attribute}")
            if source not in by_source:
                moments = self._moments[source] if source in self._moments else self._pooled(layer, layers)
                by_source[source] = self._finite(name, moments.statistics(name))
            by_layer[name] = by_source[source]
        self._moments, self._source, self._last = {}, {}, None
        return by_layer

    def _finite(self, name: str, statistics: dict[str, Tensor]) -> dict[str, Tensor]:
        if not all(bool(torch.stack(tensor.aminmax()).isfinite().all()) for tensor in statistics.values()):
            where = f"the inputs of layer {name} are not finite on the calibration text"
            raise UsageError(f"{where}: {not_finite(self._target)}")
        return statistics

    def _pooled(self, layer: PrunableLayer, layers: Sequence[PrunableLayer]) -> InputMoments:
        alike = [other for other in layers if kind_of(other.info) == kind_of(layer.info)]
        pooled = InputMoments(layer.info.shape[1], layer.weight.device, self._wants(layer.info))
        for other in alike:
            if other.info.name in self._moments:
                pooled.add(self._moments[other.info.name])
        return pooled

    def _wants(self, info: LayerInfo) -> bool:
        return self._hessian if isinstance(self._hessian, bool) else info.block in self._hessian


def collect_inputs(target: Target, windows: Tensor, advance: Advance = lambda: None) -> dict[str, dict[str, Tensor]]:
    """Dense input statistics of every layer from token windows [samples, seqlen]. `advance` is called per window."""
    collected: dict[str, dict[str, Tensor]] = {}
    for statistics in _observe(target, windows, Observer(target), advance):
        collected |= statistics
    return collected


def collect_hessians(
    target: Target, windows: Tensor, advance: Advance = lambda: None, blocks: Container[int] | None = None
) -> Iterator[dict[str, Tensor]]:
    """The full Hessian X X^T / tokens, float32 [in, in], of every layer, one decoder block at a time.

    `blocks`: limits the layers to these decoder blocks. Only one block's Hessians are held.
    """
    observer = Observer(target, True if blocks is None else blocks)
    for statistics in _observe(target, windows, observer, advance):
        yield {name: tensors.pop("hessian") for name, tensors in statistics.items() if "hessian" in tensors}


def _add_products(products: Tensor, values: Tensor) -> None:
    """Add X^T X to `products` [in, in] from values [tokens, in], on and above the diagonal, by strips of rows.

    Entries below the diagonal are valid only within the diagonal squares of the strips.
    """
    for start in range(0, values.shape[1], STRIP):
        end = start + STRIP
        products[start:end, start:].addmm_(values[:, start:end].T, values[:, start:])


@torch.inference_mode()  # as the sums were made
def _mirror(products: Tensor) -> None:
    """Copy the entries above the diagonal of `products` [in, in] below it, outside the strips' diagonal squares."""
    for start in range(0, len(products), STRIP):
        end = start + STRIP
        products[end:, start:end] = products[start:end, end:].T


def _observe(
    target: Target, windows: Tensor, observer: Observer, advance: Advance
) -> Iterator[dict[str, dict[str, Tensor]]]:
    """Layer name -> statistic -> tensor, one decoder block at a time."""
    blocks = len(decoder_blocks(target.model)[1])
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps % blocks == 0:
            advance()

    for layers in walk(target, windows, observer.see, sequential=False, advance=step):
        # Copies, since safetensors does not store shared tensors; on the CPU, as they are written to disk.
        yield {
            name: {statistic: tensor.to("cpu", copy=True) for statistic, tensor in statistics.items()}
            for name, statistics in observer.take(layers).items()
        }
