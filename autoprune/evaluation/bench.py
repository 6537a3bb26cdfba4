"""The bench: one target with its texts and statistics, loaded once; it turns scores into masks and measures them.

Nothing here imports or runs a candidate's code. What is measured are the very weights whose zeros were counted.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from autoprune.config import Config
from autoprune.downloads import cache_dir
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.perplexity import check_length, perplexity, window_losses
from autoprune.evaluation.signature import Signature
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import Split, Windows, load_calibration, load_splits
from autoprune.evaluation.units import Units
from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.choose import READS, choose_allocation
from autoprune.pruning.allocation.sdsa import preset
from autoprune.pruning.bundle import Bundle, LayerInfo
from autoprune.pruning.masks import make_mask
from autoprune.pruning.prune import Seconds
from autoprune.pruning.target import Target, load_target
from autoprune.pruning.threads import side_by_side

Accept = Callable[[bytes], None]
"""Sees the signature of a candidate's masks before they are measured; raises CandidateFailure to refuse them."""


def accept_all(signature: bytes) -> None:
    """Refuse nothing."""


@dataclass(frozen=True)
class LayerDiagnostic:
    """One layer after pruning. `relative_error`: expected squared output error over the output's mean square,
    with inputs taken as independent: sum of pruned w^2 h over sum of all w^2 h, h the Hessian diagonal."""

    name: str
    sparsity: float
    relative_error: float


@dataclass(frozen=True)
class Measurement:
    """What was measured on one split. `window_losses` in nats per token, `seconds` by phase."""

    split: str
    perplexity: float
    window_losses: list[float]
    sparsity: float
    zeros: int
    weights: int
    seqlen: int
    windows: int
    layers: list[LayerDiagnostic] = field(default_factory=list)
    signature: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict)


