"""The dense model's gradients, read from the cached bundle when they are asked for."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from autoprune.evaluation.bench import Bench


class DenseGradients(Mapping[str, Tensor]):
    """Layer name -> [out, in]."""

    def __init__(self, bench: Bench) -> None:
        self._readable = bench.readable(("gradient",))

    def __getitem__(self, name: str) -> Tensor:
        gradient: Tensor = self._readable.view(name, 0.0).gradient
        return gradient

    def __iter__(self) -> Iterator[str]:
        return (layer.name for layer in self._readable.layers)

    def __len__(self) -> int:
        return len(self._readable.layers)
