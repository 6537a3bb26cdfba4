"""The bench: one target with its texts and statistics, loaded once, for everything that is measured on it.

Nothing here imports or runs a candidate's code.
"""

import functools
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from autoprune.config import Config
from autoprune.downloads import cache_dir
from autoprune.errors import CandidateFailure
from autoprune.evaluation.bos import choose_bos
from autoprune.evaluation.perplexity import check_length, window_losses, windows_per_pass
from autoprune.evaluation.racing import order
from autoprune.evaluation.reconstruction import Reconstruction, sampled_blocks
from autoprune.evaluation.signature import Signature
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import Split, Windows, load_calibration, load_splits
from autoprune.evaluation.vocabulary import check_samples, check_tokens
from autoprune.models.bundle import Bundle
from autoprune.models.target import Target, load_target
from autoprune.pruning.allocation.units import LayerZeros, Units
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.masks import masked_weight
from autoprune.runs.measurement import LayerDiagnostic

_version = functools.cache(version)
"""Of a package. It is wanted with every measurement that is looked up, and would read a file each time."""


class Bench:
    """A target, its texts, and what is known of its layers. One thread at a time."""

    def __init__(self, target: Target, splits: dict[Split, Windows], config: Config, cache: StatisticsCache) -> None:
        self.target = target
        self.layers: list[LayerInfo] = target.layers
        self._splits = splits
        self._config = config
        self._cache = cache
        check_tokens(target, splits.values())
        self._bundle = Bundle(cache.bundle())
        self.signature = Signature(self.layers)
        self.allocated: dict[str, LayerZeros] = {}
        """What `layer_zeros` made that is the same for many algorithms, by all that it depends on."""
        self._units: dict[str, Units] = {}
        self._energy: dict[str, float] = {}
        self._reconstruction: Reconstruction | None = None

    def calibrated(self, seed: int) -> "Bench":
        """A bench on the same target and texts, calibrated on the sequences that a seed draws (`load_calibration`)."""
        bos = self._splits["calibration"].bos
        windows = load_calibration(self._config.data, self.target.tokenizer, seed).with_bos(bos)
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
        """The directory that a candidate may read; `extra_fields` (gradient, hessian) are collected on demand.

        Raises CandidateFailure for a gradient where the target's blocks are not on its device.
        """
        if "gradient" in extra_fields and self.target.offloaded:
            raise CandidateFailure(
                "start", "memory", "the gradient needs all of the target on its device, and its blocks are offloaded"
            )
        return self._cache.bundle(extra_fields)

    def readable(self, needs: tuple[str, ...] = ()) -> Bundle:
        """The dense statistics, opened for reading, with the on-demand ones that are needed."""
        return Bundle(self.bundle(needs)) if needs else self._bundle

    def hessians(self, needed: bool) -> Callable[[str], Tensor]:
        """From a layer's name to its full Hessian [in, in]; if they are wanted they are collected now."""
        return self.readable(("hessian",) if needed else ()).hessian

    def samples(self, split: Split) -> bool:
        """Whether candidates are forecast from a few decoder blocks: where they compete, if the settings want it."""
        return split == "search" and self._config.advanced.layer_error is not None

    def sampled(self, split: Split) -> Reconstruction | None:
        """What forecasts a candidate on this split, if anything does."""
        if not self.samples(split):
            return None
        if self._reconstruction is None:
            self._reconstruction = Reconstruction(Bundle(self._cache.sample(sampled_blocks(self.layers))))
        return self._reconstruction

    def take_statistics_seconds(self) -> float:
        """Spent on collecting dense statistics since this was last asked; none where they were found on disk."""
        seconds, self._cache.seconds = self._cache.seconds, 0.0
        return seconds

    def windows(self, split: Split) -> Windows:
        """The windows of a split."""
        return self._splits[split]

    def losses(
        self,
        split: Split,
        windows: int | None = None,
        looks: Sequence[int] = (),
        check: Callable[[list[float]], None] = lambda losses: None,
        skip: int = 0,
    ) -> list[float]:
        """The losses, in nats, of the model as it is now on the first windows of a split (None: all) but `skip`.

        They are measured in the order of `racing.order` and handed out in that of the text. After each number of
        windows in `looks`, `check` sees the losses so far, in the order of measurement, and may raise. Where blocks
        come and go, all windows pass before the first look: it is the coming and going that costs.
        """
        tokens, lead = self._splits[split].tokens[skip:windows], self._splits[split].lead
        places = order(len(tokens))
        ahead = window_losses(self.target, tokens[places], lead=lead) if self.target.offloaded else None
        measured: list[float] = []
        for start, stop in pairwise((0, *looks) if looks else (0, len(tokens))):
            measured += (
                ahead[start:stop] if ahead else window_losses(self.target, tokens[places[start:stop]], lead=lead)
            )
            check(measured)
        by_place = dict(zip(places, measured, strict=True))
        return [by_place[place] for place in range(len(tokens))]

    def diagnose(self, name: str, mask: Tensor) -> LayerDiagnostic:
        """What a mask [out, in] of a layer costs by the Hessian's diagonal."""
        weight = self.target.weight(name)
        curvature = self._bundle.statistic(name, "hessian_diag").to(weight.device)
        if name not in self._energy:
            self._energy[name] = _energy(weight, curvature)
        total, kept = self._energy[name], _energy(masked_weight(weight, mask), curvature)
        error = max((total - kept) / total, 0.0) if total > 0 else 0.0
        sparsity = 1.0 - int(mask.count_nonzero()) / mask.numel()
        return LayerDiagnostic(name=name, sparsity=sparsity, relative_error=error)

    def fingerprints(self) -> dict[str, Any]:
        """What the numbers depend on: model, texts, dtype, versions."""
        return {
            "model": self.target.fingerprint,
            "dtype": str(self.target.dtype).removeprefix("torch."),
            "windows_per_pass": windows_per_pass(self.target.dtype),
            "device": self.target.device.type,
            "texts": {split: _told(text) for split, text in self._splits.items()},
            "statistics": "dense",
            "torch": _version("torch"),
            "transformers": _version("transformers"),
        }


def _told(text: Windows) -> dict[str, str]:
    """What a text is. Where no BOS is prepended nothing is said of it: such measurements are known from before."""
    return {"source": text.source, "tokens": text.fingerprint, **({"bos": text.bos.text} if text.bos else {})}


def _energy(weight: Tensor, curvature: Tensor) -> float:
    """sum of w^2 h: the expected mean square of a layer's output, its inputs taken as independent."""
    return float(weight.float().square().sum(0) @ curvature)


def open_bench(config: Config, run_dir: Path | None) -> Bench:
    """Load the target and the texts; statistics come from the cache, or are collected now."""
    target = load_target(config.model, config.device, config.dtype, config.offload, config.advanced.memory_gb)
    check_length(target, config.data.seqlen)
    texts = load_splits(config.data, target.tokenizer)
    if run_dir is not None:  # a search, which confirms what it found on other samples
        check_samples(target, config.data, config.confirmation.seeds)
    data, search = config.data, texts["search"].tokens
    bos = choose_bos(data.bos, target, data.seqlen, search.flatten)
    splits = {split: text.with_bos(bos) for split, text in texts.items()}
    cache = StatisticsCache(target, splits["calibration"], cache_dir() / "statistics")
    return Bench(target, splits, config, cache)