class Bench:
    """Measures masks on one target. One thread at a time."""

    def __init__(self, target: Target, splits: dict[Split, Windows], config: Config, cache: StatisticsCache) -> None:
        self.target = target
        self.layers: list[LayerInfo] = target.layers
        self._splits = splits
        self._config = config
        self._cache = cache
        self._bundle = Bundle(cache.bundle())
        self._signature = Signature(self.layers)
        self._units: dict[str, Units] = {}
        self._energy: dict[str, float] = {}

    def calibrated(self, seed: int) -> "Bench":
        """A bench on the same target and texts, calibrated on the sequences that a seed draws (`load_calibration`)."""
        windows = load_calibration(self._config.data, self.target.tokenizer, seed)
        return Bench(self.target, {**self._splits, "calibration": windows}, self._config, self._cache.of(windows))

    @property
    def units(self) -> list[dict[str, Any]]:
        """The contract's unit statistics, one mapping per unit in order."""
        return self.units_by(self._config.allocation.unit).described()

    def units_by(self, kind: str) -> Units:
        """The units of one kind (block, module, projection), with what is known about them."""
        if kind not in self._units:
            self._units[kind] = Units(self._bundle, kind)
        return self._units[kind]

    def bundle(self, extra_fields: tuple[str, ...] = ()) -> Path:
        """The directory that a candidate may read; `extra_fields` (gradient, hessian) are collected on demand."""
        return self._cache.bundle(extra_fields)

    def readable(self, needs: tuple[str, ...] = ()) -> Bundle:
        """The dense statistics, opened for reading, with the on-demand ones that are needed."""
        return Bundle(self._cache.bundle(needs)) if needs else self._bundle

    def take_statistics_seconds(self) -> float:
        """Spent on collecting dense statistics since this was last asked; none where they were found on disk."""
        seconds, self._cache.seconds = self._cache.seconds, 0.0
        return seconds

    def windows(self, split: Split) -> Windows:
        """The windows of a split."""
        return self._splits[split]

    def zeros(
        self, sparsity: float, allocation: str | None, raw_densities: list[float] | None = None
    ) -> dict[str, int]:
        """Zeros per layer, in total exactly round(s N): from a named allocation, or raw densities projected onto it.

        Raises CandidateFailure (stage allocate) when the raw densities cannot be projected.
        """
        settings = self._config.allocation
        units = self.units_by(settings.unit)
        if raw_densities is not None:
            try:
                return units.spread(project(raw_densities, units.sizes, sparsity), sparsity)
            except UsageError as error:
                raise CandidateFailure("allocate", "shape", str(error)) from None
        name = allocation or settings.name
        chosen = choose_allocation(name)
        if name == "sdsa":
            chosen = preset(settings.preset, settings.kappa, settings.tau, settings.delta)
        return units.spread(chosen(units.described(READS[name]), sparsity), sparsity)

    def unit_sparsity(self, zeros: dict[str, int]) -> dict[str, float]:
        """Layer name -> sparsity of the layer's unit: what a candidate is told."""
        return self.units_by(self._config.allocation.unit).sparsity(zeros)

    def dense(self, split: Split) -> Measurement:
        """The unpruned target."""
        return self._perplexity(split, {})

    def now(self, split: Split) -> Measurement:
        """The target as it is now, whatever was done to its weights. Raises CandidateFailure when it is not finite."""
        return self._perplexity(split, {layer.name: self.target.zeros(layer.name) for layer in self.layers})

    def losses(self, split: Split, windows: int | None = None) -> list[float]:
        """The losses, in nats, of the model as it is now on the first windows of a split (None: all)."""
        return window_losses(self.target, self._splits[split].tokens[:windows])

    def baseline(self, score: str, allocation: str, sparsity: float, split: Split) -> Measurement:
        """A published score with a named allocation."""
        zeros = self.zeros(sparsity, allocation)
        algorithm = Published.named(score)
        with algorithm.open(self.readable(algorithm.needs)) as scoring:
            return self.measure(scoring.scores(self.unit_sparsity(zeros)), scoring.group, zeros, split)

    def measure(
        self,
        scores: Iterable[tuple[str, Tensor]],
        group: str,
        zeros: dict[str, int],
        split: Split,
        accept: Accept = accept_all,
    ) -> Measurement:
        """Masks from scores as they come, then perplexity; `accept` sees the masks' signature in between.

        Raises CandidateFailure: stage check when layers are missing or `accept` refuses, stage measure when the
        perplexity is not finite.
        """
        spent = Seconds()
        masks, diagnostics = {}, []

        def mask(scored: tuple[str, Tensor]) -> tuple[str, Tensor]:
            name, score = scored
            return name, make_mask(score, self.target.weight(name), zeros[name], group)

        for name, kept in side_by_side(mask, spent.heard(scores)):
            masks[name] = kept
            diagnostics.append(self._diagnose(name, kept))
        spent.spent_on("mask")
        if list(masks) != [layer.name for layer in self.layers]:
            raise CandidateFailure("check", "protocol", f"{len(masks)} of {len(self.layers)} layers were scored")
        signature = self._signature.of(masks)
        accept(signature)
        seconds = {"score": spent.score, "mask": spent.mask}
        with self.target.pruned(masks):
            self._check_zeros(zeros)
            return self._perplexity(split, zeros, diagnostics, signature, seconds)

    def fingerprints(self) -> dict[str, Any]:
        """What the numbers depend on: model, texts, dtype, versions."""
        return {
            "model": self.target.fingerprint,
            "dtype": str(self.target.dtype).removeprefix("torch."),
            "device": self.target.device.type,
            "texts": {
                split: {"source": text.source, "tokens": text.fingerprint} for split, text in self._splits.items()
            },
            "statistics": "dense",
            "torch": version("torch"),
            "transformers": version("transformers"),
        }

    def _perplexity(
        self,
        split: Split,
        zeros: dict[str, int],
        diagnostics: list[LayerDiagnostic] | None = None,
        signature: bytes = b"",
        seconds: dict[str, float] | None = None,
    ) -> Measurement:
        windows = self._splits[split].tokens
        started = time.perf_counter()
        losses = self.losses(split)
        value = perplexity(losses)
        if not math.isfinite(value) or not all(math.isfinite(loss) for loss in losses):
            raise CandidateFailure("measure", "not-finite", f"the perplexity on the {split} split is not finite")
        return Measurement(
            split=split,
            perplexity=value,
            window_losses=losses,
            sparsity=sum(zeros.values()) / self.target.weights,
            zeros=sum(zeros.values()),
            weights=self.target.weights,
            seqlen=windows.shape[1],
            windows=windows.shape[0],
            layers=diagnostics or [],
            signature=signature,
            seconds={**(seconds or {}), "eval": time.perf_counter() - started},
        )

    def _diagnose(self, name: str, mask: Tensor) -> LayerDiagnostic:
        weight = self.target.weight(name)
        curvature = self._bundle.statistic(name, "hessian_diag").to(weight.device)
        if name not in self._energy:
            self._energy[name] = _energy(weight, curvature)
        total, kept = self._energy[name], _energy(weight * mask, curvature)
        error = (total - kept) / total if total > 0 else 0.0
        return LayerDiagnostic(name, 1.0 - int(mask.count_nonzero()) / mask.numel(), max(error, 0.0))

    def _check_zeros(self, zeros: dict[str, int]) -> None:
        for layer in self.layers:
            found = self.target.zeros(layer.name)
            if found != zeros[layer.name]:
                raise AutoPruneError(f"layer {layer.name} has {found} zeros, not the {zeros[layer.name]} that were set")


def _energy(weight: Tensor, curvature: Tensor) -> float:
    """sum of w^2 h: the expected mean square of a layer's output, its inputs taken as independent."""
    return float(weight.float().square().sum(0) @ curvature)


def open_bench(config: Config, run_dir: Path | None, notify: Callable[[str], None]) -> Bench:
    """Load the target and the texts; statistics come from the cache, or are collected now."""
    target = load_target(config.model, config.device, config.dtype, notify)
    check_length(target, config.data.seqlen)
    splits = load_splits(config.data, target.tokenizer)
    cache = StatisticsCache(target, splits["calibration"], cache_dir() / "statistics", notify)
    return Bench(target, splits, config, cache)
