"""The weights of a live model with statistics in memory, as an alternative to a bundle on disk."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from autoprune.models.blocks import PrunableLayer
from autoprune.models.bundle import STATISTICS, widen_bundle, write_bundle
from autoprune.pruning.fields import EXPENSIVE_FIELDS
from autoprune.pruning.layers import LayerInfo, LayerView


class Observed:
    """Some layers of a model with their present weights and their statistics.

    `statistics`: layer name -> the statistics of the contract ([in]), and the on-demand ones that were collected. Views
    are computed on demand and not cached.
    """

    def __init__(self, layers: Sequence[PrunableLayer], statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.layers: list[LayerInfo] = [layer.info for layer in layers]
        self._by_name = {layer.info.name: layer for layer in layers}
        self._statistics = statistics
        self._folder: Path | None = None

    def view(self, name: str, sparsity: float, pattern: str = "none") -> LayerView:
        """A layer with the fields of the contract, on the device of its weight."""
        layer = self._by_name[name]
        weight = layer.weight.float()
        statistics: dict[str, Any] = {
            statistic: tensor.to(weight.device) for statistic, tensor in self._statistics[name].items()
        }
        facts = {"name": name, "role": layer.info.role, "depth": layer.info.depth}
        return LayerView(weight=weight, **statistics, **facts, sparsity=sparsity, pattern=pattern)

    @cached_property
    def path(self) -> Path:
        """A bundle directory with the same content, for sandboxes; `close` removes it."""
        self._folder = Path(tempfile.mkdtemp(prefix="autoprune-"))
        kinds = [
            field.name
            for field in EXPENSIVE_FIELDS
            if all(field.name in by_statistic for by_statistic in self._statistics.values())
        ]
        basic = {
            name: {statistic: tensor.clone() for statistic, tensor in by_statistic.items() if statistic in STATISTICS}
            for name, by_statistic in self._statistics.items()
        }
        write_bundle(self._folder / "basic", self.layers, lambda name: self._by_name[name].weight, basic)
        if not kinds:
            return self._folder / "basic"
        expensive = {
            kind: [{name: by_statistic[kind].clone() for name, by_statistic in self._statistics.items()}]
            for kind in kinds
        }
        widen_bundle(self._folder / "basic", self._folder / "wide", expensive)
        return self._folder / "wide"

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
