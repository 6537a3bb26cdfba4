"""The bench: a target with its texts and statistics, loaded once for all measurements.

This module neither imports nor runs a candidate's code.
"""

import functools
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from autoprune.config import Config
from autoprune.downloads import cache_dir
from autoprune.errors import CandidateFailure
from autoprune.evaluation.bos import choose_bos
from autoprune.evaluation.kept_masks import KeptMasks
from autoprune.evaluation.perplexity import check_length, window_losses, windows_per_pass
from autoprune.evaluation.racing import order
from autoprune.evaluation.reconstruction import Reconstruction, sampled_blocks
from autoprune.evaluation.signature import Signature
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import Split, Windows, check_samples, check_tokens, load_calibration, load_splits
from autoprune.models.bundle import Bundle
from autoprune.models.target import Target, load_target
from autoprune.pruning.allocation.units import LayerZeros, Units
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.masks import masked_weight
from autoprune.runs.measurement import LayerDiagnostic

if TYPE_CHECKING:
    from autoprune.evaluation.structured import StructureBench

_version = functools.cache(version)
"""Version of a package, cached since every lookup of a measurement needs it."""


class Bench:
    """A target, its texts, and cached facts on its layers. Not thread-safe."""

    def __init__(self, target: Target, splits: dict[Split, Windows], config: Config, cache: StatisticsCache) -> None:
        self.target = target
        self.layers: list[LayerInfo] = target.layers
        self._splits = splits
        self._config = config
        self._cache = cache
        check_tokens(target, splits.values())
        # Published scores and signals are computed where the weights are, unless these stay in host memory.
        in_host_memory = target.offloaded and not target.mapped
        self._device = torch.device("cpu") if in_host_memory else target.device
        self._bundle = Bundle(cache.bundle(), self._device)
        self.signature = Signature(self.layers)
        self.masks = KeptMasks()
        self.allocated: dict[str, LayerZeros] = {}
        """Zeros per layer that `layer_zeros` caches, since many algorithms share them."""
        self.structures: StructureBench | None = None
        """What structured recipes share (`StructureBench.of`)."""
        self._units: dict[str, Units] = {}
        self._energy: dict[str, float] = {}
        self._reconstruction: Reconstruction | None = None

    def calibrated(self, seed: int) -> "Bench":
        """A bench with the same target and texts, but the calibration sequences of a seed (`load_calibration`)."""
        bos = self._splits["calibration"].bos
        windows = load_calibration(self._config.data, self.target.tokenizer, seed).with_bos(bos)
        return Bench(self.target, {**self._splits, "calibration": windows}, self._config, self._cache.of(windows))

    @property
    def units(self) -> list[dict[str, Any]]:
        """The contract's unit statistics, one mapping per unit in order."""
        return self.units_by(self._config.allocation.unit).described()

    def units_by(self, kind: str) -> Units:
        """The units of one kind (block, module, projection)."""
        if kind not in self._units:
            self._units[kind] = Units(self._bundle, kind, lambda: self.readable(("hessian",)))
        return self._units[kind]

    def bundle(self, extra_fields: tuple[str, ...] = ()) -> Path:
        """The directory of the bundle; `extra_fields` (gradient, hessian) are collected on demand.

        Raises CandidateFailure for a gradient if the target's blocks are offloaded.
        """
        if "gradient" in extra_fields and self.target.offloaded:
            raise CandidateFailure(
                "start", "memory", "the gradient needs all of the target on its device, and its blocks are offloaded"
            )
        return self._cache.bundle(extra_fields)

    def readable(self, needs: tuple[str, ...] = ()) -> Bundle:
        """The bundle with dense statistics and the on-demand statistics in `needs`."""
        return Bundle(self.bundle(needs), self._device) if needs else self._bundle

    def statistics(self, hessian: bool) -> Callable[[str, str], Tensor]:
        """A function from the names of a layer and a statistic to its tensor [in]. `hessian`: collect full Hessians
        [in, in], too."""
        return self.readable(("hessian",) if hessian else ()).statistic

    def samples(self, split: Split) -> bool:
        """Whether reconstruction errors of sampled decoder blocks are measured: on the search split, by the
        settings."""
        return split == "search" and self._config.advanced.layer_error is not None

    def sampled(self, split: Split) -> Reconstruction | None:
        """The reconstruction errors of sampled blocks, if they are measured on this split."""
        return self.reconstruction() if self.samples(split) else None

    def reconstruction(self) -> Reconstruction:
        """The reconstruction errors of sampled blocks, whose statistics are collected on first use."""
        if self._reconstruction is None:
            self._reconstruction = Reconstruction(Bundle(self._cache.sample(sampled_blocks(self.layers))))
        return self._reconstruction

    def take_statistics_seconds(self) -> float:
        """Seconds spent on collecting dense statistics since the last call; 0 if they were cached."""
        seconds, self._cache.seconds = self._cache.seconds, 0.0
        return seconds

    def windows(self, split: Split) -> Windows:
        return self._splits[split]

    def losses(
        self,
        split: Split,
        windows: int | None = None,
        looks: Sequence[int] = (),
        check: Callable[[list[float]], None] = lambda losses: None,
        skip: int = 0,
        advance: Callable[[], None] = lambda: None,
        target: Target | None = None,
    ) -> list[float]:
        """The losses in nats of the model in its present state on the windows `skip` to `windows` (None: all) of a
        split. `target`: another model with the same tokenizer, such as a smaller one.

        Windows are measured in the order of `racing.order` and returned in the order of the text. After each number of
        windows in `looks`, `check` is called with the losses in the order of measurement, and may raise. With offloaded
        blocks, all windows are measured before the first check, since loading blocks dominates the cost. `advance` is
        called after each window.
        """
        tokens, lead = self._splits[split].tokens[skip:windows], self._splits[split].lead
        target = target or self.target
        places = order(len(tokens))
        ahead = window_losses(target, tokens[places], advance, lead) if target.offloaded else None
        measured: list[float] = []
        for start, stop in pairwise((0, *looks) if looks else (0, len(tokens))):
            part = tokens[places[start:stop]]
            measured += ahead[start:stop] if ahead else window_losses(target, part, advance, lead)
            check(measured)
        by_place = dict(zip(places, measured, strict=True))
        return [by_place[place] for place in range(len(tokens))]

    def diagnose(self, name: str, mask: Tensor) -> LayerDiagnostic:
        """Sparsity and relative error of a layer's mask [out, in], by the diagonal of the Hessian."""
        weight = self.target.weight(name).to(mask.device)  # from host memory, if blocks visit the device
        curvature = self._bundle.statistic(name, "hessian_diag").to(weight.device)
        if name not in self._energy:
            self._energy[name] = _energy(weight, curvature)
        total, kept = self._energy[name], _energy(masked_weight(weight, mask), curvature)
        error = max((total - kept) / total, 0.0) if total > 0 else 0.0
        sparsity = 1.0 - int(mask.count_nonzero()) / mask.numel()
        return LayerDiagnostic(name=name, sparsity=sparsity, relative_error=error)

    def fingerprints(self) -> dict[str, Any]:
        """All that measurements on this bench depend on: model, texts, dtype, device and versions."""
        return {
            "model": self.target.fingerprint,
            "dtype": str(self.target.dtype).removeprefix("torch."),
            "windows_per_pass": windows_per_pass(self.target.dtype),
            "device": self.target.device.type,
            "texts": {split: _described(text) for split, text in self._splits.items()},
            "statistics": "dense",
            "torch": _version("torch"),
            "transformers": _version("transformers"),
        }


def _described(text: Windows) -> dict[str, str]:
    """Source and fingerprint of a text. Without BOS there is no such key, to keep the keys of earlier measurements."""
    return {"source": text.source, "tokens": text.fingerprint, **({"bos": text.bos.text} if text.bos else {})}


def _energy(weight: Tensor, curvature: Tensor) -> float:
    """sum of w^2 h: the expected mean square of a layer's output for independent inputs."""
    return float(weight.float().square().sum(0) @ curvature)


def open_bench(config: Config, run_dir: Path | None, target: Target | None = None) -> Bench:
    """Load the target, unless one is given, and the texts, and load or collect the dense statistics."""
    if target is None:
        target = load_target(config.model, config.device, config.dtype, config.offload, config.advanced.memory_gb)
    check_length(target, config.data.seqlen)
    texts = load_splits(config.data, target.tokenizer)
    if run_dir is not None:  # a search, which confirms its finalists on other calibration samples
        check_samples(target, config.data, config.confirmation.seeds)
    data, search = config.data, texts["search"].tokens
    bos = choose_bos(data.bos, target, data.seqlen, search.flatten)
    splits = {split: text.with_bos(bos) for split, text in texts.items()}
    cache = StatisticsCache(target, splits["calibration"], cache_dir() / "statistics")
    return Bench(target, splits, config, cache)
